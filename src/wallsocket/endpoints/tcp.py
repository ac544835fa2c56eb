"""TCP: connections and listeners.

Three modes, chosen at each call by ``timeout_s``: ``None`` (the default) waits for ever, a number is a deadline for the
whole operation (`DeadlinePassed`), 0 never waits (`WouldBlock`). `wallsocket.aio.tcp` has the same for asyncio and
trio, where cancel scopes take the place of ``timeout_s``.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ..errors import DeadlinePassed, UsageError, WouldBlock
from ..kernel.names import tcp_state
from . import addresses
from . import flags as msg
from .accepting import AcceptedT, Accepting
from .addresses import Address, Target
from .base import Base, Blocking, Inet, default_host, make_socket
from .states import TCP
from .steps import WRITABLE, AnyReady, Steps, run
from .stream import RECEIVE_SIZE, BlockingStream, StreamSteps, check_size

if TYPE_CHECKING:
    from ..framing import Framing
    from ..kernel import Host, TcpInfo
    from .messages import MessageStream

__all__ = ["Backlog", "Connection", "Listener", "adopt", "connect", "listen", "messages"]

#: Seconds between attempts when a name has several addresses (RFC 8305, section 5, recommends 250 ms).
STAGGER_S: Final = 0.25

_SO_LINGER_RESET: Final = struct.pack("ii", 1, 0)

MessageT = TypeVar("MessageT")
ConnectionT = TypeVar("ConnectionT", bound="ConnectionSteps")
ListenerT = TypeVar("ListenerT", bound="ListenerSteps")


def kernel_state(sock: socket.socket) -> str:
    """Return the first field of TCP_INFO as a name."""
    if sock.fileno() < 0:
        return "none"
    number = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    return tcp_state(number)


class ConnectionSteps(StreamSteps):
    """A TCP connection: operations as steps, and everything that never waits."""

    protocol = "tcp"

    @property
    def kernel_state(self) -> str:
        """The kernel's state, from TCP_INFO; a socket in TIME_WAIT reads ``"CLOSE"``."""
        return kernel_state(self._socket)

    @property
    def info(self) -> TcpInfo:
        """What the kernel knows of the connection: round-trip time, windows, retransmissions (TCP_INFO)."""
        from ..kernel import TcpInfo

        self._require_open("info")
        return TcpInfo.of(self._socket)

    def bind(self, address: Address) -> None:
        """Choose the local address before `connect`; a port of 0 leaves the port to the kernel."""
        bind_stream(self, address)

    @property
    def no_delay(self) -> bool:
        """Whether small segments go out at once (TCP_NODELAY). On for connections of ours: framed messages need it."""
        return bool(self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    @no_delay.setter
    def no_delay(self, on: bool) -> None:
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, int(on))

    @contextlib.contextmanager
    def corked(self) -> Iterator[None]:
        """Hold partial segments back inside the ``with`` block, so that several sends fill whole ones (TCP_CORK).

        The kernel holds them back for 200 ms at most (tcp(7)).
        """
        self._require_open("corked")
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        try:
            yield
        finally:
            if self._socket.fileno() >= 0:
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)

    def keep_alive(self, idle_s: int, interval_s: int, probes: int) -> None:
        """Probe a silent peer after ``idle_s`` seconds, every ``interval_s``; give up after ``probes`` unanswered ones.

        Without it an idle connection to a vanished peer stays open for ever; the kernel's default is to start after two
        hours. Ends in ETIMEDOUT.
        """
        for name, value in (("idle_s", idle_s), ("interval_s", interval_s), ("probes", probes)):
            if not 1 <= value <= 32767:
                raise UsageError(f"{name} must be 1 to 32767, got {value!r}")
        self._require_open("keep_alive")
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, idle_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, interval_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, probes)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    @property
    def user_timeout_s(self) -> float:
        """Seconds that sent bytes may stay unacknowledged before the connection is given up (TCP_USER_TIMEOUT).

        0: the kernel's default, about a quarter of an hour. An idle connection is not touched.
        """
        return self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) / 1000

    @user_timeout_s.setter
    def user_timeout_s(self, seconds: float) -> None:
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(seconds * 1000))

    def disconnect(self) -> None:
        """Dissolve the connection by connect(AF_UNSPEC): the peer sees a reset, the socket can connect again."""
        self._require_open("disconnect")
        disconnect(self._socket)
        self._kept = b""
        self._state = "bound" if self._socket.getsockname()[1] else "created"

    def abort(self) -> None:
        """Close by RST: whatever is unsent or unread is thrown away, on both sides, and no TIME_WAIT is left."""
        if self._state == "closed":
            return
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _SO_LINGER_RESET)
        self._close()

    def _connect(self, address: Address) -> Steps[None]:
        """Connect this very socket to the first address that takes it, one after the other."""
        if self._state not in _CAN_CONNECT:
            self._wrong("connect")
        where = addresses.parse(address, "tcp")
        self._named = address
        found = yield from addresses.targets(self._host, where, socket.SOCK_STREAM, family=self._socket.family)
        failure: OSError | None = None
        for target in found:
            try:
                yield from self._connect_to(target)
            except DeadlinePassed as late:
                self._failed(late, "connect", target.sockaddr)
                raise
            except WouldBlock:
                raise
            except OSError as error:
                self._state = "refused"
                failure = error
            else:
                return
        if failure is None:
            raise UsageError(f"{address!r} has no address that this socket can reach")
        raise self._failed(failure, "connect", found[-1].sockaddr)

    def _connect_to(self, target: Target) -> Steps[None]:
        blocking = self._socket.getblocking()
        self._socket.setblocking(False)
        try:
            code = self._socket.connect_ex(target.sockaddr)
            self._state = "connecting"
            while code in (errno.EINPROGRESS, errno.EALREADY, errno.EINTR):
                yield WRITABLE
                # Asked by connect() once more, not by SO_ERROR: only so may the socket be used again after a failure.
                code = self._socket.connect_ex(target.sockaddr)
            self._state = "refused" if code else "established"
            if code:
                raise OSError(code, os.strerror(code))
        finally:
            if self._socket.fileno() >= 0:
                if self._state == "connecting":
                    # Cancelled or out of time: the kernel goes on trying unless told to stop.
                    disconnect(self._socket)
                    self._state = "bound" if self._socket.getsockname()[1] else "created"
                self._socket.setblocking(blocking)


