"""Where a scenario is played: the program under test on one side, our sockets on the other, and what was seen.

A scenario sends with a :class:`Client` or as the service that a program asks, and says what it expects; where something else
comes it is told by a :class:`Mismatch`. Nothing is waited for longer than it may still come: a program that is at rest will
not answer any more.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

from .student import Student

__all__ = [
    "ADDRESS",
    "SO_TIMESTAMPNS",
    "Client",
    "Kind",
    "Mismatch",
    "Service",
    "Stage",
    "ending",
    "received",
    "shown",
]

#: The address of the host that the program runs on, beside its loopback (RFC 5737).
ADDRESS: Final = "192.0.2.1"
#: The network of that address.
NETWORK: Final = "192.0.2.0/24"

#: What went wrong, as the other end saw it; part of ``--json``.
Kind = Literal[
    "not started",  # it ended, or rested, before it was there
    "refused",  # nobody listens at that address
    "reset",  # the connection was reset
    "ended early",  # the stream ended before all had come
    "not ended",  # the stream did not end
    "wrong answer",  # other bytes came
    "no answer",  # nothing came, and the program is at rest
    "too much",  # more came than should
    "ended",  # the program ended by itself
    "hangs",  # a program that should end did not
    "wrong output",  # it printed something else
    "wrong status",  # it ended with another exit status
    "restless",  # it uses the processor while nobody talks to it
    "memory",  # it keeps what it should not
]

#: Without a sign of life from a program that does not even rest, this is the end.
_LIMIT_S: Final = 15.0
#: A program that rested for so long does not answer any more.
_REST_S: Final = 1.0
#: Nor does one that worked for so long, in processor time; the longest answer takes a slow language less.
_WORK_S: Final = 3.0
#: How long nobody sends anything where a program must bear it; time limits of a second are common.
_SILENCE_S: Final = 1.3
#: What does not come within this time, from a program that does not rest, does not come where nothing should.
_LATER_S: Final = 2.0
#: How often it is looked at.
_LOOK_S: Final = 0.02
#: Lines of what was seen that are kept.
_KEPT_LINES: Final = 40


class Mismatch(Exception):
    """The program did something else than the task says.

    Attributes:
        kind: what it looked like.
        expected: what should have come, in words. seen: what came.
        port: the local port of our socket, to find the connection in the recording.
        mistake: name of the mistake, where this end alone can tell (:mod:`.mistakes`).
        at_ns: when it was noticed (CLOCK_MONOTONIC).

    """

    def __init__(
        self, kind: Kind, expected: str, seen: str, port: int | None = None, mistake: str | None = None
    ) -> None:
        super().__init__(f"{kind}: expected {expected}, saw {seen}")
        self.at_ns = time.monotonic_ns()
        self.mistake = mistake
        self.kind: Kind = kind
        self.expected = expected
        self.seen = seen
        self.port = port


def shown(data: bytes, limit: int = 24) -> str:
    """Bytes for people: their number, and the first of them."""
    count = f"{len(data)} byte{'s' if len(data) != 1 else ''}"
    if not data:
        return count
    text = repr(data[:limit])[1:]
    return f"{count} {text}{'…' if len(data) > limit else ''}"


class Stage:
    """One play of a scenario.

    Args:
        command: what starts the program.
        folder: a scratch folder, its working directory.
        port: for the program or for us.
        protocol: of the exercise.

    Attributes:
        log: what was done and seen at our end, a line each.
        student: the program, once started.
        clients: our sockets.

    """

    def __init__(self, command: Sequence[str], folder: Path, port: int, protocol: str) -> None:
        self._command = command
        self.folder = folder
        self.port = port
        self.protocol = protocol
        self.address = ADDRESS
        self.log: list[str] = []
        self.students: list[Student] = []
        self.started = False  #: whether the program got as far as to be there
        self.clients: list[Client | Service] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The program first, or it would see our end as its last event; but what it is about to do by itself, it may do.
        for student in self.students:
            student.settle(0.05, 3.0)
        for student in self.students:
            student.end()
        for client in self.clients:
            client.close()

    @property
    def student(self) -> Student:
        """The program that runs, or ran last."""
        return self.students[-1]

    def say(self, text: str) -> None:
        """Note what was done or seen at our end."""
        if len(self.log) < _KEPT_LINES:
            self.log.append(text)

    # -- the program

    def run(self, *arguments: str) -> Student:
        """Start the program with these arguments."""
        student = Student([*self._command, *arguments], self.folder)
        self.students.append(student)
        return student

    def start(self, *arguments: str) -> None:
        """Start a server and wait until it is bound to its port, and listens."""
        student = self.run(str(self.port), *arguments)
        deadline = time.monotonic() + 2 * _LIMIT_S
        verb = "listens on" if self.protocol == "tcp" else "is bound to"
        what = f"a program that {verb} {self.protocol.upper()} port {self.port}"
        while not student.serves(self.protocol, self.port):
            if student.status is not None:
                raise Mismatch("not started", what, f"it ended with {ending(student.status)}")
            # What starts slowly sleeps, too: while it reads its files, for a compiler.
            if student.rest_s() > 3 * _REST_S or time.monotonic() > deadline:
                raise Mismatch("not started", what, _instead(self.protocol, student))
            time.sleep(_LOOK_S)
        student.settle(0.03, 1.0)
        self.started = True
        if student.status is not None:
            raise Mismatch("ended", "a program that waits for clients", f"it ended with {ending(student.status)}")

    def stop(self) -> None:
        """End the program, as somebody who wants to start it again."""
        self.student.end()
        self.say("your program was stopped (SIGTERM) and started again at once")

    def expect_alive(self) -> None:
        """The program has not ended by itself."""
        status = self.student.status
        if status is not None:
            raise Mismatch("ended", "a program that goes on", f"it ended with {ending(status)}")

    def expect_no_crash(self) -> None:
        """The program has not ended with an error, also not by what was done to it last."""
        self.student.settle(0.05, 3.0)
        if self.student.status:
            self.expect_alive()

    def expect_rest(self) -> None:
        """While nobody talks to it, the program sleeps."""
        self.expect_alive()
        self._await_digestion()
        silent_until = time.monotonic() + _SILENCE_S
        if self.student.restless():
            self.say("nobody sent anything for a second, and your program did not sleep")
            raise Mismatch("restless", "a program that sleeps while there is nothing to do", "it kept a processor busy")
        while self.student.status is None and time.monotonic() < silent_until:
            time.sleep(_LOOK_S)
        if self.student.status is not None:
            self.say("nobody sent anything for a second, and your program ended")
            self.expect_alive()

    def _await_digestion(self) -> None:
        """Wait as long as the program takes bytes out of its sockets: there is something to do."""
        deadline = time.monotonic() + 2 * _LIMIT_S
        unread, since = -1, time.monotonic()
        while unread and time.monotonic() < deadline and time.monotonic() - since < 0.5:
            now = _waiting(self.protocol, self.port)
            if now != unread:
                unread, since = now, time.monotonic()
            time.sleep(_LOOK_S)

    def expect_end(
        self, status: int, output: str, *, rest_s: float = 5.0, instead: Mapping[str, str] | None = None
    ) -> None:
        """The program ends by itself with this status and has printed just that.

        Args:
            status, output: what is expected.
            rest_s: a program that rests for so long does not end.
            instead: output -> the mistake of which it is a sign.

        """
        student = self.student
        if not student.wait(60.0, rest_s):
            self.say("your program did not end")
            raise Mismatch("hangs", "a program that ends", "it still waits")
        student.end()
        self.say(f"your program ended with {ending(student.status)}")
        said = student.out.text.strip()
        if said != output:
            mistake = (instead or {}).get(said)
            raise Mismatch("wrong output", f"the output {_quoted(output)}", _quoted(said), None, mistake)
        if student.status != status:
            raise Mismatch("wrong status", f"exit status {status}", ending(student.status))

    # -- our sockets

    def connect(
        self,
        name: str = "",
        address: str | None = None,
        *,
        receive_buffer: int | None = None,
        segment: int | None = None,
    ) -> Client:
        """A connection to the program.

        Args:
            name: how the log calls it where there are several.
            address: where to, the host's own by default.
            receive_buffer: SO_RCVBUF, for a client that is to be full soon.
            segment: TCP_MAXSEG, as of a client across a network: the loopback's segments of 64 KiB make the program's
                send buffer hold millions of bytes.

        """
        client = Client(self, name)
        if receive_buffer is not None:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if segment is not None:
            client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, segment)
        self.clients.append(client)
        client.connect(address or self.address)
        return client

    def datagrams(self, name: str = "", address: str | None = None) -> Client:
        """A socket that sends datagrams to the program."""
        client = Client(self, name, datagrams=True)
        self.clients.append(client)
        client.connect(address or self.address)
        return client

    def pester(self, one: socket.socket, send: Callable[[], None], *, every_s: float, limit_s: float) -> bool:
        """Send again and again until something has come, and say whether it has; or until the program has ended."""
        deadline = time.monotonic() + limit_s
        protocol = "udp" if one.type == socket.SOCK_DGRAM else "raw"
        while time.monotonic() < deadline and self.student.status is None:
            send()
            again = time.monotonic() + every_s
            while time.monotonic() < again:
                if _readable(protocol, one):
                    return True
                time.sleep(_LOOK_S)
        return _readable(protocol, one)

    def service(self) -> Service:
        """A UDP socket at the port that the program asks."""
        service = Service(self)
        self.clients.append(service)
        return service

    # -- waiting

    def await_ready(self, one: socket.socket, *, rest_s: float = _REST_S, limit_s: float = _LIMIT_S) -> bool:
        """Wait until something can be read; ``False`` when the program is at rest, or has ended, and nothing came.

        The kernel's tables are looked at, so that the recording shows no calls but those of the conversation.
        """
        self.student.rest_begins()
        unread: object = None
        deadline, tired_s = time.monotonic() + limit_s, self.student.worked_s + _WORK_S
        protocol = "udp" if one.type == socket.SOCK_DGRAM else "raw" if one.type == socket.SOCK_RAW else "tcp"
        while not _readable(protocol, one):
            student = self.student
            if protocol == "tcp" and (now := _unread(one)) != unread:
                # It still reads, however slowly: a byte at a time, and traced.
                unread, deadline, tired_s = now, time.monotonic() + limit_s, student.worked_s + _WORK_S
            over = student.status is not None or student.rest_s() > rest_s or student.worked_s > tired_s
            if over or time.monotonic() > deadline or student.insatiable:
                return _readable(protocol, one) or (protocol == "udp" and _has_error(one))
            time.sleep(_LOOK_S)
        return True


class Client:
    """Our end of a conversation with a server."""

    def __init__(self, stage: Stage, name: str, *, datagrams: bool = False) -> None:
        self._stage = stage
        self._name = f"{name}: " if name else ""
        self._datagrams = datagrams
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM)
        # Of connect(2): where the accept queue is full. Reads are made only when they do not wait.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(_LIMIT_S), 0))
        self.last = b""  #: what was sent last
        self.sent = b""  #: all that was sent
        self.may_be_empty = False  #: an empty datagram may come before what is expected
        self.came = b""  #: what has come of what was expected last
        self._kept = b""  #: what came while we were sending

    def _say(self, text: str) -> None:
        self._stage.say(self._name + text)

    def _mismatch(self, kind: Kind, expected: str, seen: str) -> Mismatch:
        status = self._stage.student.status
        if status is not None and kind != "refused":
            seen += f"; your program had ended with {ending(status)}"
        return Mismatch(kind, expected, seen, self.port)

    @property
    def port(self) -> int | None:
        """Our local port."""
        with contextlib.suppress(OSError):
            port = self.socket.getsockname()[1]
            return port if isinstance(port, int) else None
        return None

    def connect(self, address: str) -> None:
        """Connect to the program."""
        where = f"{address}:{self._stage.port}"
        try:
            self.socket.connect((address, self._stage.port))
        except OSError as error:
            self._say(f"could not connect to {where}: {error.strerror or error}")
            raise self._mismatch("refused", f"a connection to {where}", error.strerror or str(error)) from error
        if not self._datagrams:
            self._say(f"connected to {where}")

    # -- what we do

    def send(self, data: bytes, words: str = "") -> None:
        """Send bytes, or one datagram; what comes meanwhile is kept for :meth:`expect`, so that nobody waits for us."""
        self.last = data
        self.sent += data
        with self._sending(data):
            if self._datagrams:
                self.socket.send(data)
            else:
                self._send_all(data)
        self._say(f"sent {shown(data)}{' ' if words else ''}{words}")

    @contextlib.contextmanager
    def _sending(self, data: bytes) -> Iterator[None]:
        """Errors of sending these bytes are what the program did."""
        try:
            yield
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.ECONNRESET, errno.ECONNREFUSED):
                raise
            if error.errno == errno.ECONNREFUSED:
                self._say(f"could not send {shown(data)}: {error.strerror}")
                raise self._mismatch("refused", "a program that receives", error.strerror or "") from error
            before = self._left_behind()
            self._say(f"{before}could not send {shown(data)}: {error.strerror}")
            seen = f"{before}it closed the connection before all was sent"
            raise self._mismatch("ended early", "a program that reads what it is sent", seen) from error

    def _left_behind(self) -> str:
        """What had come before the program closed, in words."""
        with contextlib.suppress(OSError):
            while _readable("tcp", self.socket) and (part := self.socket.recv(65_536)):
                self._kept += part
        return f"received {shown(self._kept)}; " if self._kept else ""

    def _send_all(self, data: bytes) -> None:
        left, student = memoryview(data), self._stage.student
        unread: object = None
        while left:
            # Mostly there is room: then nothing else is looked at.
            try:
                left = left[self.socket.send(left, socket.MSG_DONTWAIT) :]
                continue
            except BlockingIOError:
                pass
            if _readable("tcp", self.socket):
                part = self.socket.recv(65_536)
                self._kept += part
                if not part:
                    raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
                continue
            if (now := _unread(self.socket)) != unread:
                student.rest_begins()
                unread, tired_s, deadline = now, student.worked_s + _WORK_S, time.monotonic() + _LIMIT_S
            over = student.status is not None or student.rest_s() > _REST_S or student.worked_s > tired_s
            if over or time.monotonic() > deadline:
                self._say(f"could send only {len(data) - len(left)} of {shown(data)}: your program takes no more")
                raise self._mismatch("no answer", "a program that reads what it is sent", "it reads no more")
            time.sleep(_LOOK_S)

    def send_some(self, data: bytes) -> int:
        """Send as much as there is room for once the program has taken what it wants; how much that was."""
        left = memoryview(data)
        with self._sending(data):
            while left:
                try:
                    left = left[self.socket.send(left, socket.MSG_DONTWAIT) :]
                except BlockingIOError:
                    self._stage.student.settle(0.06, 2.0)
                    try:
                        left = left[self.socket.send(left, socket.MSG_DONTWAIT) :]
                    except BlockingIOError:
                        break
        count = len(data) - len(left)
        self._say(f"sent {count} bytes, and read nothing")
        return count

    def send_parts(self, *parts: bytes) -> None:
        """Send bytes in parts, each when the program has taken the one before."""
        for number, part in enumerate(parts):
            if number:
                self._stage.student.settle(0.06, 2.0)
            self.send(part)

    def half_close(self) -> None:
        """Say that nothing more is sent: FIN."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)
        self._say("finished sending (FIN)")

    def leave(self) -> None:
        """Close without waiting for anything."""
        self.socket.close()
        self._say("closed the connection")

    def reset(self) -> None:
        """Vanish: the connection is reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
        self._say("reset the connection")

    def close(self) -> None:
        """Close our socket, without a word in the log."""
        self.socket.close()

    # -- what we expect

    def expect(self, data: bytes, words: str = "") -> None:
        """These bytes come next, in as many pieces as it likes; of datagrams, this one."""
        wanted = words or shown(data)
        if self._datagrams:
            self._expect_datagram(data, wanted)
            return
        got = self.came = b""
        while len(got) < len(data):
            part = self._receive(len(data) - len(got), wanted, got)
            self.came = got + part
            if not part:
                self._say(f"received {shown(got)}, then the end of the stream (FIN)")
                raise self._mismatch("ended early", wanted, f"{shown(got)}, then the end of the stream")
            got += part
            if not data.startswith(got):
                self._say(f"received {shown(got)}")
                raise self._mismatch("wrong answer", wanted, _difference(data, got))
        if data:
            self._say(f"received {shown(got)}")

    def read(self, count: int) -> bytes:
        """Just so many bytes of a stream; fails as :meth:`expect`."""
        got = b""
        while len(got) < count:
            part = self._receive(count - len(got), f"{count} bytes", got)
            if not part:
                self._say(f"received {shown(got)}, then the end of the stream (FIN)")
                raise self._mismatch("ended early", f"{count} bytes", f"{shown(got)}, then the end of the stream")
            got += part
        return got

    def _receive(self, count: int, wanted: str, got: bytes) -> bytes:
        if self._kept:
            kept, self._kept = self._kept[:count], self._kept[count:]
            return kept
        if not self._stage.await_ready(self.socket):
            so_far = f"received {shown(got)}, then " if got else ""
            self._say(f"{so_far}nothing {'more ' if got else ''}came")
            waits = "your program waits" if self._stage.student.status is None else "your program has ended"
            if self._stage.student.status is None and self._stage.student.insatiable:
                raise self._mismatch("memory", wanted, "its memory grows")
            raise self._mismatch("no answer", wanted, f"{shown(got)}, and {waits}" if got else f"nothing: {waits}")
        try:
            return self.socket.recv(min(count, 65_536))
        except OSError as error:
            after = f"received {shown(got)}, then " if got else ""
            self._say(f"{after}{error.strerror}")
            kind: Kind = "refused" if error.errno == errno.ECONNREFUSED else "reset"
            raise self._mismatch(kind, wanted, f"{after}{error.strerror}") from error

    def _expect_datagram(self, data: bytes, wanted: str) -> None:
        got = self._receive(65_536, wanted, b"")
        if self.may_be_empty and data and not got:
            self._say("received an empty datagram")
            got = self._receive(65_536, wanted, b"")
        self.came = got
        self._say(f"received a datagram of {shown(got)}")
        if got != data:
            raise self._mismatch("wrong answer", wanted, _difference(data, got))

    @property
    def sent_by_others(self) -> list[bytes]:
        """What each of the other clients has sent."""
        return [one.sent for one in self._stage.clients if isinstance(one, Client) and one is not self]

    def expect_end(self, words: str = "the end of the stream") -> None:
        """The program closes in order, and nothing comes before."""
        try:
            rest = self._receive(65_536, words, b"")
        except Mismatch as mismatch:
            if mismatch.kind == "no answer":
                mismatch.kind = "not ended"
            raise
        if rest:
            self.came = rest
            self._say(f"received {shown(rest)}")
            raise self._mismatch("too much", words, shown(rest))
        self._say("saw the end of the stream (FIN)")

    def expect_closed(self, words: str = "a connection that the program closes", *, silently: bool = False) -> None:
        """The program gives the connection up, by FIN or by a reset; ``silently``: and sends nothing before."""
        while True:
            if not self._stage.await_ready(self.socket):
                self._say("nothing came, and the connection stayed open")
                kind: Kind = "memory" if self._stage.student.insatiable else "not ended"
                raise self._mismatch(kind, words, "it stays open")
            try:
                part = self.socket.recv(65_536)
                if not part:
                    self._say("saw the end of the stream (FIN)")
                    return
                if silently:
                    self._say(f"received {shown(part)}")
                    raise self._mismatch("too much", words, shown(part))
            except OSError as error:
                self._say(f"saw {error.strerror}")
                return

    def expect_nothing(self, rest_s: float = 0.25, words: str = "nothing") -> None:
        """The program has nothing to say now."""
        if self._kept or self._stage.await_ready(self.socket, rest_s=rest_s, limit_s=_LATER_S):
            try:
                more = self._kept or self.socket.recv(65_536)
            except OSError as error:
                self._say(f"saw {error.strerror}")
                raise self._mismatch("reset", words, error.strerror or "") from error
            if not more and not self._datagrams:
                self._say("saw the end of the stream (FIN)")
                raise self._mismatch("ended early", words, "the end of the stream")
            self._say(f"received {shown(more)}")
            raise self._mismatch("too much", words, shown(more))


class Service:
    """Our end as the service that a client asks by datagrams."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.socket.bind((stage.address, stage.port))
        self.asker: tuple[str, int] | None = None
        self.came_ns = 0  #: when the kernel had the last datagram (CLOCK_REALTIME)

    def close(self) -> None:
        """Close our socket."""
        self.socket.close()

    def expect(self, words: str, *, rest_s: float = 4.0) -> bytes:
        """The next datagram that the program sends; it may wait for a while before it does."""
        if not self._stage.await_ready(self.socket, rest_s=rest_s, limit_s=30.0):
            self._stage.say("no datagram came")
            student = self._stage.student
            seen = "nothing came" if student.status is None else f"it ended with {ending(student.status)}"
            raise Mismatch("no answer", words, seen, self.asker[1] if self.asker else None)
        data, self.came_ns, self.asker = received(self.socket)
        self._stage.say(f"received a datagram of {shown(data)}")
        return data

    def more(self) -> bytes | None:
        """A datagram that has come without being expected."""
        if not _readable("udp", self.socket):
            return None
        return self.socket.recv(65_536)

    def answer(self, data: bytes) -> None:
        """Answer who asked last."""
        assert self.asker is not None
        self.socket.sendto(data, self.asker)
        self._stage.say(f"answered with {shown(data)}")

    def mismatch(self, kind: Kind, expected: str, seen: str) -> Mismatch:
        """One that names the program's socket."""
        return Mismatch(kind, expected, seen, self.asker[1] if self.asker else None)


