"""Unix sockets: streams, datagrams and seqpackets between processes of one machine.

Addresses are paths (``"/run/x"``, ``"unix:/run/x"``) or abstract names (``"unix:@name"``), which live in the network
namespace, need no file and vanish with their socket. ``timeout_s`` is as for TCP.
"""

from __future__ import annotations

import array
import contextlib
import errno
import os
import socket
import stat
import struct
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from ..errors import DeadlinePassed, TruncatedDatagram, UsageError, WouldBlock
from . import addresses
from . import flags as msg
from .accepting import Accepting
from .addresses import Address
from .base import Base, Blocking, byte_view, default_host, make_socket, positive
from .states import TCP, UDP
from .steps import READABLE, WRITABLE, Pause, Steps, run
from .stream import RECEIVE_SIZE, BlockingStream, StreamSteps, check_size
from .udp import Datagram

if TYPE_CHECKING:
    from ..kernel import Host

__all__ = ["Connection", "Credentials", "Endpoint", "Kind", "Listener", "bind", "connect", "listen", "pair"]

#: What a connected Unix socket carries: bytes, or messages that keep their limits.
Kind = Literal["stream", "seqpacket"]

_KINDS: Final = {"stream": socket.SOCK_STREAM, "seqpacket": socket.SOCK_SEQPACKET}
#: Descriptors in one message (SCM_MAX_FD of include/net/scm.h).
MAX_DESCRIPTORS: Final = 253
#: Larger than any datagram that the default send buffer lets through.
DATAGRAM_SIZE: Final = 1 << 18

MessageT = TypeVar("MessageT")
ConnectionT = TypeVar("ConnectionT", bound="ConnectionSteps")
ListenerT = TypeVar("ListenerT", bound="ListenerSteps")
EndpointT = TypeVar("EndpointT", bound="EndpointSteps")


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who was at the other end when it connected or listened (SO_PEERCRED); numbers of this process' namespaces."""

    pid: int
    uid: int
    gid: int


def kind_number(kind: str) -> int:
    """Return the socket type of ``kind``."""
    if kind not in _KINDS:
        raise UsageError(f"kind must be 'stream' or 'seqpacket', got {kind!r}")
    return _KINDS[kind]


def _unix_state(sock: socket.socket) -> str:
    if sock.fileno() < 0:
        return "none"
    if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return "LISTEN"
    try:
        sock.getpeername()
    except OSError:
        return "CLOSE"
    return "ESTABLISHED"


class SocketFile:
    """The file that binding to a path makes; it is removed with the socket, if it still is the same file."""

    def __init__(self, path: str) -> None:
        self._path: Final = path
        found = os.stat(path)
        self._identity = (found.st_dev, found.st_ino)

    def remove(self) -> None:
        """Remove the file unless somebody has put another one there."""
        with contextlib.suppress(OSError):
            found = os.stat(self._path)
            if (found.st_dev, found.st_ino) == self._identity:
                os.unlink(self._path)


def _bind(endpoint: Base, address: Address, *, replace_stale: bool, mode: int | None) -> SocketFile | None:
    name = addresses.parse_unix(address)
    endpoint._named = address
    sock = endpoint._socket
    try:
        try:
            sock.bind(name)
        except OSError as error:
            stale = error.errno == errno.EADDRINUSE and replace_stale and _is_stale(endpoint, name)
            if not stale:
                raise
            os.unlink(name)
            sock.bind(name)
    except OSError as error:
        raise endpoint._failed(error, "bind", name) from None
    if isinstance(name, bytes) and name.startswith(b"\0"):
        return None
    path = os.path.abspath(os.fsdecode(name))
    if mode is not None:
        os.chmod(path, mode)
    return SocketFile(path)


def _is_stale(endpoint: Base, name: str | bytes) -> bool:
    """Say whether the file is a socket that no process has open any more."""
    try:
        if not stat.S_ISSOCK(os.stat(name).st_mode):
            return False
    except (OSError, ValueError):
        return False
    with endpoint._host.socket(socket.AF_UNIX, endpoint._socket.type, 0) as probe:
        probe.setblocking(False)
        return probe.connect_ex(name) == errno.ECONNREFUSED