_CAN_CONNECT: Final = TCP.allowing("connect")
_CAN_BIND: Final = TCP.allowing("bind")
_CAN_LISTEN: Final = TCP.allowing("listen")


def disconnect(sock: socket.socket) -> None:
    """Call connect(AF_UNSPEC), which Python's socket module cannot say."""
    from ..kernel import disconnect as kernel_disconnect

    kernel_disconnect(sock.fileno())


def bind_stream(endpoint: Base, address: Address) -> None:
    """Bind ``endpoint`` (in state created) to the first address that fits its family."""
    if endpoint._state not in _CAN_BIND:
        endpoint._wrong("bind")
    endpoint._named = address
    where = addresses.parse(address, "tcp")
    family = endpoint._socket.family
    steps = addresses.targets(endpoint._host, where, socket.SOCK_STREAM, passive=True, family=family)
    found = run(steps, None, None, "bind")
    if not found:
        raise UsageError(f"{address!r} has no address that this socket can have")
    try:
        endpoint._socket.bind(found[0].sockaddr)
    except OSError as error:
        raise endpoint._failed(error, "bind", found[0].sockaddr) from None
    endpoint._state = "bound"


@dataclass(frozen=True, slots=True)
class Backlog:
    """The two queues of a listener.

    Attributes:
        asked: what `listen` was given.
        in_force: what the kernel made of it: at most ``net.core.somaxconn``.
        waiting: completed connections that wait for `accept`; one more than ``in_force`` fits.
        half_open: connections whose handshake is under way (SYN_RECV); ``None`` when it cannot be read.
    """

    asked: int
    in_force: int
    waiting: int
    half_open: int | None


