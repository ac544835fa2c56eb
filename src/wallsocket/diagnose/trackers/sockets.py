"""Which sockets there are, and their addresses: fed by the engine itself, before all others."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence

from ...events import Socket
from ..address import Address, address_of
from ..facts import Facts
from ..subjects import SocketFacts
from ..tracker import Tracker

__all__ = ["Sockets"]

#: Retired sockets of which everything stays known, the latest: one weighs some 10 KB.
_WHOLE = 1_000


class Sockets(Tracker):
    """The sockets that have been met and not yet retired."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.alive: dict[int, SocketFacts] = {}
        self.meeting: Sequence[Callable[[SocketFacts], None]] = ()  #: who wants to know of new sockets
        self._retired = bytearray()
        self._whole: OrderedDict[int, SocketFacts] = OrderedDict()  # retired ones of which everything stays known

    def get(self, id: int | None) -> SocketFacts | None:
        """A socket by its id; ``None``: never met, or retired."""
        return self.alive.get(id) if id is not None else None

    def met(self, id: int, process: int) -> SocketFacts | None:
        """A socket by its id, made when it is first met; ``None`` when it is retired."""
        found = self.alive.get(id)
        if found is None:
            if 0 <= id < len(self._retired) and self._retired[id]:
                return None
            found = self.alive[id] = SocketFacts(id, process)
            self.learn(found, self.facts.tables.sockets.get(id))
            for tell in self.meeting:
                tell(found)
        return found

    def learn(self, socket: SocketFacts, row: Socket | None) -> None:
        """Take what the table says of a socket; it may say more later."""
        if row is None:
            return
        socket.take(row)
        self.learn_ends(socket, row.local, row.remote)

    def learn_ends(self, socket: SocketFacts, local: bytes | None, remote: bytes | None) -> None:
        """Take addresses, unless they say less than what is known."""
        new_local = address_of(local) if local else None
        new_remote = address_of(remote) if remote else None
        if new_local is not None and new_local.port and new_local != socket.local:
            # Once closed the kernel may report the unspecified address again: keep what was in use.
            if socket.local is None or not new_local.wildcard:
                socket.local = new_local
        elif new_local is not None and socket.local is None:
            socket.local = new_local
        if new_remote is not None and new_remote.port and new_remote != socket.remote:
            socket.remote = new_remote

    def asked_for(self, socket: SocketFacts, address: Address) -> None:
        """What was asked of bind, until the kernel says what it gave."""
        if socket.local is None:
            socket.local = address

    def retire(self, socket: SocketFacts) -> None:
        """Forget a socket; what comes of it later is passed over.

        What trackers keep of it goes with it, also where a call outlives it and names it: a socket weighs a hundred times
        as much as a call. Of the latest that are ``whole`` it stays.
        """
        self.alive.pop(socket.id, None)
        socket.retired = True
        socket.audience = None
        if socket.whole:
            self._whole[socket.id] = socket
            if len(self._whole) > _WHOLE:
                self._let_go(self._whole.popitem(last=False)[1])
        else:
            self._let_go(socket)
        if 0 <= socket.id < 1 << 26:
            if socket.id >= len(self._retired):
                self._retired.extend(bytes(max(socket.id + 1, 2 * len(self._retired)) - len(self._retired)))
            self._retired[socket.id] = 1

    def release(self, socket: SocketFacts) -> None:
        """Who asked that a socket stays ``whole`` needs it no more."""
        socket.whole -= 1
        if not socket.whole and self._whole.pop(socket.id, None) is not None:
            self._let_go(socket)

    @staticmethod
    def _let_go(socket: SocketFacts) -> None:
        """Forget all that trackers keep of a retired socket; who and where it was stays."""
        socket.kept.clear()
        socket.earlier = socket.last = None

    def those(self, ids: Iterable[int]) -> Iterator[SocketFacts]:
        """Sockets by their ids, in order."""
        for number in sorted(ids):
            socket = self.alive.get(number)
            if socket is not None:
                yield socket
