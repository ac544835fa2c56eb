"""Why a socket call failed, looked up on the host where it failed.

Each ``OSError`` of an endpoint leaves with a note: the likely reason and the usual fix, or that the reason is unknown.
The facts are the host's of that moment (listeners, routes, interfaces, neighbours, limits); the sentences are those of
`wallsocket.kernel.causes`. Other processes are named by number and command only, never with arguments.

A failing call that blocks anyway waits at most `DEADLINE_S` for its reason, one of an event loop `LOOP_DEADLINE_S`;
facts that come later complete the note while the exception is still on its way to its reader. There is one lookup a
second for each error number and destination: an equal error within that second repeats what it found, with its age. No
lookup raises. ``WALLSOCKET_REASONS=off`` in the environment turns lookups off.
"""

from __future__ import annotations

import errno
import os
import queue
import socket
import stat
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from ..kernel import causes
from ..kernel.causes import Cause
from . import addresses

if TYPE_CHECKING:
    from ..kernel import Host, InetSocket
    from .base import Base

__all__ = ["DEADLINE_S", "LOOP_DEADLINE_S", "Failure", "Reason", "attach", "explain", "of", "settle"]

#: Seconds that a failing call of a blocking endpoint may take longer for its reason: it has failed, and on a loaded
#: machine another thread needs some scheduler ticks to come to its turn.
DEADLINE_S = 0.020
#: The same for an endpoint of an event loop, which stands still meanwhile.
LOOP_DEADLINE_S = 0.002
#: Of which so much is left for waking up: a thread that waits until the last moment is back after it.
_WAKING_S: Final = 0.0005
#: Share of that time in which the holders of sockets are searched: there is no index of them.
OWNERS_SHARE: Final = 0.4
#: Seconds between two lookups for the same error and destination.
INTERVAL_S: Final = 1.0
#: Pairs of error and destination that are remembered for `INTERVAL_S`.
_REMEMBERED: Final = 512
#: Lookups that wait for the one thread that makes them, and errors that wait for one lookup: more are left "late".
_MAX_WAITING: Final = 64

_ATTRIBUTE: Final = "wallsocket_reason"