class ConnectionSteps(StreamSteps):
    """A connected Unix socket: operations as steps, and everything that never waits."""

    protocol = "unix"

    def __init__(self, sock: socket.socket, host: Host, state: str) -> None:
        super().__init__(sock, host, state)
        self._messages_kept = sock.type == socket.SOCK_SEQPACKET

    @property
    def kind(self) -> Kind:
        """``"stream"`` or ``"seqpacket"``."""
        return "seqpacket" if self._messages_kept else "stream"

    @property
    def kernel_state(self) -> str:
        """``"ESTABLISHED"``, ``"CLOSE"``, or ``"none"`` when closed."""
        return _unix_state(self._socket)

    @property
    def peer_credentials(self) -> Credentials:
        """Who is at the other end."""
        self._require_open("peer_credentials")
        raw = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return Credentials(*struct.unpack("3i", raw))

    def _now_receive(self, max_bytes: int, flags: int) -> bytes | None:
        if not self._messages_kept:
            return super()._now_receive(max_bytes, flags)
        found = self._now_receive_descriptors(max_bytes, 0, flags)
        return None if found is None else found[0]

    def _receive_descriptors(self, max_bytes: int, max_descriptors: int, flags: int) -> Steps[tuple[bytes, list[int]]]:
        while (found := self._now_receive_descriptors(max_bytes, max_descriptors, flags)) is None:
            yield READABLE
        return found

    def _now_receive_descriptors(
        self, max_bytes: int, max_descriptors: int, flags: int
    ) -> tuple[bytes, list[int]] | None:
        if self._state not in _CAN_RECEIVE:
            self._wrong("receive")
        if self._kept:
            return self._take_kept(max_bytes, flags), []
        room = socket.CMSG_SPACE(4 * max_descriptors) if max_descriptors else 0
        flags |= msg.CMSG_CLOEXEC
        if self._messages_kept:
            # The kernel returns a message's true length; only a buffer of ours makes that safe in Python.
            flags |= msg.TRUNC
        buffer = bytearray(max_bytes)
        while True:
            try:
                length, control, status, _ = self._socket.recvmsg_into([buffer], room, flags)
            except BlockingIOError:
                return None
            except InterruptedError:
                continue
            except OSError as error:
                raise self._broken(error, "receive") from None
            break
        data = bytes(memoryview(buffer)[:length])
        descriptors = array.array("i")
        for level, kind, value in control:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors.frombytes(value[: len(value) - len(value) % 4])
        if status & msg.CTRUNC and max_descriptors:
            for descriptor in descriptors:
                os.close(descriptor)
            raise UsageError(
                f"more than max_descriptors={max_descriptors} descriptors came; the kernel closed the others"
            )
        if status & msg.TRUNC:
            for descriptor in descriptors:
                os.close(descriptor)
            lost = length - max_bytes
            text = f"a message of {length} bytes did not fit into max_bytes={max_bytes}; {lost} bytes are lost"
            raise TruncatedDatagram(text, length, data, self.peer)
        if data:
            self._bytes_received += 0 if flags & msg.PEEK else len(data)
        elif max_bytes and not descriptors:
            self._peer_finished()
        return data, list(descriptors)

    def _peer_finished(self) -> None:
        after = {"established": "receiving finished", "sending finished": "both finished"}
        self._state = after.get(self._state, self._state)

    def _send_descriptors(self, data: Any, descriptors: Sequence[int], flags: int) -> Steps[int]:
        if self._state not in _CAN_SEND:
            self._wrong("send")
        view = byte_view(data)
        if not view:
            raise UsageError("descriptors travel with at least one byte of data (unix(7))")
        if not 1 <= len(descriptors) <= MAX_DESCRIPTORS:
            raise UsageError(f"1 to {MAX_DESCRIPTORS} descriptors fit into a message, got {len(descriptors)}")
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
        while True:
            try:
                sent = self._socket.sendmsg([view], rights, flags)
            except BlockingIOError:
                pass
            except InterruptedError:
                continue
            except OSError as error:
                raise self._broken(error, "send") from None
            else:
                self._bytes_sent += sent
                return sent
            yield WRITABLE


_CONNECTED: Final = UDP.allowing("send")
_SENDABLE: Final = UDP.allowing("sendto")
_CAN_SEND: Final = TCP.allowing("send") - {"connecting"}
_CAN_RECEIVE: Final = TCP.allowing("receive") - {"connecting"}
_CAN_LISTEN: Final = TCP.allowing("listen")


