"""Two sockets have one UDP port, and the datagrams go to one of them."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..finding import Certainty, Severity
from ..rule import Evidence, Judgement, Rule
from ..subjects import Host
from ..trackers.datagrams import Datagrams
from ..trackers.memberships import Memberships
from ..trackers.shared_ports import PortShare, SharedPorts

__all__ = ["PortShared"]

#: For how long both must have had the port: a program that hands its port over has it twice for a moment.
_LEAST_NS = 1_000_000_000


class PortShared(Rule):
    """Two sockets have one UDP port, and the datagrams go to one of them."""

    id = "port-shared"
    title = "two sockets share the port: datagrams go to the other one"
    covers = (35,)
    severity = "error"
    certainty = "strong"
    layers = ("calls",)
    sentence = (
        "With SO_REUSEADDR or SO_REUSEPORT on both, two UDP sockets can have one address and port. Each datagram for one "
        "receiver goes to one of them: to the one bound last (SO_REUSEADDR), or to one chosen by a hash of the addresses "
        "(SO_REUSEPORT)."
    )
    symptoms = ("UDP server receives nothing", "half of the datagrams missing", "second process steals UDP packets")
    proof = (
        "Two traced sockets had the same address and port for a second or more, datagrams arrived meanwhile, and "
        "one of the two read none of them. Multicast and broadcast, which every one of them gets, do not count."
    )
    fix = "Stop the process that is left over; leave SO_REUSEADDR out for UDP, so that the second bind fails."
    disproof = "Both belong to one service that shares its load on purpose."
    references = ("socket(7)", "udp(7)")
    subject = "host"
    needs = (Datagrams, Memberships, SharedPorts)

    def judge(self, facts: Facts, subject: Host) -> Iterator[Judgement]:
        for share in facts[SharedPorts].all:
            found = self._case(facts, share)
            if found is not None:
                yield found

    def _case(self, facts: Facts, share: PortShare) -> Evidence | None:
        older, newer = share.older, share.newer
        if older.bind is None or newer.bind is None or older.process == newer.process:
            return None
        if any(entry.id in facts[Memberships].joined_ever for entry in (older, newer)):
            return None
        until = [entry.ended_ns if entry.ended_ns is not None else facts.now_ns for entry in (older, newer)]
        if min(until) - newer.bind.end_ns < _LEAST_NS:
            return None
        sent = [
            call
            for call in facts[Datagrams].to(newer.local.port)
            if call.entry_ns > newer.bind.end_ns and call.entry_ns < min(until)
        ]
        if any(call.address is not None and call.address.many for call in sent):
            return None
        idle, busy, read, last = (
            (older, newer, share.newer_reads, share.newer_last)
            if not share.older_reads
            else (newer, older, share.older_reads, share.older_last)
        )
        by_hash = share.by_hash
        if by_hash and _one_service(facts, older.process, newer.process):
            return None
        severity: Severity = "error"
        certainty: Certainty = "strong"
        if share.older_reads and share.newer_reads:
            if not by_hash:
                return None
            severity, certainty = "note", "hint"
        elif read < 2 or last is None:
            return None
        elif by_hash:
            # One sender's datagrams all go to one of them: that is how it is meant where a service shares its load.
            queued = idle.socket.last.receive_queue if idle.socket.last is not None else 0
            if not queued and len({call.call.socket for call in sent}) < 4:
                severity, certainty = "note", "hint"
        rows = [older.bind.proof(), newer.bind.proof(f"{newer.bind.text()}: the same port again")]
        if last is not None:
            rows.append(last.proof(f"{last.text()}: {facts.who(busy.process)} reads"))
        other = facts.who(busy.process)
        how = f"{other} read {read} datagrams, {facts.who(idle.process)} none"
        if share.older_reads and share.newer_reads:
            how = f"{facts.who(older.process)} read {share.older_reads} datagrams, {facts.who(newer.process)} {share.newer_reads}"
        return Evidence(
            self,
            newer.bind.end_ns,
            f"{facts.who(older.process)} and {facts.who(newer.process)} both have {newer.local}: since then {how}.",
            rows,
            call=newer.bind.call,
            socket=idle.id,
            process=idle.process,
            certainty=certainty,
            severity=severity,
            subjects=frozenset({busy.id}),
        )


def _one_service(facts: Facts, one: int, other: int) -> bool:
    """Whether two processes are workers of one program: the same command, and one made the other or one made both."""
    first, second = facts.process(one), facts.process(other)
    if first is None or second is None or first.command != second.command:
        return False
    if first.id == second.parent or second.id == first.parent:
        return True
    parent = facts.process(first.parent)
    return parent is not None and first.parent == second.parent and parent.executable == first.executable
