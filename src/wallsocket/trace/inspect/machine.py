"""Every socket of the machine, and what is sick among them.

Two pictures are taken 300 ms apart, from the tables under ``/proc/PID/net`` of each network namespace: so growth is told
from rest, and 20,000 healthy sockets cost two reads of a table. Only of what looks sick is more asked: who holds it, what
that waits in and where, and what sock_diag(7) knows of it. Nothing is stopped, nothing is sent.

Sources: proc_pid_net(5), ``net/ipv4/tcp_ipv4.c`` (``get_tcp4_sock``: of a listener the receive queue is the accept queue),
proc_pid_limits(5), ip(7) for ip_local_port_range.
"""

from __future__ import annotations

import contextlib
import os
import platform
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final, Literal, NamedTuple

import msgspec

from ..._core import python
from ...errors import NotAvailable, NotPermitted
from ...kernel import Host, here, program
from ...kernel.elsewhere import Elsewhere
from ...kernel.sockets import InetSocket, command_of
from ...kernel.tcp_state import TcpState
from ..syscalls import EPOLL_WAITS
from . import sockets as _sockets
from . import threads as _threads

__all__ = ["INTERVAL_S", "Health", "Sick", "Where", "examine"]

#: Between the pictures.
INTERVAL_S: Final = 0.3
#: Processes whose threads are looked at.
_MAX_LOOKED_AT: Final = 8
#: Sockets of which sock_diag is asked.
_MAX_ASKED: Final = 64
#: Retransmissions in a row that no moment of loss explains: 1.4 s at the least time-out of 200 ms.
_DEAD: Final = 3
#: SYNs sent again without an answer: 3 s.
_UNANSWERED: Final = 2
#: What lies unread for a second is not only on its way.
_UNREAD_MS: Final = 1000
_MANY_CLOSE_WAIT: Final = 3
#: Half-open connections of one listener, beyond which its queue of them is suspect (tcp_max_syn_backlog is 128 at least).
_MANY_HALF_OPEN: Final = 100
#: Shares of a limit.
_NEAR: Final = 0.85
_AT: Final = 0.97

_RETRANSMITS: Final = 1
_PROBES: Final = 4
_QUEUED_STATES: Final = (TcpState.ESTABLISHED, TcpState.CLOSE_WAIT)

Severity = Literal["error", "warning", "note"]
_SEVERITIES: Final[tuple[Severity, ...]] = ("error", "warning", "note")


class Where(msgspec.Struct, frozen=True):
    """A process, and what the thread of it does that most likely holds it up; ``None`` where that is not known."""

    pid: int
    command: str
    tid: int | None = None
    call: str | None = None
    since_s: float | None = None
    file: str | None = None
    line: int | None = None


