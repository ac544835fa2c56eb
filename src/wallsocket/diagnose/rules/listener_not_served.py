"""One of the sockets that share a port is served by nobody."""

from __future__ import annotations

from collections.abc import Iterator

from ...trace.verdict import duration
from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.bound import Bound
from ..trackers.samples import Samples
from ..trackers.set_up import SetUp

__all__ = ["ListenerNotServed"]

_LONG_NS = 900_000_000
#: Who accepts so long after the first connection came was busy with something else, and did not start slowly.
_LATE_NS = 2_000_000_000


class ListenerNotServed(Rule):
    """Connections stand in the queue of a listener that nobody accepts from."""

    id = "listener-not-served"
    title = "one of the listeners that share the port accepts nothing: its share of the clients hangs"
    covers = (115,)
    severity = "error"
    certainty = "certain"
    layers = ("calls", "kernel")
    sentence = (
        "With SO_REUSEPORT the kernel gives each connection to one of the listeners by a hash, whether anybody "
        "accepts from it or not. A listener that was opened and forgotten, or whose worker is stuck, gets its share "
        "all the same."
    )
    symptoms = ("half of the connections hang", "every second client waits", "SO_REUSEPORT", "connected but no answer")
    proof = (
        "Two sockets listen on one address and port; connections stood in the queue of one for a second or more and "
        "nobody ever accepted from it, or not for two seconds, while the other one accepted."
    )
    fix = "Close the listener that nobody serves (also in the parent after fork), or accept from each."
    disproof = "A process that is not traced accepts from it."
    references = ("socket(7)", "listen(2)")
    subject = "listener"
    needs = (Bound, Samples, SetUp)
    supersedes = ("listeners-share-port",)
    effects = ("accept-queue-full", "left-before-accept", "listener-closed-with-queue")

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        done, local, last = facts[SetUp].of(subject), subject.local, subject.last
        if not subject.tcp or done.listen is None or local is None or not local.port or last is None or subject.late:
            return
        first, queued = done.first_accept, facts[Samples].of(subject).queued
        if queued is None:
            return
        until_ns = first.entry_ns if first is not None else subject.ended_ns or facts.now_ns
        stood_ns, stood = until_ns - queued.at_ns, queued if first is not None else last
        if not stood.receive_queue or stood_ns < (_LONG_NS if first is None else _LATE_NS):
            return
        for other in facts[Bound].on(local.port, network=subject.network):
            served = facts[SetUp].of(other.socket)
            if other.id == subject.id or not other.tcp or other.local != local or other.listen is None:
                continue
            if not served.accepts or not other.listened_at(queued.at_ns):
                continue
            if first is not None and (served.first_accept is None or served.first_accept.end_ns > first.entry_ns):
                continue
            nobody = "nobody accepts from it" if first is None else "nobody accepted from it in that time"
            yield Evidence(
                self,
                stood.at_ns,
                f"{stood.receive_queue} connection{'s' if (stood.receive_queue or 0) > 1 else ''} stood in the queue of this "
                f"listener on {local} for {duration(stood_ns)}; {nobody}, while "
                f"{facts.who(other.process)} accepted {served.accepts} from "
                "the other one.",
                [
                    done.listen.proof(f"{done.listen.text()} on {local}"),
                    stood.proof(f"LISTEN, accept queue {stood.receive_queue} of {stood.send_queue}"),
                    *([first.proof(f"{first.text()}: the first one that it accepted")] if first is not None else []),
                    other.listen.proof(f"{other.listen.text()} on {other.local}: the one that is served"),
                ],
                call=done.listen.call,
                socket=subject.id,
                process=subject.process,
                certainty="certain" if first is None else "strong",
                severity="error" if first is None else "warning",
                subjects=frozenset({other.id}),
            )
            return
