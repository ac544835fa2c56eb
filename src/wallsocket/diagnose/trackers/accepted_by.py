"""The call that accepted a connection."""

from __future__ import annotations

from ..call import CallFacts
from ..tracker import SocketTracker, returned
from ..vocabulary import ACCEPTS
from .sockets import Sockets

__all__ = ["AcceptedBy", "AcceptedByFacts"]


class AcceptedByFacts:
    """Where one connection came from."""

    __slots__ = ("call",)

    def __init__(self) -> None:
        self.call: CallFacts | None = None


class AcceptedBy(SocketTracker[AcceptedByFacts]):
    """Keeps the accept of each accepted connection."""

    needs = (Sockets,)
    kept = AcceptedByFacts

    @returned(*ACCEPTS)
    def accepted(self, call: CallFacts) -> None:
        """An accept returned."""
        made = self.facts[Sockets].get(call.call.made)
        if made is not None:
            self.keep(made).call = call