class ListenerSteps(Accepting):
    """A listening socket: operations as steps, and everything that never waits."""

    protocol = "tcp"

    def __init__(self, sock: socket.socket, host: Host, state: str = "created") -> None:
        super().__init__(sock, host, state)
        self._asked = 0

    @property
    def kernel_state(self) -> str:
        """The kernel's state, from TCP_INFO: ``"LISTEN"`` or ``"CLOSE"``."""
        return kernel_state(self._socket)

    def bind(self, address: Address) -> None:
        """Choose the address to listen on."""
        bind_stream(self, address)

    def listen(self, backlog: int = 128) -> None:
        """Begin to take connections, or change the backlog.

        Args:
            backlog: completed connections that may wait for `accept`; see `Backlog` for what the kernel makes of it.
        """
        if self._state not in _CAN_LISTEN:
            self._wrong("listen")
        if isinstance(backlog, bool) or not isinstance(backlog, int) or backlog < 0:
            raise UsageError(f"backlog must be a number of connections, got {backlog!r}")
        try:
            self._socket.listen(backlog)
        except OSError as error:
            raise self._failed(error, "listen", self._socket.getsockname()) from None
        self._asked = backlog
        self._state = "listening"

    @property
    def backlog(self) -> Backlog:
        """Both queues, read now."""
        if self._state != "listening":
            self._wrong("backlog")
        # For a listener TCP_INFO's tcpi_unacked and tcpi_sacked hold queue length and limit (net/ipv4/tcp.c).
        raw = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32)
        waiting, in_force = struct.unpack_from("=II", raw, 24)
        return Backlog(self._asked, in_force, waiting, self._half_open())

    def _half_open(self) -> int | None:
        local = self._socket.getsockname()
        try:
            entries = self._host.sockets("tcp", states=["SYN_RECV"])
        except OSError:
            return None
        return sum(1 for entry in entries if entry.local.port == local[1])

    def _made(self, sock: socket.socket, kind: type[AcceptedT]) -> AcceptedT:
        prepare(sock)
        return super()._made(sock, kind)


def prepare(sock: socket.socket) -> None:
    """Set what every connection of ours has."""
    sock.setblocking(True)
    with contextlib.suppress(OSError):  # the peer may have reset it already
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def connect_steps(
    kind: type[ConnectionT],
    address: Address,
    host: Host | None,
    source: Address | None,
    setup: Callable[[socket.socket], object] | None,
    stagger_s: float,
) -> Steps[ConnectionT]:
    """Connect to whichever address of ``address`` answers first, attempts staggered as RFC 8305 has it."""
    home = default_host(host)
    where = addresses.parse(address, "tcp")
    found = list((yield from addresses.targets(home, where, socket.SOCK_STREAM)))
    local = None
    if source is not None:
        local = yield from addresses.targets(home, addresses.parse(source, "tcp"), socket.SOCK_STREAM, passive=True)
        found = [target for target in found if any(each.family == target.family for each in local)]
    if not found:
        raise UsageError(f"{address!r} has no address" + (f" of the family of {source!r}" if source else ""))
    under_way: dict[socket.socket, Target] = {}
    failures: list[tuple[Target, OSError]] = []
    pending = found[:]
    try:
        while pending or under_way:
            settled: list[tuple[socket.socket, int]] = []
            if pending:
                target = pending.pop(0)
                sock = make_socket(home, target.family, socket.SOCK_STREAM)
                under_way[sock] = target
                code = _begin(sock, target, setup, local)
                if code != errno.EINPROGRESS:
                    settled.append((sock, code))
            if not settled:
                ready = yield AnyReady(list(under_way), WRITABLE, stagger_s if pending else None)
                settled += [(each, each.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)) for each in ready]
            for each, code in settled:
                if code:
                    failures.append((under_way.pop(each), OSError(code, os.strerror(code))))
                    each.close()
                    continue
                del under_way[each]
                prepare(each)
                connection = kind(each, home, "established")
                connection._named = address
                return connection
    except DeadlinePassed as late:
        about = next(iter(under_way.values()), found[0])
        _explain(late, about, kind, home, address)
        raise
    finally:
        for each in under_way:
            each.close()
    target, failure = failures[0]
    _explain(failure, target, kind, home, address)
    for other, why in failures[1:]:
        failure.add_note(f"{addresses.shown(other.sockaddr)} as well: {errno.errorcode.get(why.errno or 0, why.errno)}")
    raise failure


