"""The answer came only when the client gave up: its end was what the server had waited for."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import Connection
from ..trackers.closing import Closing
from ..trackers.reads import Reads
from ..trackers.waits import LONG_WAIT_NS
from ..trackers.writes import Writes

__all__ = ["EndAwaited"]


class EndAwaited(Rule):
    """One end reads to the end, and the other does not say that it has finished."""

    id = "end-awaited"
    title = "the server waited for the end of the request, and the client never half-closed"
    covers = (60,)
    severity = "error"
    certainty = "strong"
    layers = ("calls",)
    sentence = (
        "A program that reads until recv returns 0 bytes needs the other side's FIN. A client that waits for the "
        "answer with its own side open waits for something that cannot come: only shutdown(SHUT_WR) says that "
        "nothing follows."
    )
    symptoms = ("the client hangs", "no answer until the client gives up", "the server waits for more data")
    proof = (
        "The server wrote its first byte right after a recv of 0, which came when the client closed; the client had written all "
        "of its request a second or more before and had not called shutdown."
    )
    fix = "shutdown(SHUT_WR) after the last byte of the request; or a length or a delimiter in the protocol."
    disproof = "The client closed because of something else, and the server had the answer ready only then."
    references = ("shutdown(2)", "RFC 9293 3.6")
    subject = "connection"
    needs = (Closing, Reads, Writes)
    supersedes = ("both-wait",)
    effects = ("write-after-peer-closed", "close-with-unread-data", "silent-peer", "peer-process-died")

    def judge(self, facts: Facts, subject: Connection) -> Iterator[Judgement]:
        server, client = subject
        if client is None or not server.stream or server.origin != "accept":
            return
        end, first = facts[Reads].of(server).zero_last, facts[Writes].of(server).first
        asked, read = facts[Writes].of(client).last, facts[Reads].of(server).last
        if end is None or first is None or asked is None or read is None or facts[Closing].of(client).shut:
            return
        if not (read.end_ns <= end.end_ns <= first.entry_ns) or first.entry_ns - end.end_ns > LONG_WAIT_NS // 4:
            return
        waited_ns = end.end_ns - max(asked.end_ns, read.end_ns)
        if waited_ns < LONG_WAIT_NS // 2 or facts[Reads].of(client).calls:
            return
        yield Evidence(
            self,
            end.end_ns,
            f"The request was complete with {asked.text()}. The server answered {waited_ns / 1e9:.1f} s later, when "
            f"{end.text()} told it that the client had gone.",
            [asked.proof(), read.proof(), end.proof(), first.proof(f"{first.text()}: the first byte of the answer")],
            call=asked.call,
            socket=client.id,
            process=asked.call.process,
            certainty="strong",
            subjects=frozenset({server.id}),
        )