#: include/uapi/asm-generic/socket.h: each datagram comes with the time when the kernel had it.
SO_TIMESTAMPNS: Final = 35


def received(one: socket.socket) -> tuple[bytes, int, tuple[str, int]]:
    """The next datagram of a socket with :data:`SO_TIMESTAMPNS`: its bytes, its time in nanoseconds, and who sent it."""
    data, notes, _, sender = one.recvmsg(65_536, 64)
    times = [note for level, kind, note in notes if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS)]
    seconds, rest = struct.unpack("qq", times[0]) if times else (0, time.time_ns())
    return data, seconds * 1_000_000_000 + rest, sender


#: States of /proc/net/tcp in which nothing but data is to be read: ESTABLISHED, FIN_WAIT1, FIN_WAIT2.
_OPEN: Final = ("01", "04", "05")
#: The state of a connection of which the peer has finished.
_CLOSE_WAIT: Final = "08"


def _readable(protocol: str, one: socket.socket) -> bool:
    """Whether a read of this socket would not wait, by the tables in /proc/net."""
    inode = str(os.fstat(one.fileno()).st_ino)
    with open(f"/proc/net/{protocol}", encoding="ascii") as table:
        for row in table:
            words = row.split()
            if len(words) > 9 and words[9] == inode:
                return not words[4].endswith(":00000000") or (protocol == "tcp" and words[3] not in _OPEN)
    # A socket in TIME_WAIT, or reset, stands there no more, or without its number.
    return True


