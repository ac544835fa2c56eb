"""The programs of ``wallsocket demo``: a service with a fault, the same without it, and one that hangs."""

from __future__ import annotations