class ListenerSteps(Accepting):
    """A listening Unix socket: operations as steps, and everything that never waits."""

    protocol = "unix"

    def __init__(
        self,
        sock: socket.socket | None = None,
        host: Host | None = None,
        state: str = "created",
        *,
        kind: Kind = "stream",
    ) -> None:
        home = default_host(host)
        super().__init__(sock or make_socket(home, socket.AF_UNIX, kind_number(kind)), home, state)
        self._file: SocketFile | None = None

    @property
    def kernel_state(self) -> str:
        """``"LISTEN"``, ``"CLOSE"``, or ``"none"`` when closed."""
        return _unix_state(self._socket)

    def bind(self, address: Address, *, replace_stale: bool = True, mode: int | None = None) -> None:
        """Choose the address; see `listen` for the arguments."""
        if self._state not in TCP.allowing("bind"):
            self._wrong("bind")
        self._file = _bind(self, address, replace_stale=replace_stale, mode=mode)
        self._state = "bound"

    def listen(self, backlog: int = 128) -> None:
        """Begin to take connections."""
        if self._state not in _CAN_LISTEN or self._state == "created":
            raise UsageError(f"{self._name()}: listen() needs an address; call bind() first")
        try:
            self._socket.listen(backlog)
        except OSError as error:
            raise self._failed(error, "listen", self._socket.getsockname()) from None
        self._state = "listening"

    def _close(self) -> None:
        if self._file is not None and self._state != "closed":
            self._file.remove()
        super()._close()


def connect_steps(kind_of: type[ConnectionT], address: Address, kind: str, host: Host | None) -> Steps[ConnectionT]:
    """Connect; a full backlog is waited for."""
    home = default_host(host)
    name = addresses.parse_unix(address)
    connection = kind_of(make_socket(home, socket.AF_UNIX, kind_number(kind)), home, "created")
    connection._named = address
    sock = connection._socket
    pause_s = 0.001
    try:
        sock.setblocking(False)
        while (code := sock.connect_ex(name)) in (errno.EAGAIN, errno.EINTR):
            # There is no event for room in a Unix backlog.
            yield Pause(pause_s)
            pause_s = min(pause_s * 2, 0.05)
        if code:
            raise connection._failed(OSError(code, os.strerror(code)), "connect", name)
        sock.setblocking(kind_of.blocking)
        connection._state = "established"
    except BaseException:
        connection._close()
        raise
    return connection


class EndpointSteps(Base):
    """A Unix datagram socket: operations as steps, and everything that never waits.

    Unlike UDP it is reliable: a full receiver makes the sender wait, and a missing one is an error.
    """

    graph = UDP
    protocol = "unix"

    def __init__(self, sock: socket.socket | None = None, host: Host | None = None, state: str = "created") -> None:
        home = default_host(host)
        super().__init__(sock or make_socket(home, socket.AF_UNIX, socket.SOCK_DGRAM), home, state)
        if not self.blocking:
            self._socket.setblocking(False)
        self._file: SocketFile | None = None
        self._spare: bytearray | None = None
        #: Datagrams that were taken for a receive that was cancelled.
        self._kept: deque[Datagram] = deque()
        #: An error that came behind datagrams which were returned.
        self._untold: Exception | None = None

    @property
    def kernel_state(self) -> str:
        """``"ESTABLISHED"`` with a peer, ``"CLOSE"`` without, ``"none"`` when closed."""
        return _unix_state(self._socket)

    def bind(self, address: Address, *, replace_stale: bool = True, mode: int | None = None) -> None:
        """Choose the address, without which nobody can answer."""
        if self._state not in UDP.allowing("bind"):
            self._wrong("bind")
        self._file = _bind(self, address, replace_stale=replace_stale, mode=mode)
        self._state = "bound"

    def connect(self, address: Address) -> None:
        """Choose one peer."""
        if self._state not in UDP.allowing("connect"):
            self._wrong("connect")
        name = addresses.parse_unix(address)
        self._named = address
        try:
            self._socket.connect(name)
        except OSError as error:
            raise self._failed(error, "connect", name) from None
        self._state = "connected"

    def _now_receive(self, max_bytes: int, flags: int) -> Datagram | None:
        """Receive without waiting beyond what ``flags`` allow; ``None``: nothing is there yet."""
        if self._state == "closed":
            self._wrong("receive")
        if self._kept:
            return self._kept[0] if flags & msg.PEEK else self._kept.popleft()
        if self._untold is not None:
            error, self._untold = self._untold, None
            raise error
        # Taken out while in use, so that threads never share it; a fresh buffer each time would be zeroed each time.
        buffer, self._spare = self._spare, None
        if buffer is None or len(buffer) < max_bytes:
            buffer = bytearray(max_bytes)
        room = memoryview(buffer)[:max_bytes]
        while True:
            try:
                length, _, _, peer = self._socket.recvmsg_into([room], 0, flags | msg.TRUNC)
            except BlockingIOError:
                self._spare = buffer
                return None
            except InterruptedError:
                continue
            except OSError as error:
                raise self._failed(error, "receive") from None
            else:
                data = bytes(room[:length])
                self._spare = buffer
                if length > max_bytes:
                    text = f"a datagram of {length} bytes did not fit into max_bytes={max_bytes}"
                    raise TruncatedDatagram(f"{text}; {length - max_bytes} bytes are lost", length, data, peer)
                return Datagram(data, peer)

    def _receive(self, max_bytes: int, flags: int) -> Steps[Datagram]:
        while (found := self._now_receive(max_bytes, flags)) is None:
            yield READABLE
        return found

    def _now_many(self, limit: int, flags: int) -> list[Datagram] | None:
        """Receive all that is there, up to ``limit``; ``None`` as `_now_receive`."""
        found: list[Datagram] = []
        while len(found) < limit:
            try:
                one = self._now_receive(DATAGRAM_SIZE, flags)
            except (OSError, TruncatedDatagram) as error:
                if not found:
                    raise
                self._untold = error  # it is for the next call
                break
            if one is None:
                break
            found.append(one)
            flags |= msg.DONTWAIT
        return found or None

    def _receive_many(self, limit: int, flags: int) -> Steps[list[Datagram]]:
        while (found := self._now_many(limit, flags)) is None:
            yield READABLE
        return found

    def _put_back(self, datagrams: Sequence[Datagram]) -> None:
        """Keep for the next receive what a cancelled one had taken."""
        self._kept.extendleft(reversed(datagrams))

    def _send_many(self, datagrams: Sequence[Any], to: Address | None, flags: int) -> Steps[int]:
        sent = 0
        try:
            for data in datagrams:
                yield from self._send(data, to, flags)
                sent += 1
        except (DeadlinePassed, WouldBlock) as error:
            error.done = sent
            error.strerror = f"{error.strerror} ({sent} of {len(datagrams)} datagrams went out)"
            raise
        return sent

    def _send(self, data: Any, to: Address | None, flags: int) -> Steps[None]:
        if self._state not in (_CONNECTED if to is None else _SENDABLE):
            self._wrong("send" if to is None else "sendto")
        name = None if to is None else addresses.parse_unix(to)
        while True:
            pause = False
            try:
                if name is None:
                    self._send_call(data, flags)
                else:
                    self._socket.sendto(data, flags, name)
            except BlockingIOError:
                # Writability means room in our own buffer; for room in the receiver's of a sendto() there is no event.
                pause = name is not None
            except InterruptedError:
                continue
            except TypeError:
                byte_view(data)
                raise
            except OSError as error:
                raise self._failed(error, "send", name) from None
            else:
                return
            yield Pause(0.002) if pause else WRITABLE

    def _close(self) -> None:
        if self._file is not None and self._state != "closed":
            self._file.remove()
        super()._close()


