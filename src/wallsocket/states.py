"""The states of UDP and TCP sockets as data: graphs, outcomes of calls, drawings."""

from __future__ import annotations

from .endpoints.states import TCP, TCP_KERNEL, UDP, Graph, State, Transition

__all__ = ["TCP", "TCP_KERNEL", "UDP", "Graph", "State", "Transition"]