def _explain(error: OSError, target: Target, kind: type[Base], host: Host, named: Address) -> None:
    from . import reasons

    about = target.sockaddr
    reasons.attach(error, "connect", None, about, host=host, protocol="tcp", named=named, blocking=kind.blocking)


def _begin(
    sock: socket.socket,
    target: Target,
    setup: Callable[[socket.socket], object] | None,
    local: Sequence[Target] | None,
) -> int:
    """Start connecting; return 0, EINPROGRESS, or the error."""
    if setup is not None:
        setup(sock)
    try:
        if local is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(next(each.sockaddr for each in local if each.family == target.family))
        sock.setblocking(False)
        return sock.connect_ex(target.sockaddr)
    except OSError as error:
        return error.errno or errno.EIO


def listen_steps(
    kind: type[ListenerT],
    address: Address,
    host: Host | None,
    backlog: int,
    reuse_address: bool,
    reuse_port: bool,
    ipv6_only: bool | None,
) -> Steps[ListenerT]:
    """Create, bind and listen."""
    home = default_host(host)
    where = addresses.parse(address, "tcp")
    found: Sequence[Target] = yield from addresses.targets(home, where, socket.SOCK_STREAM, passive=True)
    if not found:
        raise UsageError(f"{address!r} has no address")
    listener = kind(make_socket(home, found[0].family, socket.SOCK_STREAM), home)
    sock = listener._socket
    listener._named = address
    try:
        # Without it a restarted server has to wait 60 s for the TIME_WAIT of its own old connections. It never shares
        # a listening port on Linux.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(reuse_address))
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if ipv6_only is not None and sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(ipv6_only))
        try:
            sock.bind(found[0].sockaddr)
        except OSError as error:
            raise listener._failed(error, "bind", found[0].sockaddr) from None
        listener._state = "bound"
        listener.listen(backlog)
    except BaseException:
        listener._close()
        raise
    return listener


class Connection(Inet, ConnectionSteps, BlockingStream):
    """A TCP connection.

    Made by `connect`, by `Listener.accept`, or step by step: ``Connection()``, `bind`, `connect`.
    """

    def connect(self, address: Address, *, timeout_s: float | None = None) -> None:
        """Connect to ``address``; after `DeadlinePassed` the attempt is given up and may be made again.

        Raises:
            OSError: ECONNREFUSED, EHOSTUNREACH, ..., with the likely reason as a note.
        """
        run(self._connect(address), self, timeout_s, "connect")

    def receive(
        self,
        max_bytes: int = RECEIVE_SIZE,
        *,
        timeout_s: float | None = None,
        peek: bool = False,
        urgent: bool = False,
    ) -> bytes:
        """Return the bytes that are there, at most ``max_bytes``; ``b""`` when the peer has finished sending.

        Args:
            max_bytes: at least 1.
            timeout_s: see the module.
            peek: leave the bytes where they are (MSG_PEEK).
            urgent: take the out-of-band byte (MSG_OOB). Discouraged (RFC 6093): it is one byte, and middleboxes
                drop it.
        """
        if max_bytes < 1:
            check_size(max_bytes)
        flags = 0 if timeout_s is None else msg.DONTWAIT
        if peek:
            flags |= msg.PEEK
        if urgent:
            flags |= msg.OOB
        if (data := self._now_receive(max_bytes, flags)) is not None:
            return data
        return run(self._receive(max_bytes, flags), self, timeout_s, "receive")

    def send(self, data: Any, *, timeout_s: float | None = None, more: bool = False, urgent: bool = False) -> int:
        """Hand bytes to the kernel; return how many it took, which may be fewer.

        Args:
            data: any buffer of bytes.
            timeout_s: see the module.
            more: more will follow, wait for a full segment (MSG_MORE).
            urgent: the last byte is out-of-band (MSG_OOB). Discouraged (RFC 6093).
        """
        flags = msg.NOSIGNAL if timeout_s is None else msg.SEND_NOW
        if more:
            flags |= msg.MORE
        if urgent:
            flags |= msg.OOB
        if (count := self._now_send(data, flags)) is not None:
            return count
        return run(self._send(data, flags), self, timeout_s, "send")