def bound(endpoint: EndpointT, address: Address, replace_stale: bool, mode: int | None) -> EndpointT:
    """Bind ``endpoint``, or close it; return it."""
    try:
        endpoint.bind(address, replace_stale=replace_stale, mode=mode)
    except BaseException:
        endpoint._close()
        raise
    return endpoint


def listening(listener: ListenerT, address: Address, backlog: int, replace_stale: bool, mode: int | None) -> ListenerT:
    """Bind ``listener`` and listen, or close it; return it."""
    try:
        listener.bind(address, replace_stale=replace_stale, mode=mode)
        listener.listen(backlog)
    except BaseException:
        listener._close()
        raise
    return listener


class Connection(ConnectionSteps, BlockingStream):
    """A connected Unix socket; made by `connect`, `Listener.accept` or `pair`."""

    def receive(self, max_bytes: int = RECEIVE_SIZE, *, timeout_s: float | None = None, peek: bool = False) -> bytes:
        """Return the bytes that are there (stream) or the next message (seqpacket); ``b""`` at the end.

        Raises:
            TruncatedDatagram: a seqpacket message was longer than ``max_bytes``.
        """
        flags = (0 if timeout_s is None else msg.DONTWAIT) | (msg.PEEK if peek else 0)
        return run(self._receive(check_size(max_bytes), flags), self, timeout_s, "receive")

    def send(self, data: Any, *, timeout_s: float | None = None) -> int:
        """Hand bytes or one message to the kernel; return how many bytes it took."""
        flags = msg.NOSIGNAL if timeout_s is None else msg.SEND_NOW
        return run(self._send(data, flags), self, timeout_s, "send")

    def send_descriptors(self, data: Any, descriptors: Sequence[int], *, timeout_s: float | None = None) -> int:
        """Send bytes, and copies of open descriptors with them; return how many bytes went.

        Args:
            data: at least one byte.
            descriptors: at most 253; they stay open here.
            timeout_s: as for TCP.
        """
        flags = msg.NOSIGNAL if timeout_s is None else msg.SEND_NOW
        return run(self._send_descriptors(data, descriptors, flags), self, timeout_s, "send")

    def receive_descriptors(
        self, max_bytes: int = RECEIVE_SIZE, *, max_descriptors: int = 16, timeout_s: float | None = None
    ) -> tuple[bytes, list[int]]:
        """Return bytes, and the descriptors that came with them (close-on-exec; the caller closes them).

        Raises:
            UsageError: more than ``max_descriptors`` came; all are closed.
        """
        flags = 0 if timeout_s is None else msg.DONTWAIT
        positive(max_descriptors, "max_descriptors")
        return run(self._receive_descriptors(max_bytes, max_descriptors, flags), self, timeout_s, "receive")


