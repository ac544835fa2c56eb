"""Address reuse that was asked for after bind, by the port that was bound."""

from __future__ import annotations

from typing import NamedTuple

from ..call import CallFacts
from ..facts import Facts
from ..tracker import Tracker, returned
from ..vocabulary import SO_REUSEADDR, SO_REUSEPORT, SOL_SOCKET
from .options import Options
from .set_up import SetUp

__all__ = ["LateOption", "LateReuse"]

_NAMES = {SO_REUSEADDR: "SO_REUSEADDR", SO_REUSEPORT: "SO_REUSEPORT"}
#: Ports and sockets that are kept.
_KEPT = 4096


class LateOption(NamedTuple):
    """An option that came one call too late."""

    name: str
    option: CallFacts
    bind: CallFacts  #: it had succeeded or failed before
    socket: int


class LateReuse(Tracker):
    """Keeps the first such option of each socket and of each port."""

    needs = (Options, SetUp)

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.by_socket: dict[int, LateOption] = {}
        self.by_port: dict[int, LateOption] = {}

    @returned("setsockopt")
    def was_set(self, call: CallFacts) -> None:
        """An option was set."""
        level, name = call.option or (None, None)
        socket = call.socket
        if level != SOL_SOCKET or name not in _NAMES or socket is None or not call.succeeded or not call.option_number:
            return
        done = self.facts[SetUp].of(socket)
        bind = done.bind or done.bind_failed
        first = self.facts[Options].first(socket, SOL_SOCKET, name)
        if bind is None or first is not call or bind.address is None or bind.address.port == 0:
            return
        late = LateOption(_NAMES[name], call, bind, socket.id)
        if len(self.by_socket) < _KEPT:
            self.by_socket.setdefault(socket.id, late)
            self.by_port.setdefault(bind.address.port, late)
