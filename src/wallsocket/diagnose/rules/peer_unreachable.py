"""What was sent is not acknowledged: nobody is at the other end any more."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..finding import Proof
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.waits import Waits
from ..vocabulary import CLOSE_WAIT, ESTABLISHED

__all__ = ["PeerUnreachable"]

#: Three in a row take 1.4 s at the least time-out of 200 ms: no moment of loss.
_LEAST = 3
_RETRANSMIT = 1


class PeerUnreachable(Rule):
    """What was sent is not acknowledged: nobody is at the other end any more."""

    id = "peer-unreachable"
    title = "the peer has vanished: what was sent is not acknowledged"
    covers = (65,)
    severity = "warning"
    certainty = "strong"
    layers = ("kernel",)
    sentence = (
        "The kernel repeats unacknowledged data with growing pauses, by default for about 15 minutes, before it gives "
        "the program ETIMEDOUT. Until then send succeeds and recv waits."
    )
    symptoms = ("ETIMEDOUT after 15 minutes", "connection hangs after cable pulled", "half-open connection")
    proof = "The retransmission timer runs, at least three attempts in a row got no acknowledgement, and data are unacknowledged."
    fix = (
        "Set TCP_USER_TIMEOUT to what the program can wait for; TCP keepalive finds a dead peer while nothing is sent."
    )
    disproof = "The path comes back and the data are acknowledged."
    references = ("tcp(7)", "RFC 9293 3.8.3", "RFC 5482")
    pictures = "only"
    supersedes = ("silent-peer", "both-wait")
    needs = (Waits,)

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        last = subject.last
        info = last.info if last is not None else None
        if last is None or info is None or not subject.tcp or last.state not in (ESTABLISHED, CLOSE_WAIT):
            return
        attempts = info.retransmits or 0
        if last.row.timer != _RETRANSMIT or attempts < _LEAST or not last.send_queue:
            return
        wait = next(iter(facts[Waits].of(subject).now.values()), None)
        rows: list[Proof] = [last.proof(f"{last.send_queue} bytes unacknowledged, repeated {attempts} times in a row")]
        who = facts.who(subject.process)
        if wait is not None:
            rows.append(wait.proof())
            who += f" {facts[Waits].doing(wait)}"
        silent_s = (info.last_ack_received_ms or 0) / 1000
        yield Evidence(
            self,
            wait.entry_ns if wait is not None else last.at_ns,
            f"{who}: {subject.remote} has acknowledged nothing for {silent_s:.1f} s; {last.send_queue} bytes were sent "
            f"again {attempts} times in a row. Nobody is there any more, or no packet gets through.",
            rows,
            call=wait.call if wait is not None else None,
            socket=subject.id,
            process=subject.process,
            certainty="strong",
            severity="warning",
        )
