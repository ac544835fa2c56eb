"""The interpreter closed a socket that was still needed, since nothing held it any more."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..finding import Proof
from ..rule import Evidence, Judgement, Rule
from ..subjects import Destination, ProcessFacts
from ..trackers.closed_numbers import ClosedNumbers
from ..trackers.destinations import Destinations
from ..trackers.finalised import Dropped, Finalised
from ..trackers.unheard import Unheard

__all__ = ["SocketDropped"]


class SocketDropped(Rule):
    """The interpreter closed a socket that was still needed, since nothing held it any more."""

    id = "socket-dropped"
    title = "Python closed the socket itself: nothing held it any more"
    covers = (163,)
    severity = "error"
    certainty = "strong"
    layers = ("calls", "lines")
    sentence = (
        "Python closes a socket as soon as no name and no container holds it: at the end of the function whose local variable "
        "it was, for instance. The number that fileno() gave holds nothing, nor does a listener's port that others know."
    )
    symptoms = (
        "bad file descriptor",
        "connection refused after listen",
        "ResourceWarning: unclosed socket",
        "socket closed when function returns",
    )
    proof = (
        "The three calls with which the interpreter ends a socket that nobody closed (getsockname and getpeername for its "
        "ResourceWarning, then close) were made at one line; afterwards its number was used in vain, or its address refused."
    )
    fix = (
        "Hold the socket as long as it is used: return it, or keep it in an attribute; detach() gives the number away."
    )
    disproof = "The program had no use for it any more, and the later call meant another one."
    references = ("socket(2)", "close(2)")
    subject = "process"
    needs = (ClosedNumbers, Destinations, Finalised, Unheard)
    effects = ("closed-descriptor-used", "nobody-listens", "datagram-refused")

    def judge(self, facts: Facts, subject: ProcessFacts) -> Iterator[Judgement]:
        for dropped in facts[Finalised].of_process.get(subject.id, ()):
            missed = self._missed(facts, dropped)
            if missed is None:
                continue
            how, proof = missed
            closed = dropped.closed
            line = facts.line(closed.call)
            yield Evidence(
                self,
                closed.end_ns,
                f"The interpreter of {facts.who(subject.id)} closed {dropped.local or dropped.socket.name()}"
                f"{f' at {line}' if line else ''}, where the last that held it was gone; {how}.",
                [dropped.asked.proof(), closed.proof(), proof],
                call=closed.call,
                socket=dropped.socket.id,
                process=subject.id,
            )

    @staticmethod
    def _missed(facts: Facts, dropped: Dropped) -> tuple[str, Proof] | None:
        """What went wrong for want of it."""
        closed, where = dropped.closed, dropped.local
        used = facts[ClosedNumbers].after(closed)
        if used is not None:
            text = f"call {used.first.call.id} {used.first.name}({used.first.call.fd}) = EBADF"
            return "then its number was used", used.first.proof(text)
        if where is None or not where.port:
            return None
        network = dropped.socket.network
        if dropped.socket.tcp and dropped.listened:
            for refusal in facts[Destinations].refused(Destination("tcp", where, network)):
                if refusal.at_ns > closed.end_ns:
                    return f"then a connection to {where} was refused", refusal.seen.proof()
        if dropped.socket.udp:
            unheard = facts[Unheard].of(Destination("udp", where, network))
            for call in unheard.refused if unheard is not None else ():
                if call.end_ns > closed.end_ns:
                    return f"then a datagram to {where} was refused", call.proof()
        return None
