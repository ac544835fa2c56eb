"""The end of the request was taken for the end of the connection."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import Connection
from ..trackers.answered import Answered
from ..trackers.closing import Closing
from ..trackers.reads import Reads
from ..trackers.writes import Writes

__all__ = ["HalfCloseTakenForClose"]


class HalfCloseTakenForClose(Rule):
    """The server closed without an answer because the client had half-closed."""

    id = "half-close-taken-for-close"
    title = "the client half-closed and waited for the answer; the server closed without one"
    covers = (116,)
    severity = "error"
    certainty = "strong"
    layers = ("calls",)
    sentence = (
        "shutdown(SHUT_WR) says that no more will be sent; answers are still read. A server that takes recv's 0 for a client that "
        "has gone (Node does unless allowHalfOpen is set) closes before it has answered."
    )
    symptoms = (
        "empty answer",
        "no answer when input is piped",
        "works by hand, not with nc -N",
        "connection closed early",
    )
    proof = (
        "The client called shutdown(SHUT_WR) and waited to read; the server read the request and its end, wrote nothing and "
        "closed, while it answered other connections that were accepted at the same line."
    )
    fix = "Answer what has been read, then close; in Node set allowHalfOpen and end the socket yourself."
    disproof = "This request needs no answer."
    references = ("shutdown(2)", "recv(2)", "RFC 9293 3.6")
    subject = "connection"
    needs = (Answered, Closing, Reads, Writes)

    def judge(self, facts: Facts, subject: Connection) -> Iterator[Judgement]:
        server, client = subject
        if client is None or server.origin != "accept" or not server.stream:
            return
        shut = facts[Closing].of(client).shut.get(1)
        closed = facts[Closing].last_close(server)
        # Node first shuts its own side, then closes.
        ended = next((call for how in (1, 2) if (call := facts[Closing].of(server).shut.get(how))), closed)
        reads = facts[Reads].of(server)
        if (
            shut is None
            or closed is None
            or ended is None
            or not reads.bytes
            or reads.zero_last is None
            or facts[Writes].of(server).calls
        ):
            return
        told = facts[Reads].of(client).zero_last
        if (
            told is None
            or ended.entry_ns < reads.zero_last.end_ns
            or told.end_ns < ended.entry_ns
            or told.entry_ns < shut.end_ns
            or facts[Reads].of(client).calls
        ):
            return
        others = facts[Answered].at(server)
        yield Evidence(
            self,
            closed.end_ns,
            f"The client had sent {reads.bytes} bytes and half-closed; {closed.text()} followed {reads.zero_last.text()} "
            "without a byte of an answer.",
            [shut.proof(f"the client's {shut.text()}"), reads.zero_last.proof(), closed.proof(), told.proof()],
            call=closed.call,
            socket=server.id,
            process=closed.call.process,
            certainty="strong" if others else "hint",
            severity="error" if others else "note",
            subjects=frozenset({client.id}),
        )
