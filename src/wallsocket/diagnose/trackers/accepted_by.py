"""The call that accepted a connection."""

from __future__ import annotations

from ..call import CallFacts
from ..subjects import SocketFacts
from ..tracker import SocketTracker, returned
from ..vocabulary import ACCEPTS
from .peers import Peers
from .set_up import SetUp
from .sockets import Sockets
from .waits import LONG_WAIT_NS

__all__ = ["AcceptedBy", "AcceptedByFacts"]


class AcceptedByFacts:
    """Where one connection came from."""

    __slots__ = ("call",)

    def __init__(self) -> None:
        self.call: CallFacts | None = None


class AcceptedBy(SocketTracker[AcceptedByFacts]):
    """Keeps the accept of each accepted connection."""

    needs = (Peers, SetUp, Sockets)
    kept = AcceptedByFacts

    @returned(*ACCEPTS)
    def accepted(self, call: CallFacts) -> None:
        """An accept returned."""
        made = self.facts[Sockets].get(call.call.made)
        if made is not None:
            self.keep(made).call = call

    def queued_on(self, socket: SocketFacts) -> int | None:
        """The listener in whose accept queue a connection stood for half a second or more; ``None``: it did not, or unknown."""
        client, accept = self.facts[Peers].of(socket), self.of(socket).call
        connect = self.facts[SetUp].of(client).connect if client is not None else None
        if accept is None or connect is None or accept.end_ns - connect.end_ns < LONG_WAIT_NS // 2:
            return None
        return socket.parent