class Listener(ListenerSteps, Blocking):
    """A listening Unix socket; iterating accepts for ever. Made by `listen`, or step by step.

    Args:
        kind: ``"stream"`` or ``"seqpacket"``.
        host: whose socket it is; the caller's own host by default.
    """

    def accept(self, *, timeout_s: float | None = None) -> Connection:
        """Return the next connection."""
        return run(self._accept(Connection), self, timeout_s, "accept")

    def __iter__(self) -> Iterator[Connection]:
        while self._state == "listening":
            yield self.accept()


class Endpoint(EndpointSteps, Blocking):
    """A Unix datagram socket. Made by `bind`, or step by step.

    Args:
        host: whose socket it is; the caller's own host by default.
    """

    def receive(
        self, max_bytes: int = DATAGRAM_SIZE, *, timeout_s: float | None = None, peek: bool = False
    ) -> Datagram:
        """Return the next datagram; its peer is ``None`` or ``""`` when the sender has no address.

        Raises:
            TruncatedDatagram: it was longer than ``max_bytes``.
        """
        flags = (0 if timeout_s is None else msg.DONTWAIT) | (msg.PEEK if peek else 0)
        return run(self._receive(positive(max_bytes, "max_bytes"), flags), self, timeout_s, "receive")

    def send(self, data: Any, to: Address | None = None, *, timeout_s: float | None = None) -> None:
        """Send one datagram; waits while the receiver's queue is full."""
        run(self._send(data, to, msg.SEND_NOW), self, timeout_s, "send")

    def receive_many(self, limit: int = 64, *, timeout_s: float | None = None) -> list[Datagram]:
        """Return the datagrams that are there, at most ``limit``, waiting for the first."""
        flags = 0 if timeout_s is None else msg.DONTWAIT
        return run(self._receive_many(positive(limit, "limit"), flags), self, timeout_s, "receive")

    def send_many(self, datagrams: Iterable[Any], to: Address | None = None, *, timeout_s: float | None = None) -> int:
        """Send datagrams to one receiver; return how many. `DeadlinePassed.done` counts those before a deadline."""
        return run(self._send_many(list(datagrams), to, msg.SEND_NOW), self, timeout_s, "send")


def connect(
    address: Address, *, kind: Kind = "stream", host: Host | None = None, timeout_s: float | None = None
) -> Connection:
    """Connect to a Unix listener.

    Args:
        address: path or ``"unix:@abstract"``.
        kind: what the listener is.
        host: where the socket is made; abstract names belong to a host.
        timeout_s: how long a full backlog is waited for.
    """
    return run(connect_steps(Connection, address, kind, host), None, timeout_s, "connect")


def listen(
    address: Address,
    *,
    kind: Kind = "stream",
    host: Host | None = None,
    backlog: int = 128,
    replace_stale: bool = True,
    mode: int | None = None,
) -> Listener:
    """Create a Unix listener.

    Args:
        address: path or ``"unix:@abstract"``.
        kind: ``"stream"`` or ``"seqpacket"``.
        host: where the socket is made.
        backlog: connections that may wait for `Listener.accept`.
        replace_stale: take over a socket file that no process has open any more, as a crash leaves it.
        mode: permissions of the file, ``0o660``; connecting needs write permission.
    """
    return listening(Listener(None, host, kind=kind), address, backlog, replace_stale, mode)


def bind(
    address: Address, *, host: Host | None = None, replace_stale: bool = True, mode: int | None = None
) -> Endpoint:
    """Create a Unix datagram endpoint; the arguments are those of `listen`."""
    return bound(Endpoint(None, host), address, replace_stale, mode)


def pair(kind: Kind = "stream") -> tuple[Connection, Connection]:
    """Return two connections that are connected with each other (socketpair)."""
    home = default_host(None)
    a, b = socket.socketpair(socket.AF_UNIX, kind_number(kind))
    return Connection(a, home, "established"), Connection(b, home, "established")
