"""Connections that nobody has accepted, as pictures show them."""

from __future__ import annotations

from ...events import Fact
from ..facts import Facts, json_object
from ..subjects import SocketFacts
from ..tracker import SocketTracker, on_fact
from .sockets import Sockets

__all__ = ["AcceptQueueFacts", "AcceptQueues"]


class AcceptQueueFacts:
    """The accept queue of one listener."""

    __slots__ = ("clients", "places", "queue", "row", "stood", "unread", "waited_ms")

    def __init__(self) -> None:
        self.row = 0  #: the fact; 0: none
        self.queue = 0  #: connections in it
        self.stood = 0  #: those of them that were in the earlier picture as well, and for half a second or more
        self.waited_ms = 0  #: for how long, at least
        self.unread = 0  #: bytes that have come on them
        self.clients: list[int] = []  #: sockets at the other ends, as far as they are known
        self.places: list[str] = []  #: addresses of the other ends


class AcceptQueues(SocketTracker[AcceptQueueFacts]):
    """Takes what `inspect` saw in accept queues."""

    needs = (Sockets,)
    kept = AcceptQueueFacts

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._sockets = facts[Sockets]

    @on_fact
    def see(self, fact: Fact) -> None:
        """A queue."""
        socket = self._sockets.get(fact.socket) if fact.kind == "accept-queue" and fact.socket is not None else None
        if socket is None:
            return
        value = json_object(fact.value)
        kept = self.keep(socket)
        kept.row = fact.id
        for name in ("queue", "stood", "waited_ms", "unread"):
            number = value.get(name)
            setattr(kept, name, number if isinstance(number, int) else 0)
        clients = value.get("clients")
        for client in clients[:64] if isinstance(clients, list) else ():
            if isinstance(client, dict):
                kept.places.append(str(client.get("from")))
                if isinstance(client.get("socket"), int):
                    kept.clients.append(client["socket"])

    def client(self, number: int) -> SocketFacts | None:
        """A socket at the other end."""
        return self._sockets.get(number)
