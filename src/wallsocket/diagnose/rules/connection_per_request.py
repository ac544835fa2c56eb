"""A new connection for every request."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import ProcessFacts
from ..trackers.connections import Connections

__all__ = ["ConnectionPerRequest"]

_MANY = 30


class ConnectionPerRequest(Rule):
    """A new connection for every request."""

    id = "connection-per-request"
    title = "a new connection for every request"
    covers = (75,)
    severity = "note"
    certainty = "hint"
    layers = ("calls",)
    sentence = (
        "Each connection costs a handshake (a round trip, with TLS two or three), a slow start, and a local port that "
        "stays in "
        "TIME_WAIT for a minute at the end that closes first. One that is kept costs this once."
    )
    symptoms = (
        "many TIME_WAIT",
        "slow requests",
        "handshake for each request",
        "keep-alive not used",
        "Connection: close",
    )
    proof = (
        "Thirty or more TCP connections made at one line to one destination, one after the other, each closed after "
        "one answer."
    )
    fix = "Keep the connection: a session or pool of the HTTP library, keep-alive, one socket for several requests."
    disproof = "The protocol ends a connection with each answer, or a check is meant to connect each time."
    references = ("RFC 9112 9.3", "tcp(7)")
    subject = "process"
    needs = (Connections,)

    def judge(self, facts: Facts, subject: ProcessFacts) -> Iterator[Judgement]:
        for (process, _, where), group in facts[Connections].all.items():
            first, last = group.first, group.last
            if process != subject.id or group.total < _MANY or first is None or last is None or first.name != "connect":
                continue
            answered = group.turns * 10 >= group.total * 8
            each_its_own = group.once * 10 >= group.total * 8
            serial = group.overlaps <= group.total // 10 and group.most_open <= max(3, group.total // 5)
            if not (answered and each_its_own and serial):
                continue
            yield Evidence(
                self,
                first.end_ns,
                f"{group.total} connections to {where} in {group.took_ns / 1e9:.1f} s, one after the other: "
                f"{group.turns} answers, "
                f"and {group.once} connections were closed after one.",
                [first.proof(), last.proof(f"{last.text()}: connection number {group.total}")],
                call=first.call,
                process=process,
                certainty="hint",
                severity="note",
                socket=first.call.socket,
            )
