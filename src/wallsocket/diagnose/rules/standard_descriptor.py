"""A socket that got the number of a standard stream."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.standard_numbers import StandardNumbers

__all__ = ["StandardDescriptor"]

_STREAMS = {0: "standard input", 1: "standard output", 2: "standard error"}


class StandardDescriptor(Rule):
    """socket() returned 0, 1 or 2, and something else was done with that number."""

    id = "standard-descriptor"
    title = "a socket got the number of a closed standard stream"
    covers = (154,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "The kernel gives the lowest free number. Where descriptor 0, 1 or 2 was closed the next socket gets it: output of the "
        "program then goes to the peer, and code that sets up the standard streams closes the socket."
    )
    symptoms = ("ENOTSOCK", "socket operation on non-socket", "log lines in the protocol", "nobody listens")
    proof = (
        "socket or accept returned 0, 1 or 2; then dup2 replaced it, or it was written to as a stream while it listened. A "
        "hint: write was called on a connection with the number 1 or 2."
    )
    fix = "Open /dev/null on 0, 1 and 2 instead of closing them; or make the sockets before."
    disproof = "The program wanted the socket at that number, and used it as a socket."
    references = ("open(2)", "dup(2)", "stdio(3)")
    needs = (StandardNumbers,)
    given = StandardNumbers
    live = True
    effects = ("nobody-listens", "close-with-unread-data", "call-in-wrong-state")

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        seen = facts[StandardNumbers].of(subject)
        if seen.made is None:
            return
        stream = _STREAMS[seen.number]
        if seen.hit is None and seen.written is not None:
            yield Evidence(
                self,
                seen.written.end_ns,
                f"{seen.made.name} returned {seen.number}, the number of {stream}, which was closed: what the program "
                f"prints there goes to {subject.remote or 'the peer'}, between what it means to send.",
                [seen.made.proof(), seen.written.proof()],
                call=seen.made.call,
                socket=subject.id,
                process=seen.made.call.process,
                severity="note",
                certainty="hint",
            )
        if seen.hit is None:
            return
        done = "replaced it" if seen.hit.name.startswith("dup") else "was meant for the stream"
        yield Evidence(
            self,
            seen.hit.end_ns,
            f"{seen.made.name} returned {seen.number}, the number of {stream}, which was closed; {seen.hit.text()} {done}.",
            [seen.made.proof(), seen.hit.proof()],
            call=seen.made.call,
            socket=subject.id,
            process=seen.made.call.process,
        )
