"""A call as rules see it: named arguments, typed values, and what its socket was around it."""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from ..events import Call, Moment
from .address import Address, address_of
from .finding import Proof
from .sample import Sample

if TYPE_CHECKING:
    from .subjects import SocketFacts

__all__ = ["CallFacts", "Watched"]


_FLAGGED: Final = frozenset({"send", "sendto", "sendmsg", "sendmmsg", "recv", "recvfrom", "recvmsg", "recvmmsg"})


class Watched(NamedTuple):
    """One entry of a poll set, after the call."""

    number: int  #: the descriptor
    events: int  #: asked for, ``POLL*`` bits
    returned: int  #: reported, ``POLL*`` bits


class CallFacts(msgspec.Struct, eq=False):
    """A call, its socket, and what that was when the call was entered and when it returned."""

    call: Call
    name: str
    thread: tuple[int, int]  #: (process of the recording, tid)
    end_ns: int  #: when it returned; of an unfinished call when it was entered
    flags: int  #: given to send and recv; read and write have none
    payload: bytes  #: the first bytes moved, as far as they were recorded
    begun: bool = False  #: its entry is handled before its return, because it waits
    socket: SocketFacts | None = None  #: behind its descriptor
    result: int | None = None  #: as the kernel returned it; ``None``: it has not returned
    errno: int | None = None  #: of a failed call
    succeeded: bool = False  #: whether it returned without an error
    moved: int = 0  #: bytes read or written; of calls that move several datagrams their sum; 0 of a failed call
    entry: Sample | None = None  #: what its socket was when it was entered
    exit: Sample | None = None  #: and when it returned
    before: Sample | None = None  #: the latest sample of its socket before it was entered
    during: Sample | None = None  #: the latest sample between the two

    @classmethod
    def of(cls, call: Call, name: str) -> CallFacts:
        """A call that is about to be entered, by the name of its number."""
        flags = (call.a or 0) if name in _FLAGGED else 0
        return cls(call, name, (call.process, call.tid), call.entry_ns, flags, call.payload or b"")

    def take(self, sample: Sample) -> None:
        """A sample that was taken when it was entered or when it returned."""
        if sample.moment == Moment.ENTRY:
            self.entry = sample
        elif sample.moment == Moment.EXIT:
            self.exit = sample

    def returned(self, call: Call) -> None:
        """It has returned: take result and errno."""
        if call.took_ns is not None:
            self.end_ns = call.entry_ns + call.took_ns
        if call is not self.call:
            self.call = call
            self.payload = call.payload or b""
            if self.name in _FLAGGED:
                self.flags = call.a or 0
        result = self.result = call.result
        if result is None:
            return
        if result >= 0:
            self.succeeded = True
            if self.name in ("sendmmsg", "recvmmsg") and call.value:
                count = min(result, len(call.value) // 4)
                self.moved = sum(struct.unpack_from(f"<{count}I", call.value))
            else:
                self.moved = result
        elif result > -4096:
            self.errno = -result

    def without_samples(self) -> CallFacts:
        """The same call, for who keeps it when its socket is gone: a sample weighs as much as the call."""
        if self.entry is None and self.exit is None and self.before is None and self.during is None:
            return self
        return msgspec.structs.replace(self, entry=None, exit=None, before=None, during=None)

    # -- time

    @property
    def entry_ns(self) -> int:
        """When it was entered."""
        return self.call.entry_ns

    @property
    def unfinished(self) -> bool:
        """Whether it had not returned when the recording ended."""
        return self.call.took_ns is None

    # -- arguments by name

    @property
    def returned_flags(self) -> int:
        """The flags that recvmsg returned."""
        return self.call.flags or 0

    @property
    def length(self) -> int:
        """Bytes offered or asked for; 0 where the call has no such argument."""
        return self.call.length or 0

    @property
    def offset(self) -> int | None:
        """Position in the stream of the first byte moved; ``None``: not a stream, or not known."""
        return self.call.offset

    @property
    def value(self) -> bytes:
        """What else a pointer of the call held."""
        return self.call.value or b""

    @property
    def address(self) -> Address | None:
        """The address given (connect, bind, sendto) or returned (accept, recvfrom)."""
        return address_of(self.call.address)

    @property
    def option(self) -> tuple[int, int] | None:
        """(level, name) of setsockopt and getsockopt."""
        call = self.call
        if not self.name.endswith("sockopt") or call.a is None or call.b is None:
            return None
        return call.a, call.b

    @property
    def option_number(self) -> int | None:
        """The number in the first four bytes of the option's value; ``None``: not recorded."""
        value = self.call.value
        return int.from_bytes(value[:4], "little", signed=True) if value is not None and len(value) >= 4 else None

    @property
    def backlog(self) -> int | None:
        """Of listen."""
        return self.call.a if self.name == "listen" else None

    @property
    def how(self) -> int | None:
        """Of shutdown: 0 reading, 1 writing, 2 both."""
        return self.call.a if self.name == "shutdown" else None

    @property
    def timeout_ms(self) -> int | None:
        """The time limit of poll, select and epoll_wait: -1 is none; ``None`` for other calls."""
        return self.call.b if self.name.startswith(("poll", "ppoll", "select", "pselect", "epoll_")) else None

    @property
    def epoll_events(self) -> int:
        """Of epoll_ctl: the events asked for, 0 when the socket is taken out."""
        return 0 if self.call.a == 2 else (self.call.c or 0)  # 2: EPOLL_CTL_DEL

    @property
    def watches(self) -> int:
        """How many entries poll and select were given, as far as they were recorded."""
        return len(self.call.value or b"") // 8

    @property
    def watched(self) -> list[Watched]:
        """The entries of poll and select, after the call. Of their sockets ask the tracker ``Polls``."""
        value = self.call.value or b""
        return [Watched(*entry) for entry in struct.iter_unpack("<iHH", value[: len(value) // 8 * 8])]

    # -- as text

    def text(self) -> str:
        """The call as in ``call 12 recvfrom(1024) = 1024``."""
        call = self.call
        where = address_of(call.address)
        if self.name in ("bind", "connect") or (where is not None and self.name.startswith("send")):
            given = str(where) if where is not None else "address unknown"
            inside = given if self.name in ("bind", "connect") else f"{call.length} to {given}"
        elif call.length is not None:
            inside = str(call.length)
        elif self.name == "listen":
            inside = str(call.a)
        elif self.name == "close":
            inside = str(call.fd)
        else:
            inside = ""
        if call.result is None:
            result = "still waiting"
        elif call.errno is not None:
            result = f"= {errno.errorcode.get(call.errno, f'error {call.errno}')}"
        else:
            result = f"= {call.result}"
        return f"call {call.id} {self.name}({inside}) {result}"

    def proof(self, text: str = "") -> Proof:
        """This call as a proof row."""
        return Proof("calls", "call", self.call.id, self.end_ns, text or self.text())
