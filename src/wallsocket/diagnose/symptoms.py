"""Which symptoms findings explain, which are healthy, and which nobody has judged.

Tables stand here: failed calls that are no fault whoever makes them, and the causes of ``docs/causes.md`` that may be
behind a symptom that no rule explains. Which waits are healthy: ``waiting.py``.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence
from typing import Final

from ..trace.verdict import amount
from .finding import NotJudged, Symptom
from .rule import Evidence, Healthy
from .subjects import SocketFacts
from .trackers.servers import Servers
from .trackers.symptoms import FailedCalls, Loss, LossKind, LostBy, Symptoms
from .waiting import lasting

__all__ = ["judged"]

_ANY: Final = ""

#: (call, errno) -> why it is no fault. An empty name stands for every call.
HEALTHY: Final[dict[tuple[str, int], str]] = {
    ("ioctl", errno.ENOTTY): "the program asked whether it is a terminal",
    ("setsockopt", errno.ENOPROTOOPT): "the program asked for an option that this kernel or socket does not have",
    ("getsockopt", errno.ENOPROTOOPT): "the program asked for an option that this kernel or socket does not have",
    ("setsockopt", errno.EOPNOTSUPP): "the program asked for an option that this kernel or socket does not have",
    ("getsockopt", errno.EOPNOTSUPP): "the program asked for an option that this kernel or socket does not have",
    ("epoll_ctl", errno.EEXIST): "an event loop added what it watched already, and changes it instead",
    ("epoll_ctl", errno.ENOENT): "an event loop took out what it no longer watched",
    ("epoll_ctl", errno.EPERM): "an event loop asked for a file that is always ready",
    ("connect", errno.EISCONN): "the program asked again whether it is connected, and it is",
    ("getpeername", errno.ENOTCONN): "the program asked whether it is connected",
    ("shutdown", errno.ENOTCONN): "the connection was gone already",
    ("socket", errno.EAFNOSUPPORT): "the program asked whether this kernel has the address family",
}

#: (call, errno) -> rows of the catalogue that may be behind it.
ROWS: Final[dict[tuple[str, int], tuple[int, ...]]] = {
    ("bind", errno.EADDRINUSE): (1, 2, 3, 4, 10, 17, 85, 130),
    ("listen", errno.EADDRINUSE): (2,),
    ("connect", errno.EADDRINUSE): (17,),
    ("bind", errno.EADDRNOTAVAIL): (16, 104, 137),
    ("connect", errno.EADDRNOTAVAIL): (16, 17, 104),
    ("sendto", errno.EADDRNOTAVAIL): (16,),
    ("bind", errno.EACCES): (8, 105, 125),
    ("connect", errno.EACCES): (19, 78, 105, 125),
    ("sendto", errno.EACCES): (78,),
    ("bind", errno.EINVAL): (6, 131),
    ("connect", errno.ECONNREFUSED): (5, 9, 10, 12, 13, 14, 15, 23, 102, 103, 107, 141),
    ("connect", errno.ENOENT): (10, 126),
    ("connect", errno.EAGAIN): (124,),
    ("accept", errno.EINVAL): (6,),
    ("accept4", errno.EINVAL): (6,),
    ("listen", errno.EINVAL): (6,),
    ("connect", errno.EINVAL): (6, 131, 136),
    (_ANY, errno.EDESTADDRREQ): (6,),
    ("connect", errno.EPERM): (101, 105),
    ("sendto", errno.EPERM): (101,),
    ("sendmsg", errno.EPERM): (101,),
    ("sendto", errno.EINVAL): (131, 136),
    ("connect", errno.ETIMEDOUT): (18, 25, 134),
    ("connect", errno.ENETUNREACH): (20, 134),
    ("connect", errno.EHOSTUNREACH): (19, 102, 134),
    ("sendto", errno.ENETUNREACH): (20,),
    ("sendto", errno.EHOSTUNREACH): (19,),
    (_ANY, errno.EMSGSIZE): (31,),
    (_ANY, errno.EACCES): (78,),
    (_ANY, errno.ECONNREFUSED): (29,),
    ("setsockopt", errno.ENODEV): (79,),
    ("setsockopt", errno.EADDRNOTAVAIL): (79,),
    ("recvfrom", errno.ECONNRESET): (53, 54, 56),
    ("recvmsg", errno.ECONNRESET): (53, 54, 56),
    ("read", errno.ECONNRESET): (53, 54, 56),
    ("recvfrom", errno.ETIMEDOUT): (64, 65),
    ("read", errno.ETIMEDOUT): (64, 65),
    ("sendto", errno.EPIPE): (50, 55),
    ("sendmsg", errno.EPIPE): (50, 55),
    ("write", errno.EPIPE): (50, 55),
    ("writev", errno.EPIPE): (50, 55),
    ("sendto", errno.ECONNRESET): (53, 55, 56),
    ("write", errno.ECONNRESET): (53, 55, 56),
    ("accept", errno.EMFILE): (93,),
    ("accept4", errno.EMFILE): (93,),
    ("socket", errno.EMFILE): (93,),
    ("socket", errno.EPERM): (87,),
    ("socket", errno.EACCES): (87,),
    (_ANY, errno.ENOTCONN): (6,),
    (_ANY, errno.EISCONN): (6,),
    (_ANY, errno.EBADF): (11, 63),
    (_ANY, errno.ENOTSOCK): (11, 63),
    (_ANY, errno.ENOBUFS): (94,),
    (_ANY, errno.ECONNRESET): (53, 54, 56),
    (_ANY, errno.EPIPE): (50, 55),
    (_ANY, errno.ETIMEDOUT): (18, 65),
}

#: Causes that may be behind what was lost.
LOSS_ROWS: Final[dict[LossKind, tuple[int, ...]]] = {
    "unread bytes": (53,),
    "drops": (37, 68),
    "growth": (57, 93),
}


def judged(
    symptoms: Symptoms, findings: Sequence[Evidence], healthy: Iterable[Healthy]
) -> tuple[list[Symptom], list[NotJudged], dict[int, int]]:
    """Join what was noticed with what explains it.

    Returns:
        All symptoms; those that nobody judged; and how many calls each finding explains, by its position.

    """
    by_call: dict[int, int] = {}
    by_socket: dict[int, list[int]] = {}
    for position, evidence in enumerate(findings):
        for proof in evidence.proof:
            if proof.table == "call":
                by_call.setdefault(proof.row, position)
        for call in evidence.calls:
            by_call.setdefault(call, position)
        if evidence.rule.explains:
            for socket in evidence.subjects:
                by_socket.setdefault(socket, []).append(position)
    fine: dict[int, str] = {}
    for one in healthy:
        for call in one.calls:
            fine.setdefault(call, one.reason)
    everything: list[Symptom] = []
    open_ones: dict[tuple[str, int], NotJudged] = {}
    weights: dict[int, int] = {}
    for group in symptoms.failed.values():
        rule, reason = None, _always_healthy(group)
        cause = _explained(group, findings, by_call, by_socket)
        if cause is not None:
            rule, reason = findings[cause].rule.id, None
            weights[cause] = weights.get(cause, 0) + group.count
        elif reason is None:
            reason = next((fine[call] for call, _, _ in group.calls if call in fine), None)
        name = errno.errorcode.get(group.errno, str(group.errno))
        everything.append(Symptom("failed call", group.name, name, group.count, group.first.call.id, rule, reason))
        if rule is None and reason is None:
            known = open_ones.get((group.name, group.errno))
            count = group.count + (known.count if known is not None else 0)
            first = known.first if known is not None else group.first.call.id
            open_ones[group.name, group.errno] = NotJudged(group.name, name, count, first, _rows(group))
    not_judged = list(open_ones.values())
    subjects = _Subjects(findings)
    for wait in lasting(symptoms.facts):
        waiting = wait.call
        cause = by_call.get(waiting.call.id)
        if cause is None:
            cause = subjects.cause_of(wait.sockets)
        rule, reason = (findings[cause].rule.id, None) if cause is not None else (None, wait.healthy)
        if cause is not None:
            weights[cause] = weights.get(cause, 0) + 1
        everything.append(Symptom("wait", waiting.name, None, 1, waiting.call.id, rule, reason, wait.text))
        if rule is None and reason is None:
            not_judged.append(NotJudged(waiting.name, None, 1, waiting.call.id, wait.rows, "wait", wait.text))
    for loss in symptoms.losses.values():
        cause = subjects.cause_of(loss.sockets)
        rule, reason = (findings[cause].rule.id, None) if cause is not None else (None, _healthy_loss(symptoms, loss))
        said = _loss_text(symptoms, loss)
        everything.append(Symptom(loss.kind, None, None, loss.count, None, rule, reason, said))
        if rule is None and reason is None:
            rows = LOSS_ROWS[loss.kind]
            not_judged.append(NotJudged(None, None, loss.count, None, rows, loss.kind, said))
    return everything, not_judged, weights


class _Subjects:
    """Which finding is about which socket."""

    def __init__(self, findings: Sequence[Evidence]) -> None:
        self._findings = findings

    def cause_of(self, sockets: Sequence[SocketFacts | LostBy]) -> int | None:
        """The first finding that is about one of these sockets."""
        ids = {socket.id for socket in sockets}
        found = (number for number, one in enumerate(self._findings) if not ids.isdisjoint(one.subjects))
        return next(found, None) if ids else None


def _healthy_loss(symptoms: Symptoms, loss: Loss) -> str | None:
    """Why nothing was lost that anybody misses."""
    facts = symptoms.facts
    if loss.kind == "growth":
        closed = facts[Servers].listened(loss.process)
        return "the server's clients of the moment" if closed else None
    if loss.kind == "drops":
        return None
    if all(socket.origin == "socketpair" for socket in loss.sockets):
        return "a pair of sockets by which a program wakes itself up or ends"
    if all(one.ended_by is not None and facts.killed(one.ended_by) for one in loss.sockets):
        return "its process was ended from outside"
    if not any(socket.stream for socket in loss.sockets):
        return "datagrams that came when the program had ended its work"
    return None


def _loss_text(symptoms: Symptoms, loss: Loss) -> str:
    who = symptoms.facts.who(loss.process)
    first = loss.sockets[0].name
    match loss.kind:
        case "unread bytes":
            return f"{amount(loss.count, 'byte')} that had arrived for {who} were never read; first on {first}"
        case "drops":
            return f"the kernel dropped {loss.count} of what came for {who}; first on {first}"
        case "growth":
            return f"{loss.count} sockets that one line of {who} made were open at the end"


def _explained(
    group: FailedCalls,
    findings: Sequence[Evidence],
    by_call: dict[int, int],
    by_socket: dict[int, list[int]],
) -> int | None:
    for call, socket, at_ns in group.calls:
        found = by_call.get(call)
        if found is not None:
            return found
        for position in by_socket.get(socket, ()) if socket is not None else ():
            evidence = findings[position]
            if group.errno in evidence.rule.explains and at_ns >= evidence.at_ns:
                return position
    return None


def _always_healthy(group: FailedCalls) -> str | None:
    return HEALTHY.get((group.name, group.errno)) or HEALTHY.get((_ANY, group.errno))


def _rows(group: FailedCalls) -> tuple[int, ...]:
    return ROWS.get((group.name, group.errno)) or ROWS.get((_ANY, group.errno)) or ()
