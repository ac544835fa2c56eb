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
        "nobody ever accepted from it, while the other one accepted."
    )
    fix = "Close the listener that nobody serves (also in the parent after fork), or accept from each."
    disproof = "A process that is not traced accepts from it."
    references = ("socket(7)", "listen(2)")
    subject = "listener"
    needs = (Bound, Samples, SetUp)
    supersedes = ("listeners-share-port",)
    effects = ("accept-queue-full", "listener-closed-with-queue")

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        done, local, last = facts[SetUp].of(subject), subject.local, subject.last
        if not subject.tcp or done.listen is None or local is None or not local.port or done.accepts or last is None:
            return
        end_ns = subject.ended_ns or facts.now_ns
        stood_ns = end_ns - facts[Samples].of(subject).quiet_since_ns
        if not last.receive_queue or stood_ns < _LONG_NS or subject.late:
            return
        for other in facts[Bound].on(local.port, network=subject.network):
            served = facts[SetUp].of(other.socket)
            if other.id == subject.id or not other.tcp or other.local != local or other.listen is None:
                continue
            if not served.accepts or not other.listened_at(last.at_ns):
                continue
            yield Evidence(
                self,
                last.at_ns,
                f"{last.receive_queue} connection{'s' if last.receive_queue > 1 else ''} stood in the queue of this "
                f"listener on {local} for {duration(stood_ns)}; nobody accepts from it, while "
                f"{facts.who(other.process)} accepted {served.accepts} from "
                "the other one.",
                [
                    done.listen.proof(f"{done.listen.text()} on {local}"),
                    last.proof(f"LISTEN, accept queue {last.receive_queue} of {last.send_queue}"),
                    other.listen.proof(f"{other.listen.text()} on {other.local}: the one that is served"),
                ],
                call=done.listen.call,
                socket=subject.id,
                process=subject.process,
                subjects=frozenset({other.id}),
            )
            return
