"""What all endpoints share: a socket on a host, a state that is checked, options, errors with reasons."""

from __future__ import annotations

import errno
import socket
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn, Self

from ..errors import UsageError, WrongState
from . import addresses
from .states import Graph

if TYPE_CHECKING:
    from ..kernel import Host
    from .options import Options

__all__ = ["Base", "Blocking", "Inet", "default_host"]


def default_host(host: Host | None) -> Host:
    """Return ``host``, or the caller's own."""
    # Loaded with the first endpoint: a call that fails has no time to spare for it.
    from . import reasons  # noqa: F401

    if host is not None:
        return host
    from ..kernel import here

    return here


class Base:
    """A socket and what is known of it. Subclasses add the operations, and their sync or async faces."""

    #: Which calls make sense in which state.
    graph: ClassVar[Graph]
    #: Whether calls without deadline block in the kernel; the async endpoints never do.
    blocking: ClassVar[bool] = True
    #: "tcp", "udp", "unix", "raw": for texts and for reasons.
    protocol: ClassVar[str]

    def __init__(self, sock: socket.socket, host: Host, state: str) -> None:
        self._socket: Final = sock
        self._host: Final = host
        self._state = state
        #: The address that the caller named, for the text of errors.
        self._named: Any = None
        # Bound once: these are the calls of the hot paths.
        self._recv = sock.recv
        self._send_call = sock.send

    @property
    def host(self) -> Host:
        """The host whose socket this is."""
        return self._host

    @property
    def state(self) -> str:
        """Where in its life the endpoint is, as its program sees it: a state of `graph`."""
        return self._state

    @property
    def kernel_state(self) -> str:
        """Where the kernel says the socket is: ``"ESTABLISHED"``, ``"CLOSE"``, ...; ``"none"`` when closed."""
        raise NotImplementedError

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._state == "closed"

    def fileno(self) -> int:
        """Return the descriptor, for `selectors` and `fcntl`; -1 when closed."""
        return self._socket.fileno()

    @property
    def socket(self) -> socket.socket:
        """The socket itself. What is done to it directly escapes the state checks; close the endpoint, not the socket."""
        return self._socket

    @property
    def local(self) -> Any:
        """The local address, as the kernel gives it."""
        self._require_open("local")
        return self._socket.getsockname()

    @property
    def peer(self) -> Any:
        """The peer's address as the kernel gives it; ``None`` without a peer."""
        self._require_open("peer")
        try:
            return self._socket.getpeername()
        except OSError as error:
            if error.errno in (errno.ENOTCONN, errno.EINVAL):
                return None
            raise

    @property
    def options(self) -> Options:
        """The socket options: ``endpoint.options["SO_RCVBUF"]``; see `wallsocket.options`."""
        from .options import Options

        return Options(self._socket)

    def detach(self) -> int:
        """Give the descriptor away: the endpoint is closed, the socket is not."""
        self._require_open("detach")
        self._release()
        self._state = "closed"
        return self._socket.detach()

    def _close(self) -> None:
        if self._state != "closed":
            self._release()
            self._state = "closed"
        self._socket.close()

    def _release(self) -> None:
        """Have nobody watch the descriptor any more; it is about to be closed or given away."""

    def _require_open(self, call: str) -> None:
        if self._state == "closed":
            raise WrongState(self.graph.why_not("closed", call))

    def _wrong(self, call: str) -> NoReturn:
        raise WrongState(f"{self._name()}: {self.graph.why_not(self._state, call)}")

    def _name(self) -> str:
        return f"{self.protocol} {type(self).__name__}"

    def _failed(self, error: OSError, doing: str, target: Any = None) -> OSError:
        """Return ``error`` with its likely reason attached; the caller raises it."""
        if error.errno is None:
            return error  # a time limit that the program set on the socket itself
        from . import reasons

        return reasons.attach(error, doing, self, target)

    def __repr__(self) -> str:
        if self._state == "closed":
            return f"<{self._name()} closed>"
        try:
            ends = addresses.shown(self._socket.getsockname())
            if (peer := self.peer) is not None:
                ends += f" -> {addresses.shown(peer)}"
        except OSError:
            ends = "?"
        return f"<{self._name()} {self._state} {ends} fd={self._socket.fileno()}>"


class Blocking(Base):
    """Endpoints whose calls wait by themselves, and whose close() has nothing to wait for."""

    def close(self) -> None:
        """Close. Harmless when repeated."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()


class Inet(Base):
    """Endpoints over IPv4 or IPv6, made around a socket or with a new one.

    Args:
        sock: the socket to use; a new one by default.
        host: whose socket it is; the caller's own host by default.
        state: of ``sock``.
        ipv6: family of a new socket.
    """

    socket_kind: ClassVar[int] = socket.SOCK_STREAM

    def __init__(
        self,
        sock: socket.socket | None = None,
        host: Host | None = None,
        state: str = "created",
        *,
        ipv6: bool = False,
    ) -> None:
        home = default_host(host)
        if sock is None:
            sock = make_socket(home, socket.AF_INET6 if ipv6 else socket.AF_INET, self.socket_kind)
        if not self.blocking:
            sock.setblocking(False)
        super().__init__(sock, home, state)


def make_socket(host: Host, family: int, kind: int, protocol: int = 0) -> socket.socket:
    """Return a new blocking socket of ``host``; its errors say what was wanted."""
    try:
        sock = host.socket(family, kind, protocol)
    except PermissionError as error:
        if kind == socket.SOCK_RAW:
            error.add_note("a raw socket needs CAP_NET_RAW in its network namespace; a lab host has it without root")
        raise
    sock.setblocking(True)
    return sock


def byte_view(data: object) -> memoryview:
    """Return the bytes of ``data`` without a copy.

    Raises:
        UsageError: text or anything else that is no buffer.
    """
    if isinstance(data, str):
        raise UsageError("text cannot be sent: encode it, data.encode()")
    try:
        return memoryview(data).cast("B")  # type: ignore[arg-type]
    except TypeError:
        raise UsageError(f"bytes are needed, got {type(data).__name__}") from None


def positive(value: int, name: str) -> int:
    """Return ``value`` if it is a count of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UsageError(f"{name} must be a number of at least 1, got {value!r}")
    return value