class Listener(Inet, ListenerSteps, Blocking):
    """A listening TCP socket; iterating accepts for ever. Closing resets the connections that wait in the backlog.

    Made by `listen`, or step by step: ``Listener()``, `bind`, `listen`.
    """

    def accept(self, *, timeout_s: float | None = None) -> Connection:
        """Return the next connection.

        Connections that vanish in the queue are skipped (`lost`). When no descriptor is left it waits and tries again
        (`starved`, and one `ResourceWarning`): the connections stay in the backlog.
        """
        return run(self._accept(Connection), self, timeout_s, "accept")

    def __iter__(self) -> Iterator[Connection]:
        while self._state == "listening":
            yield self.accept()


def connect(
    address: Address,
    *,
    host: Host | None = None,
    source: Address | None = None,
    timeout_s: float | None = None,
    stagger_s: float = STAGGER_S,
    setup: Callable[[socket.socket], object] | None = None,
) -> Connection:
    """Connect to ``address``; a name's addresses are tried in turn, the next one after ``stagger_s`` (RFC 8305).

    Args:
        address: ``"host:port"`` or a tuple; see `wallsocket.endpoints.addresses`.
        host: where the socket is made; the caller's own host by default.
        source: local address, ``"192.0.2.1:0"``.
        timeout_s: deadline for everything, name resolution included.
        stagger_s: seconds before the next address is tried beside those under way.
        setup: called with each new socket before it connects, for options that must be set then.

    Raises:
        OSError: what the first address answered; the others are notes.
        DeadlinePassed: none answered in time; all attempts are closed.
    """
    return run(connect_steps(Connection, address, host, source, setup, stagger_s), None, timeout_s, "connect")


def listen(
    address: Address,
    *,
    host: Host | None = None,
    backlog: int = 128,
    reuse_address: bool = True,
    reuse_port: bool = False,
    ipv6_only: bool | None = None,
) -> Listener:
    """Create a listener on ``address``: ``":80"``, ``"127.0.0.1:0"``, ``"[::]:80"``.

    Args:
        address: where to listen; port 0 takes a free one (see `Listener.local`).
        host: where the socket is made; the caller's own host by default.
        backlog: completed connections that may wait for `accept`.
        reuse_address: bind although old connections of this port are in TIME_WAIT.
        reuse_port: share the port with other listeners of the same user that ask for it too (SO_REUSEPORT).
        ipv6_only: whether an IPv6 listener leaves IPv4 alone; ``None``: the host's default.
    """
    steps = listen_steps(Listener, address, host, backlog, reuse_address, reuse_port, ipv6_only)
    return run(steps, None, None, "listen")


def adopt(sock: socket.socket, *, host: Host | None = None) -> Connection:
    """Return a connection that uses a connected ``socket.socket`` of yours; it shares the socket and its timeout."""
    if sock.type != socket.SOCK_STREAM:
        raise UsageError(f"{sock!r} carries no byte stream")
    sock.getpeername()
    return Connection(sock, host, "established")


def messages(sock: socket.socket, framing: Framing[MessageT]) -> MessageStream[MessageT]:
    """Return a connected ``socket.socket`` of yours as a stream of messages."""
    return adopt(sock).messages(framing)
