"""Names of Unix sockets: who bound which, and which connects did not get there."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from ...kernel.address import Address as KernelAddress
from ..call import CallFacts
from ..facts import Facts
from ..subjects import SocketFacts
from ..tracker import Tracker, on_retire, returned
from ..vocabulary import AF_UNIX

__all__ = ["PATH_ROOM", "UnixName", "UnixNames", "name_of"]

#: Bytes of sun_path, its end included (``include/uapi/linux/un.h``: UNIX_PATH_MAX).
PATH_ROOM = 108
#: Names, and sockets of one name, that are kept.
_NAMES = 10_000
_SOCKETS = 16


@lru_cache(4096)
def name_of(raw: bytes | None) -> bytes | None:
    """The name in a ``struct sockaddr_un``: a path, or an abstract name with a zero byte in front; ``None``: neither."""
    if raw is None:
        return None
    decoded = KernelAddress.decode(raw)
    if decoded.family != AF_UNIX:
        return None
    if decoded.abstract_name is not None:
        return b"\0" + decoded.abstract_name
    return decoded.path or None


class UnixName:
    """A socket that was bound to a name."""

    __slots__ = ("bind", "ended_ns", "id", "listen", "name", "process")

    def __init__(self, socket: SocketFacts, bind: CallFacts, name: bytes) -> None:
        self.id = socket.id
        self.name = name
        self.bind = bind
        self.process = bind.call.process
        self.listen: CallFacts | None = None
        self.ended_ns: int | None = None

    def lived(self, at_ns: int) -> bool:
        """Whether it was open at a time."""
        return self.bind.end_ns <= at_ns and (self.ended_ns is None or at_ns < self.ended_ns)


class UnixNames(Tracker):
    """An index of binds of Unix sockets."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._by_name: dict[bytes, list[UnixName]] = {}
        self._by_id: dict[int, UnixName] = {}
        self._alike: dict[bytes, list[bytes]] = {}

    @returned("bind")
    def bound(self, call: CallFacts) -> None:
        """A bind returned."""
        name = name_of(call.call.address)
        if name is None or call.socket is None or not call.succeeded:
            return
        if name not in self._by_name and len(self._by_name) >= _NAMES:
            return
        entries = self._by_name.setdefault(name, [])
        if not entries:
            alike = self._alike.setdefault(_key(name), [])
            if len(alike) < _SOCKETS:
                alike.append(name)
        if len(entries) < _SOCKETS:
            entry = UnixName(call.socket, call, name)
            entries.append(entry)
            self._by_id[call.socket.id] = entry

    @returned("listen")
    def listened(self, call: CallFacts) -> None:
        """A listen returned."""
        entry = self._by_id.get(call.socket.id) if call.socket is not None and call.succeeded else None
        if entry is not None:
            entry.listen = call

    @on_retire
    def ended(self, socket: SocketFacts) -> None:
        """A socket is forgotten; its name is not."""
        entry = self._by_id.pop(socket.id, None)
        if entry is not None:
            entry.ended_ns = socket.ended_ns

    def of(self, socket: SocketFacts) -> UnixName | None:
        """The name that a living socket was bound to."""
        return self._by_id.get(socket.id)

    def on(self, name: bytes) -> list[UnixName]:
        """All sockets that were bound to a name, in order of time."""
        for entry in self._by_name.get(name, ()):
            if entry.ended_ns is None:
                row = self.facts.tables.sockets.get(entry.id)
                entry.ended_ns = row.ended_ns if row is not None else None
        return self._by_name.get(name, [])

    def alike(self, name: bytes) -> Iterator[UnixName]:
        """Sockets bound to another name that is this one with other zero bytes at its end, or cut at another place."""
        for other in self._alike.get(_key(name), ()):
            if other != name:
                yield from self.on(other)


def _key(name: bytes) -> bytes:
    """The same for names that people take for one."""
    return name.rstrip(b"\0") if name[:1] == b"\0" else name[: PATH_ROOM - 2]