def _unread(one: socket.socket) -> tuple[str, ...]:
    """Bytes that the other end of a connection within this host has not read: what waits at either end, as /proc/net/tcp has it."""
    with contextlib.suppress(OSError):
        ports = [f":{port:04X}" for port in (one.getsockname()[1], one.getpeername()[1])]
        found = []
        for table in ("tcp", "tcp6"):
            with open(f"/proc/net/{table}", encoding="ascii") as rows:
                found += [words[4] for words in map(str.split, rows) if {words[1][-5:], words[2][-5:]} == set(ports)]
        return tuple(found)
    return ()


def _waiting(protocol: str, port: int) -> int:
    """How many bytes wait in the sockets of that port, listeners left out."""
    waiting = 0
    for family in ("", "6"):
        with contextlib.suppress(OSError), open(f"/proc/net/{protocol}{family}", encoding="ascii") as table:
            next(table, None)
            for row in table:
                words = row.split()
                if int(words[1].rpartition(":")[2], 16) == port and words[3] in (*_OPEN, _CLOSE_WAIT):
                    waiting += int(words[4].rpartition(":")[2], 16)
    return waiting


def _has_error(one: socket.socket) -> bool:
    """Whether an error waits to be told by the next call (an ICMP message, of UDP); the tables do not show it."""
    poller = select.poll()
    poller.register(one, 0)
    return bool(poller.poll(0))


