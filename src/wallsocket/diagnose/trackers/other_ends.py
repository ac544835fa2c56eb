"""Who holds the other ends of sockets that threads read from, as pictures show them."""

from __future__ import annotations

from typing import NamedTuple

from ...events import Fact
from ..facts import Facts, json_object
from ..tracker import SocketTracker, on_fact
from .sockets import Sockets

__all__ = ["Holder", "OtherEnd", "OtherEnds", "holders_of"]


class Holder(NamedTuple):
    """A process that holds something."""

    process: int | None  #: of the recording; ``None``: it was not looked at
    pid: int
    command: str
    parent: int | None  #: pid of the process that started it
    forked: bool  #: it was made by fork and runs its parent's program
    session: int | None = None  #: of setsid(2)

    def __str__(self) -> str:
        return f"{self.command} (pid {self.pid})"


class OtherEnd:
    """The socket at the other end of one."""

    __slots__ = ("holders", "listening", "row")

    def __init__(self) -> None:
        self.row = 0  #: the fact; 0: none
        self.holders: tuple[Holder, ...] = ()
        self.listening: tuple[Holder, ...] = ()  #: who holds the listener that it came in through


class OtherEnds(SocketTracker[OtherEnd]):
    """Takes what `inspect` saw."""

    needs = (Sockets,)
    kept = OtherEnd

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._sockets = facts[Sockets]

    @on_fact
    def see(self, fact: Fact) -> None:
        """The other end of a socket."""
        socket = self._sockets.get(fact.socket) if fact.kind == "other-end" and fact.socket is not None else None
        if socket is not None:
            value = json_object(fact.value)
            kept = self.keep(socket)
            kept.row = fact.id
            kept.holders = holders_of(value.get("holders"))
            kept.listening = holders_of(value.get("listening"))


def holders_of(value: object) -> tuple[Holder, ...]:
    """Processes, of the untrusted JSON of a fact."""
    found = []
    for one in value[:1024] if isinstance(value, list) else ():
        if isinstance(one, dict) and isinstance(one.get("pid"), int):
            process, parent, session = one.get("process"), one.get("parent"), one.get("session")
            found.append(
                Holder(
                    process if isinstance(process, int) else None,
                    one["pid"],
                    str(one.get("command")),
                    parent if isinstance(parent, int) else None,
                    bool(one.get("forked")),
                    session if isinstance(session, int) else None,
                )
            )
    return tuple(found)