class Reason(msgspec.Struct, frozen=True):
    """What was found.

    Attributes:
        status: ``"found"``; ``"unknown"``: the facts prove nothing; ``"late"``: the facts did not come in time.
        cause: the cause when found.
        age_s: how old the facts were when the error came, in seconds: more than 0 when an equal error a moment before
            had them looked up.

    """

    status: Literal["found", "unknown", "late"]
    cause: Cause | None = None
    age_s: float = 0.0

    def __str__(self) -> str:
        seen = f" (as of {max(self.age_s, 0.1):.1f} s ago)" if self.age_s else ""
        if self.cause is not None:
            sure = "" if self.cause.certainty == "certain" else "probably "
            return f"reason{seen}: {sure}{self.cause.sentence}. Usual fix: {self.cause.fix}"
        if self.status == "late":
            return "reason: unknown (the facts did not come in time)"
        return f"reason: unknown{seen}"


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a failed call.

    Attributes:
        number: errno.
        call: ``"connect"``, ``"bind"``, ``"listen"``, ``"accept"``, ``"send"``, ``"receive"``, ``"join"``.
        protocol: ``"tcp"``, ``"udp"``, ``"unix"``, ``"raw"``.
        target: the address that the call was about, as Python's ``socket`` writes it; ``None`` when unknown.
        reuse_address: whether the socket has SO_REUSEADDR.
        broadcast: whether the socket has SO_BROADCAST.
        reporter: who sent the ICMP error, if one came.
        icmp: its type and code.

    """

    number: int
    call: str
    protocol: str
    target: Any = None
    reuse_address: bool = False
    broadcast: bool = False
    reporter: str | None = None
    icmp: tuple[int, int] | None = None


class _Note:
    """A note of an exception, which a late lookup may still complete. It holds the list of notes, not the exception."""

    __slots__ = ("_notes", "_place", "arrived", "reason")

    def __init__(self, error: OSError, reason: Reason) -> None:
        error.add_note(str(reason))
        self._notes: list[str] = error.__notes__
        self._place = len(self._notes) - 1
        self.reason = reason
        self.arrived = threading.Event()

    def complete(self, reason: Reason) -> None:
        self.reason = reason
        self._notes[self._place] = str(reason)
        self.arrived.set()


class _Lookup:
    """One lookup, and the errors that wait for it."""

    __slots__ = ("_ended_s", "_lock", "_notes", "_reason", "_wakers", "failure", "host", "started_s")

    def __init__(self, failure: Failure, host: Host) -> None:
        self.failure = failure
        self.host = host
        self.started_s = time.monotonic()
        self._ended_s = 0.0
        self._lock = threading.Lock()
        self._notes: list[_Note] = []
        self._wakers: list[threading.Lock] = []
        self._reason: Reason | None = None

    def tell(self, note: _Note, timeout_s: float) -> None:
        """Complete a note; wait so long for the facts when they are not there yet."""
        # A bare lock: the waiting thread has nothing to do when the time is over but to take the interpreter's lock.
        waker = threading.Lock()
        waker.acquire()
        with self._lock:
            reason = self._reason
            if reason is None:
                if len(self._notes) >= _MAX_WAITING:
                    return
                self._notes.append(note)
                self._wakers.append(waker)
        if reason is not None:
            note.complete(msgspec.structs.replace(reason, age_s=max(time.monotonic() - self._ended_s, 1e-6)))
        elif timeout_s > _WAKING_S:
            waker.acquire(timeout=timeout_s - _WAKING_S)

    def end(self, reason: Reason) -> None:
        """The facts are there."""
        with self._lock:
            self._reason, self._ended_s = reason, time.monotonic()
            notes, wakers = self._notes, self._wakers
            self._notes, self._wakers = [], []
        for note in notes:
            note.complete(reason)
        for waker in wakers:
            waker.release()


_recent: dict[tuple[int, object], _Lookup] = {}
_recent_lock = threading.Lock()


def of(error: BaseException) -> Reason | None:
    """Return the reason that an endpoint attached to its error; ``None`` for other exceptions."""
    note = getattr(error, _ATTRIBUTE, None)
    return note.reason if isinstance(note, _Note) else None


def settle(error: BaseException, timeout_s: float) -> Reason | None:
    """Return the reason as `of` does, but wait for one that is late: for callers that have the time, such as a person.

    Args:
        error: of an endpoint.
        timeout_s: seconds to wait at most.

    """
    note = getattr(error, _ATTRIBUTE, None)
    if isinstance(note, _Note):
        note.arrived.wait(timeout_s)
    return of(error)


def attach(
    error: OSError,
    doing: str,
    endpoint: Base | None,
    target: Any = None,
    *,
    host: Host | None = None,
    protocol: str | None = None,
    named: Any = None,
    blocking: bool = True,
) -> OSError:
    """Return ``error``, worded and with its reason as a note. Never raises.

    It takes at most `DEADLINE_S`, or `LOOP_DEADLINE_S` for an endpoint of an event loop.

    Args:
        error: of the failed call; its number and class stay.
        doing: the call.
        endpoint: whose call it was.
        target: the address it was about.
        host: where it failed, without an endpoint.
        protocol: of the socket, without an endpoint.
        named: the address as the program gave it, without an endpoint.
        blocking: whether the call may wait, without an endpoint.

    """
    if of(error) is not None or error.errno is None:
        return error
    if not error.strerror:
        # Made of a bare number (SO_ERROR, connect_ex). repr() shows the arguments.
        error.strerror = os.strerror(error.errno)
        error.args = (error.errno, error.strerror)
    if endpoint is not None:
        host, protocol, named, blocking = endpoint.host, endpoint.protocol, endpoint._named, endpoint.blocking
    if os.environ.get("WALLSOCKET_REASONS") == "off" or host is None:
        return error
    where = f" {addresses.shown(target)}" if target is not None else ""
    if named is not None and where and str(named) not in where and isinstance(named, str):
        where += f" ({named})"
    error.add_note(f"{protocol} {doing}{where} on host {host.name}")
    failure = _failure(error, doing, protocol or "tcp", target, endpoint)
    note = _Note(error, Reason("late"))
    setattr(error, _ATTRIBUTE, note)
    _look_up_once(failure, host, note, DEADLINE_S if blocking else LOOP_DEADLINE_S)
    return error


def _failure(error: OSError, doing: str, protocol: str, target: Any, endpoint: Base | None) -> Failure:
    reuse = broadcast = False
    if endpoint is not None and endpoint.fileno() >= 0:
        sock = endpoint.socket
        try:
            reuse = bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR))
            broadcast = bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST))
        except OSError:
            pass
    return Failure(
        number=error.errno or 0,
        call=doing,
        protocol=protocol,
        target=target,
        reuse_address=reuse,
        broadcast=broadcast,
        reporter=getattr(error, "reporter", None),
        icmp=getattr(error, "icmp", None),
    )


def _look_up_once(failure: Failure, host: Host, note: _Note, timeout_s: float) -> None:
    started_s = time.monotonic()
    key = (failure.number, (failure.call, host.name, _hashable(failure.target)))
    with _recent_lock:
        lookup = _recent.get(key)
        known = lookup is not None and started_s - lookup.started_s < INTERVAL_S
        if lookup is None or not known:
            if len(_recent) >= _REMEMBERED:
                _recent.clear()
            lookup = _recent[key] = _Lookup(failure, host)
    if not known and not _worker().take(lookup, started_s + timeout_s * OWNERS_SHARE):
        timeout_s = 0
    lookup.tell(note, timeout_s)


def _hashable(target: Any) -> object:
    try:
        hash(target)
    except TypeError:
        return repr(target)
    return target


class _Worker:
    """One thread that looks facts up, so that a slow source cannot hold a failing call."""

    def __init__(self) -> None:
        self._tasks: Final[queue.Queue[tuple[_Lookup, float]]] = queue.Queue(_MAX_WAITING)
        self._busy_since_s: float | None = None
        threading.Thread(target=self._run, daemon=True, name="wallsocket reasons").start()

    def _run(self) -> None:
        while True:
            lookup, deadline = self._tasks.get()
            self._busy_since_s = time.monotonic()
            reason = Reason("unknown")
            try:
                reason = look_up(lookup.failure, lookup.host, deadline)
            finally:
                self._busy_since_s = None
                lookup.end(reason)

    def take(self, lookup: _Lookup, deadline: float) -> bool:
        """Have a lookup made; return whether it is worth waiting for: not behind one that does not come to its end."""
        try:
            self._tasks.put_nowait((lookup, deadline))
        except queue.Full:
            return False
        busy_since_s = self._busy_since_s
        return busy_since_s is None or time.monotonic() - busy_since_s < DEADLINE_S


_the_worker: _Worker | None = None


def _worker() -> _Worker:
    global _the_worker
    if _the_worker is None:
        _the_worker = _Worker()
    return _the_worker


def _forget() -> None:
    """In a child of fork(2) there is no thread but the one that forked: what waited for others waits for ever."""
    global _the_worker, _recent_lock
    _the_worker = None
    _recent_lock = threading.Lock()
    _recent.clear()


os.register_at_fork(after_in_child=_forget)


def look_up(failure: Failure, host: Host, deadline: float) -> Reason:
    """Look the facts up on the calling thread; return what they prove.

    Args:
        failure: the failed call.
        host: where it failed.
        deadline: on the monotonic clock; holders of sockets are searched until then.

    """
    try:
        cause = _cause(failure, host, deadline)
    except (OSError, ValueError, LookupError, TypeError):
        return Reason("unknown")
    return Reason("unknown") if cause is None else Reason("found", cause)


def _cause(failure: Failure, host: Host, deadline: float) -> Cause | None:
    if failure.number in (errno.EMFILE, errno.ENFILE):
        # Counting them would need a descriptor.
        return causes.no_descriptors(host.limits(), None, whole_system=failure.number == errno.ENFILE)
    if failure.protocol == "unix":
        return _unix_cause(failure)
    find = _BY_NUMBER.get(failure.number)
    target = failure.target
    if find is None or not isinstance(target, tuple) or len(target) < 2:
        return None
    if failure.reporter is not None and failure.icmp is not None:
        told = causes.told_by_router(failure.reporter, str(target[0]).partition("%")[0], int(target[1]), failure.icmp)
        if told is not None:
            return told
    return find(failure, host, str(target[0]).partition("%")[0], int(target[1]), deadline)


def _owners(host: Host, sockets: Sequence[InetSocket], deadline: float) -> dict[int, Any]:
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        return {}
    return dict(host.owners([sock.inode for sock in sockets], timeout_s=left_s).by_inode)


def _transport(failure: Failure) -> Literal["tcp", "udp"]:
    return "udp" if failure.protocol == "udp" else "tcp"


def _refused(failure: Failure, host: Host, name: str, port: int, deadline: float) -> Cause | None:
    listeners = host.listeners()
    local = [entry.address for entry in host.addresses()]
    concerned = [sock for sock in listeners if sock.local.port in (port, causes.swapped_port(port))]
    owners = _owners(host, concerned, deadline)
    return causes.nobody_listens(name, port, _transport(failure), listeners, local, owners, own=(os.getpid(),))


def _in_use(failure: Failure, host: Host, name: str, port: int, deadline: float) -> Cause | None:
    protocol = _transport(failure)
    sockets = host.sockets(protocol, local_port=port)
    return causes.address_in_use(
        name,
        port,
        protocol,
        sockets,
        reuse_address=failure.reuse_address,
        owners=_owners(host, sockets, deadline),
    )


def _not_available(failure: Failure, host: Host, name: str, port: int, deadline: float) -> Cause | None:
    if failure.call in ("bind", "join"):
        return causes.address_not_local(name, host.addresses(), host.links())
    if failure.protocol == "tcp":
        sockets = host.sockets("tcp", peer_port=port)
        used = sum(1 for sock in sockets if sock.peer is not None and sock.peer.host == name)
        return causes.no_free_port(name, port, host.limits(), used)
    return None


def _unreachable(failure: Failure, host: Host, name: str, port: int, deadline: float) -> Cause | None:
    try:
        route = host.route_to(name)
    except OSError:
        route = None
    if (found := causes.no_route(name, route, host.routes(), host.links())) is not None:
        return found
    if route is None:
        return None
    return causes.neighbour_silent(route, name, host.neighbours(), host.links())


def _denied(failure: Failure, host: Host, name: str, port: int, deadline: float) -> Cause | None:
    if failure.call == "bind":
        return causes.port_not_permitted(port, host.limits())
    found = causes.broadcast_not_allowed(name, failure.broadcast, host.addresses())
    return found if found is not None else _unreachable(failure, host, name, port, deadline)


def _no_answer(failure: Failure, host: Host, name: str, port: int, deadline: float) -> Cause | None:
    """Why nothing came back: the accept queue of a listener here is full, or the next hop is silent."""
    if failure.call != "connect":
        return None
    if name in {entry.address for entry in host.addresses()} and failure.protocol == "tcp":
        limits = host.limits()
        overflows = host.counters().get("TcpExtListenOverflows", 0)
        for sock in host.sockets("tcp", states=["LISTEN"], local_port=port):
            if (found := causes.accept_queue_full(sock, overflows, limits)) is not None:
                return found
    return _unreachable(failure, host, name, port, deadline)


_BY_NUMBER: Final[dict[int, Callable[[Failure, Host, str, int, float], Cause | None]]] = {
    errno.ECONNREFUSED: _refused,
    errno.EADDRINUSE: _in_use,
    errno.EADDRNOTAVAIL: _not_available,
    errno.ENETUNREACH: _unreachable,
    errno.EHOSTUNREACH: _unreachable,
    errno.EINVAL: _unreachable,
    errno.EACCES: _denied,
    errno.ETIMEDOUT: _no_answer,
}


def _unix_cause(failure: Failure) -> Cause | None:
    name = failure.target
    if isinstance(name, bytes) and name.startswith(b"\0"):
        if failure.number == errno.ECONNREFUSED:
            return Cause(
                name="nobody_listens",
                sentence=f"no socket of this network namespace has the abstract name {addresses.shown(name)}",
                fix="start the service, or look for it in the other network namespace",
                certainty="certain",
            )
        return None
    if not isinstance(name, str | bytes) or not name:
        return None
    path = os.fsdecode(name)
    folder = os.path.dirname(path) or "."
    if failure.number == errno.ENOENT:
        missing = path if os.path.isdir(folder) else folder
        return Cause(
            name="no_such_file",
            sentence=f"{missing} does not exist",
            fix="start the service, or correct the path" if missing == path else "create the folder",
            certainty="certain",
        )
    if failure.number == errno.ECONNREFUSED:
        try:
            is_socket = stat.S_ISSOCK(os.stat(path).st_mode)
        except OSError:
            return None
        return Cause(
            name="stale_socket_file" if is_socket else "no_socket",
            sentence=f"{path} is a socket file that no process has open" if is_socket else f"{path} is no socket",
            fix="start the service; it may remove the old file" if is_socket else "correct the path",
            certainty="certain",
        )
    if failure.number == errno.EADDRINUSE:
        return Cause(
            name="in_use",
            sentence=f"{path} exists" + ("" if _is_socket(path) else " and is no socket"),
            fix="end the other program, or use another path",
            certainty="certain",
        )
    if failure.number in (errno.EACCES, errno.EPERM):
        needs = "write permission on the file and search permission on its folders"
        return Cause(
            name="permission",
            sentence=f"connecting to {path} needs {needs}"
            if failure.call != "bind"
            else f"binding to {path} needs write permission on its folder",
            fix="change the permissions, or run as a user that has them",
            certainty="strong",
        )
    if failure.number == errno.EPROTOTYPE:
        return Cause(
            name="other_type",
            sentence=f"the socket at {path} is of another type (stream, datagram, seqpacket)",
            fix="use the type of the service",
            certainty="certain",
        )
    return None


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


def explain(
    error: OSError,
    *,
    call: str | None = None,
    address: Any = None,
    protocol: str | None = None,
    host: Host | None = None,
    timeout_s: float = 1.0,
) -> Reason:
    """Return the likely reason of an exception of a plain ``socket.socket``, looked up now.

    Call, address and protocol are taken from the line that failed, when its source and its variables are still there;
    what is given here goes before. Nothing is called and no property is read for that.

    >>> import socket
    >>> from wallsocket import reasons
    >>> with socket.socket() as sock:
    ...     try:
    ...         sock.connect(("127.0.0.1", 1))
    ...     except OSError as error:
    ...         print(reasons.explain(error).status)
    found

    Args:
        error: what was caught.
        call: ``"connect"``, ``"bind"``, ...
        address: the address in the form of Python's ``socket``.
        protocol: ``"tcp"``, ``"udp"`` or ``"unix"``.
        host: where it failed; the caller's own host by default.
        timeout_s: seconds that the lookup may take.

    """
    if (known := of(error)) is not None and known.status == "found":
        return known
    if error.errno is None:
        return Reason("unknown")
    from ..kernel import here
    from .blame import blame

    seen = blame(error.__traceback__)
    sock = seen.sock
    if protocol is None and sock is not None:
        kinds = {socket.SOCK_STREAM: "tcp", socket.SOCK_DGRAM: "udp", socket.SOCK_RAW: "raw"}
        protocol = "unix" if sock.family == socket.AF_UNIX else kinds.get(sock.type, "tcp")
    target = seen.address if address is None else address
    if protocol is None:
        protocol = "unix" if isinstance(target, str | bytes) else "tcp"
    options = [False, False]
    if sock is not None and sock.fileno() >= 0:
        for index, option in enumerate((socket.SO_REUSEADDR, socket.SO_BROADCAST)):
            options[index] = bool(sock.getsockopt(socket.SOL_SOCKET, option))
    failure = Failure(
        number=error.errno,
        call=call or seen.call or "connect",
        protocol=protocol,
        target=target,
        reuse_address=options[0],
        broadcast=options[1],
    )
    return look_up(failure, host or here, time.monotonic() + timeout_s)