def ending(status: int | None) -> str:
    """An exit status in words."""
    if status is None:
        return "an unknown status"
    return f"status {status}" if status >= 0 else f"signal {-status}"


def _quoted(text: str) -> str:
    lines = text.splitlines()
    return repr(text) if len(text) < 80 else f"{len(lines)} lines, the last one {lines[-1][:60]!r}"


def _difference(wanted: bytes, got: bytes) -> str:
    """Where two byte strings part."""
    at = next((i for i, (a, b) in enumerate(zip(wanted, got, strict=False)) if a != b), min(len(wanted), len(got)))
    if at == len(got):
        return f"{shown(got)}, the first {at} of {len(wanted)} bytes" if got else shown(got)
    if at == len(wanted):
        return f"{shown(got)}: the {at} that were expected, and {len(got) - at} more"
    if at == 0 or len(got) <= 24:
        return shown(got)
    return f"{shown(got)}; byte {at} is {got[at : at + 8]!r} instead of {wanted[at : at + 8]!r}"


def _instead(protocol: str, student: Student) -> str:
    """What is bound instead, where the program waits for something."""
    ports = sorted({port for _, port in student.bound(protocol)})
    what = "listens on" if protocol == "tcp" else "is bound to"
    return f"it {what} port {', '.join(map(str, ports))}" if ports else "it waits for something else"
