"""Endpoints for asyncio and trio: the operations of `wallsocket.endpoints`, driven by the event loop."""