class Sick(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is not well.

    Attributes:
        kind: ``accept-queue``, ``close-wait``, ``dead-peer``, ``closed-window``, ``deadlock``, ``drops``, ``unread``,
            ``no-answer``, ``half-open``, ``descriptors`` or ``ports``.
        why: what was seen, in one sentence.
        cause: what that comes from, as far as it is known.
        rule: the rule that says more (``wallsocket rule ID``).
        local, peer: ends of the socket, or of the first of them.
        count: how many there are. grew: by how many in between.
        processes: who holds them.
        namespace: number of the network namespace, when it is another one than ours.

    """

    kind: str
    severity: Severity
    why: str
    cause: str | None
    rule: str | None
    local: str | None = None
    peer: str | None = None
    count: int = 1
    grew: int = 0
    processes: tuple[Where, ...] = ()
    namespace: int | None = None


class Health(msgspec.Struct, frozen=True):
    """What was seen of the machine: the sick, worst first; how many sockets there are; and what could not be seen."""

    sick: tuple[Sick, ...]
    sockets: int
    namespaces: int
    took_s: float
    notes: tuple[str, ...]


class _Row(NamedTuple):
    """A line of a table; addresses are as the kernel prints them."""

    protocol: str
    local: str
    peer: str
    state: int
    send_queue: int
    receive_queue: int
    timer: int
    retransmits: int
    uid: int
    inode: int
    drops: int

    @property
    def port(self) -> int:
        return int(self.local.rpartition(":")[2], 16)


class _Table:
    """The sockets of a namespace at one moment, without those that rest."""

    def __init__(self, pid: int | str) -> None:
        self.count = 0
        self.rows: dict[tuple[str, str, str, int], _Row] = {}
        self.used: Counter[str] = Counter()  #: destination -> connections, TIME_WAIT included
        self.half_open: Counter[int] = Counter()  #: local port -> SYN_RECV
        self.queued: dict[int, set[str]] = {}  #: local port -> other ends of connections without a descriptor
        self.listening: set[int] = set()
        for protocol in ("tcp", "tcp6", "udp", "udp6"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/net/{protocol}", encoding="ascii") as file:
                next(file, None)
                for line in file:
                    self._take(protocol[:3], line)

    def _take(self, protocol: str, line: str) -> None:
        words = line.split()
        self.count += 1
        state, queues = words[3], words[4]
        if protocol == "tcp":
            if state != "0A":
                self.used[words[2]] += 1
            if state == "01" and queues == "00000000:00000000" and words[9] != "0":
                return  # it rests
            if state == "06":
                return
            if state == "03":
                self.half_open[int(words[1].rpartition(":")[2], 16)] += 1
                return
        elif queues[9:] == "00000000" and words[-1] == "0":
            return
        send, receive = queues.split(":")
        row = _Row(
            protocol,
            words[1],
            words[2],
            int(state, 16),
            int(send, 16),
            int(receive, 16),
            int(words[5][:2], 16),
            int(words[6], 16),
            int(words[7]),
            int(words[9]),
            int(words[-1]) if protocol == "udp" else 0,
        )
        if row.protocol == "tcp" and not row.inode and row.state in _QUEUED_STATES:
            self.queued.setdefault(row.port, set()).add(row.peer)
        if row.state == TcpState.LISTEN:
            self.listening.add(row.port)
        self.rows[protocol, row.local, row.peer, row.inode] = row


class _Case(NamedTuple):
    """Something sick, before it is known who holds it."""

    kind: str
    severity: Severity
    why: str
    rule: str | None
    namespace: int
    rows: list[_Row]
    grew: int = 0
    weight: int = 0
    pids: tuple[int, ...] = ()


def examine(*, user: int | None = None, pid: int | None = None, interval_s: float = INTERVAL_S) -> Health:
    """Look at every socket, of all network namespaces that this user may look into.

    Args:
        user: only what belongs to the user of this number.
        pid: only the network namespace of this process.
        interval_s: time between the pictures.

    """
    started = time.monotonic()
    own = _sockets.namespace("self") or 0
    spaces = _namespaces(pid, own)
    first = {number: _Table(one) for number, one in spaces.items()}
    owners, counts, complete = _holders(user)
    time.sleep(max(0.0, interval_s - (time.monotonic() - started)))
    last = {number: _Table(one) for number, one in spaces.items()}
    cases: list[_Case] = []
    for number, table in last.items():
        cases += _cases(number, first[number], table, user, here if number == own else Elsewhere(int(spaces[number])))
    cases += _near_limits(counts)
    cases.sort(key=lambda case: (_SEVERITIES.index(case.severity), -case.weight))
    notes = []
    if not complete:
        notes.append("processes of other users were not looked into: their names and threads are unknown without root")
    return Health(
        tuple(_tell(cases, owners, own)),
        sum(table.count for table in last.values()),
        len(spaces),
        time.monotonic() - started,
        tuple(notes),
    )


def _namespaces(pid: int | None, own: int) -> dict[int, int | str]:
    """Network namespace -> a process in it."""
    if pid is not None:
        number = _sockets.namespace(pid)
        if number is None:
            raise NotPermitted(f"process {pid} is gone, or this user may not look into its network namespace")
        return {number: pid}
    found: dict[int, int | str] = {own: "self"}
    for name in os.listdir("/proc"):
        if name.isdigit() and (number := _sockets.namespace(name)) is not None:
            found.setdefault(number, int(name))
    return found


def _holders(user: int | None) -> tuple[dict[int, list[int]], dict[int, int], bool]:
    """Socket -> processes; process -> how many descriptors it has open; and whether all could be looked into."""
    owners: dict[int, list[int]] = {}
    counts: dict[int, int] = {}
    complete = True
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        directory = f"/proc/{name}/fd"
        pid = int(name)
        try:
            if user is not None and os.stat(directory).st_uid != user:
                continue
            numbers = os.listdir(directory)
        except PermissionError:
            complete = False
            continue
        except OSError:
            continue
        counts[pid] = len(numbers)
        for number in numbers:
            try:
                link = os.readlink(f"{directory}/{number}")
            except OSError:
                continue  # closed meanwhile
            if link.startswith("socket:["):
                holders = owners.setdefault(int(link[8:-1]), [])
                if not holders or holders[-1] != pid:
                    holders.append(pid)
    return owners, counts, complete


# -- what is sick


def _cases(number: int, first: _Table, last: _Table, user: int | None, host: Host) -> Iterator[_Case]:
    both = [
        (first.rows[key], row)
        for key, row in last.rows.items()
        if key in first.rows and (user is None or row.uid == user)
    ]
    yield from _accept_queues(number, first, last, both, host)
    yield from _close_waits(number, first, last, both)
    yield from _connections(number, both, host)
    yield from _datagrams(number, both)
    for port, count in last.half_open.items():
        if count >= _MANY_HALF_OPEN and first.half_open[port] >= _MANY_HALF_OPEN and user is None:
            rows = [row for row in last.rows.values() if row.state == TcpState.LISTEN and row.port == port]
            why = f"{count} connections to port {port} are half open: their handshakes are not finished"
            yield _Case("half-open", "warning", why, None, number, rows[:1], weight=count)
    if user is None:
        yield from _ports(number, last)


def _accept_queues(
    number: int, first: _Table, last: _Table, both: list[tuple[_Row, _Row]], host: Host
) -> Iterator[_Case]:
    standing = [(row, before) for before, row in both if row.state == TcpState.LISTEN and row.receive_queue]
    backlogs: dict[int, int] = {}
    if standing:
        with contextlib.suppress(OSError):
            backlogs = {one.inode: one.send_queue for one in host.sockets("tcp", states=["LISTEN"])}
    for row, before in standing:
        stood = last.queued.get(row.port, set()) & first.queued.get(row.port, set())
        if not stood or not before.receive_queue:
            continue
        backlog = backlogs.get(row.inode)
        full = backlog is not None and row.receive_queue > backlog
        limit = f" of {backlog}" if backlog is not None else ""
        why = f"{row.receive_queue}{limit} connections stand in the accept queue of {_end(row.local)}"
        why += ": it is full, and further ones are dropped" if full else ""
        yield _Case(
            "accept-queue",
            "error" if full else "warning",
            why,
            "accept-queue-full" if full else "accept-queue-stands",
            number,
            [row],
            grew=row.receive_queue - before.receive_queue,
            weight=row.receive_queue,
        )


def _close_waits(number: int, first: _Table, last: _Table, both: list[tuple[_Row, _Row]]) -> Iterator[_Case]:
    stay = [row for before, row in both if before.state == row.state == TcpState.CLOSE_WAIT and row.inode]
    before = sum(row.state == TcpState.CLOSE_WAIT for row in first.rows.values())
    now = sum(row.state == TcpState.CLOSE_WAIT for row in last.rows.values())
    if stay:
        yield _Case("close-wait", "warning", "", "close-wait", number, stay, grew=now - before, weight=len(stay))


def _connections(number: int, both: list[tuple[_Row, _Row]], host: Host) -> Iterator[_Case]:
    living = {(row.local, row.peer): (before, row) for before, row in both if row.protocol == "tcp"}
    asked = 0
    for before, row in both:
        if row.protocol != "tcp" or not row.inode:
            continue
        ends = f"{_end(row.local)} → {_end(row.peer)}"
        if row.state == TcpState.SYN_SENT and row.retransmits >= _UNANSWERED:
            why = f"{_end(row.peer)} has not answered the SYN, which was sent {row.retransmits + 1} times"
            yield _Case("no-answer", "warning", why, "connect-unanswered", number, [row], weight=row.retransmits)
        if row.state not in (TcpState.ESTABLISHED, TcpState.CLOSE_WAIT):
            continue
        if row.timer == _RETRANSMITS and row.retransmits >= _DEAD and row.send_queue:
            why = f"{row.send_queue} bytes on {ends} were sent again {row.retransmits} times; nobody acknowledges them"
            yield _Case("dead-peer", "warning", why, "peer-unreachable", number, [row], weight=row.retransmits)
            continue
        still = (before.receive_queue, before.send_queue) == (row.receive_queue, row.send_queue)
        other = living.get((row.peer, row.local))
        if still and row.receive_queue and row.send_queue and other is not None:
            theirs = other[1]
            if theirs.receive_queue and theirs.send_queue and row.local < theirs.local:
                why = f"both ends of {ends} have unread data and a send queue that does not move: neither reads"
                yield _Case("deadlock", "error", why, "both-wait", number, [row, theirs], weight=row.send_queue)
            continue
        if still and row.timer == _PROBES and row.send_queue:
            why = f"{row.send_queue} bytes wait on {ends}: the peer does not read, its window is closed"
            rows = [row, other[1]] if other is not None else [row]
            yield _Case("closed-window", "warning", why, "peer-does-not-read", number, rows, weight=row.send_queue)
            continue
        if still and row.receive_queue and row.state == TcpState.ESTABLISHED and asked < _MAX_ASKED:
            asked += 1
            silent_ms = _silent_ms(row, host)
            if silent_ms is not None and silent_ms >= _UNREAD_MS:
                why = f"{row.receive_queue} bytes have lain unread on {ends} for {silent_ms / 1000:.1f} s"
                yield _Case("unread", "warning", why, "unread-data", number, [row], weight=row.receive_queue)


def _silent_ms(row: _Row, host: Host) -> int | None:
    """For how long nothing has come on a connection; ``None``: unknown."""
    local, peer = (int(text.rpartition(":")[2], 16) for text in (row.local, row.peer))
    found: list[InetSocket] = []
    with contextlib.suppress(OSError):
        found = host.sockets("tcp", states=["ESTABLISHED"], local_port=local, peer_port=peer)
    for one in found:
        if one.inode == row.inode and one.info is not None:
            return one.info.last_data_received_ms
    return None


def _datagrams(number: int, both: list[tuple[_Row, _Row]]) -> Iterator[_Case]:
    for before, row in both:
        grew = row.drops - before.drops
        if row.protocol == "udp" and row.drops:
            since = f", {grew} of them just now" if grew else " since it was made, none just now"
            why = f"{row.drops} datagrams for {_end(row.local)} were dropped, as its buffer was full{since}"
            severity: Severity = "warning" if grew else "note"
            rule = "receive-buffer-overflow"
            yield _Case("drops", severity, why, rule, number, [row], grew=grew, weight=grew or row.drops)


def _ports(number: int, last: _Table) -> Iterator[_Case]:
    """Destinations towards which most local ports are in use."""
    try:
        low, high = map(int, (here.sysctl("net.ipv4.ip_local_port_range") or "").split())
    except ValueError:
        return
    room = max(high - low + 1, 1)
    for peer, count in last.used.most_common(8):
        # Behind a listener's port the clients' addresses differ; a destination is one address with one port.
        if count < _NEAR * room:
            break
        why = f"{count} of {room} local ports are in use towards {_end(peer)}, those in TIME_WAIT included"
        severity: Severity = "error" if count >= _AT * room else "warning"
        yield _Case("ports", severity, why, None, number, [], weight=count)


def _near_limits(counts: dict[int, int]) -> Iterator[_Case]:
    for pid, count in counts.items():
        if count < 64:
            continue  # no limit that anybody sets is so small
        limit = _descriptor_limit(pid)
        if limit is not None and count >= _NEAR * limit:
            why = f"{count} of {limit} descriptors are open: at the limit accept and socket fail with EMFILE"
            severity: Severity = "error" if count >= _AT * limit else "warning"
            yield _Case("descriptors", severity, why, None, 0, [], weight=count, pids=(pid,))


def _descriptor_limit(pid: int) -> int | None:
    try:
        with open(f"/proc/{pid}/limits", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith("Max open files"):
                    return int(line.split()[3])
    except (OSError, ValueError, IndexError):
        return None
    return None


# -- who, and where


def _tell(cases: Iterable[_Case], owners: dict[int, list[int]], own: int) -> Iterator[Sick]:
    looked: dict[int, Where] = {}

    def where(pid: int) -> Where:
        if pid not in looked:
            budget = len(looked) < _MAX_LOOKED_AT
            looked[pid] = _where(pid) if budget else Where(pid, command_of(pid))
        return looked[pid]

    told: list[Sick] = []
    for case in cases:
        for one in _by_process(case, owners):
            pids = one.pids or tuple(dict.fromkeys(pid for row in one.rows for pid in owners.get(row.inode, ())))
            processes = tuple(where(pid) for pid in pids[:4])
            row = one.rows[0] if one.rows else None
            told.append(
                Sick(
                    kind=one.kind,
                    severity=one.severity,
                    why=one.why,
                    cause=_cause(one, processes),
                    rule=one.rule,
                    local=_end(row.local) if row is not None else None,
                    peer=_end(row.peer) if row is not None and int(row.peer.rpartition(":")[2], 16) else None,
                    count=max(len(one.rows), 1),
                    grew=one.grew,
                    processes=processes,
                    namespace=one.namespace if one.namespace not in (own, 0) else None,
                )
            )
    yield from sorted(told, key=lambda sick: _SEVERITIES.index(sick.severity))


def _by_process(case: _Case, owners: dict[int, list[int]]) -> Iterator[_Case]:
    """Connections in CLOSE_WAIT are told by process: a leak is a program's."""
    if case.kind != "close-wait":
        yield case
        return
    groups: dict[int | None, list[_Row]] = {}
    for row in case.rows:
        groups.setdefault(next(iter(owners.get(row.inode, ())), None), []).append(row)
    for pid, rows in sorted(groups.items(), key=lambda group: -len(group[1])):
        many = len(rows) >= _MANY_CLOSE_WAIT
        grew = case.grew if len(groups) == 1 else 0
        more = f" (and {grew} more just now)" if grew > 0 else ""
        have = "connections are" if len(rows) > 1 else "connection is"
        why = f"{len(rows)} {have} in CLOSE_WAIT{more}: the peers have closed, the program has not"
        # A pool may notice a closed connection only when it wants to use it.
        severity: Severity = "error" if many and grew > 0 else "warning" if many else "note"
        yield case._replace(severity=severity, why=why, rows=rows, grew=grew, pids=() if pid is None else (pid,))


def _cause(case: _Case, processes: tuple[Where, ...]) -> str | None:
    doing = next((words for one in processes if (words := _words(one))), None)
    if case.kind == "accept-queue":
        return f"nobody accepts: {doing}" if doing else None
    if case.kind in ("unread", "closed-window", "deadlock", "drops"):
        reader = processes[-1:] if case.kind == "closed-window" and len(case.rows) > 1 else processes
        doing = next((words for one in reader if (words := _words(one))), None)
        return f"nobody reads: {doing}" if doing else None
    if case.kind == "close-wait":
        return "close() is missing where recv returns 0 bytes"
    if case.kind == "dead-peer":
        return "the host at the other end is gone, or no packet gets through"
    if case.kind == "no-answer":
        return "a firewall, a wrong route, or a host that is off"
    if case.kind == "half-open":
        return "answers to SYN-ACK do not come: a flood of SYNs, or a path that loses one direction"
    if case.kind == "ports":
        return "a new connection for each request: keep them open and use them again"
    if case.kind == "descriptors":
        return "sockets are not closed, or the limit (ulimit -n) is too small"
    return None


def _words(one: Where) -> str | None:
    if one.call is None:
        return None
    at = f" at {one.file.rsplit('/', 1)[-1]}:{one.line}" if one.file is not None else ""
    since = f" for {one.since_s:.1f} s" if one.since_s is not None else ""
    return f"{program.label(one.command, one.pid)} is in {one.call}{at}{since}"


def _where(pid: int) -> Where:
    """The thread that most likely holds a process up: the main one, unless that only waits for others."""
    command = command_of(pid)
    waits = {}
    for tid in _threads.thread_ids(pid)[:64]:
        with contextlib.suppress(PermissionError):
            wait = _threads.wait_of(pid, tid, platform.machine())
            if wait is not None:
                waits[tid] = wait
    if not waits:
        return Where(pid, command)

    def rank(tid: int) -> tuple[bool, bool, int]:
        others = waits[tid].call in EPOLL_WAITS or waits[tid].call in ("futex", "wait4", "waitid", "rt_sigtimedwait")
        return others, tid != pid, tid

    tid = min(waits, key=rank)
    since_ns = _threads.SchedulerClock().asleep_ns(pid, tid)
    file = line = None
    with contextlib.suppress(NotAvailable, NotPermitted, OSError):
        interpreter = python.describe(pid)
        stack = interpreter.stacks([tid]).get(tid) if interpreter is not None else None
        if stack is not None and stack.waiting and stack.top is not None:
            file, line = stack.top.file, stack.top.line
    return Where(
        pid, command, tid, waits[tid].call, round(since_ns / 1e9, 3) if since_ns is not None else None, file, line
    )


def _end(text: str) -> str:
    return str(_sockets.end_of_line(text))
