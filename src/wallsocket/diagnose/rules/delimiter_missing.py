"""The reader waits for the end of a message that the writer does not send."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import Connection
from ..trackers.messages import Messages
from ..trackers.options import Options
from ..trackers.prefixes import Prefixes
from ..trackers.protocols import Protocols
from ..trackers.reads import Reads
from ..trackers.stalls import Stall, Stalls
from ..trackers.writes import Writes
from ..vocabulary import EPOLL_WAITS, POLL_CALLS, SO_RCVTIMEO

__all__ = ["DelimiterMissing"]


class DelimiterMissing(Rule):
    """A line, or a head of HTTP, without its end."""

    id = "delimiter-missing"
    title = "the end of the line is never sent"
    covers = (46,)
    severity = "error"
    certainty = "strong"
    layers = ("calls",)
    sentence = (
        "A reader of lines returns a line when its end has come. Without that end the reader waits for more, and "
        "the writer for the answer."
    )
    symptoms = ("readline hangs", "no reply from server", "server does not answer until the client closes")
    proof = (
        "One end wrote text without a line end (or HTTP without the empty line that ends a head) and waited; the other "
        "had read all of it and waited for more for about a second. Strong when the other end speaks in lines, reads byte "
        "by byte, or the protocol is HTTP."
    )
    fix = (
        r"Send the delimiter that the reader waits for: \n or \r\n after a line, an empty line after the head of HTTP."
    )
    disproof = "The reader waits for a number of bytes, or for the writer's half-close."
    references = ("recv(2)", "RFC 9112 2.2")
    subject = "connection"
    needs = (Messages, Options, Prefixes, Protocols, Reads, Stalls, Writes)
    given = Writes
    supersedes = ("both-wait", "end-awaited", "silent-peer")
    effects = ("peer-process-died",)

    def judge(self, facts: Facts, subject: Connection) -> Iterator[Judgement]:
        stall = facts[Stalls].on(subject)
        if stall is None or facts[Protocols].tls(stall.answerer):
            return
        text = stall.payload()
        if text is None:
            return
        protocol = facts[Protocols].of(stall.answerer).received
        if protocol == "http":
            head = facts[Messages].of(stall.asker).sent.latest
            if head is None or head.head_end is not None or b"\n\r\n" in text or b"\n\n" in text:
                return
            yield self._evidence(facts, stall, "the head of an HTTP message without the empty line that ends it", True)
            return
        if protocol is not None or not text.isascii() or (not text.decode().isprintable() and not _lines(text)):
            return
        prefix = facts[Prefixes].of(stall.answerer).first
        if prefix is not None and facts[Reads].of(stall.answerer).first is prefix.read and not text[:1].isspace():
            # It may read a length first.
            return
        backwards = [call.payload for call in facts[Writes].of(stall.answerer).recent]
        lines = [each for each in backwards if each.endswith(b"\n") and len(each) < 64]
        if not text.endswith((b"\n", b"\r", b"\0")):
            reads = facts[Reads].of(stall.answerer)
            single = reads.calls >= 2 and all(call.length == 1 for call in reads.recent)
            clear = bool(lines) or single
            # An answer after the peer's end without a sign of lines: it may as well have waited for that end.
            if clear or (not backwards and _limited(facts, stall)):
                yield self._evidence(facts, stall, f"{len(text)} bytes without a line end", clear)
        elif (
            text.endswith(b"\n")
            and not text.endswith(b"\r\n")
            and lines
            and all(each.endswith(b"\r\n") for each in lines)
        ):
            yield self._evidence(facts, stall, r"a line that ends in \n, where the other end's end in \r\n", True)

    def _evidence(self, facts: Facts, stall: Stall, what: str, clear: bool) -> Evidence:
        last = stall.message[-1] if stall.message else stall.asks
        line = facts.line(last.call)
        shown = stall.reads if facts.line(stall.reads.call) else last
        sent = f"sent {what} at {line}" if line else f"sent {what}"
        asker, answerer = facts.who(stall.asker.process), facts.who(stall.answerer.process)
        read = facts[Reads].of(stall.answerer).last
        return Evidence(
            self,
            last.end_ns,
            f"{asker} {sent} and waited for the answer; {answerer} had read all of it and waited for more, "
            f"{stall.waited_ns / 1e9:.1f} s long.",
            [
                last.proof(),
                *([read.proof()] if read is not None else []),
                stall.reads.proof(f"{answerer}: {stall.reads.text()}"),
                stall.asks.proof(f"{asker}: {stall.asks.text()}"),
            ],
            call=shown.call,
            socket=(stall.answerer if shown is stall.reads else stall.asker).id,
            process=shown.call.process,
            certainty="strong" if clear else "hint",
            subjects=frozenset({stall.asker.id, stall.answerer.id}),
        )


def _limited(facts: Facts, stall: Stall) -> bool:
    """Whether a time limit ends the wait at one end: without one that both wait is all that is sure."""
    options = facts[Options]
    ends = (stall.asker, stall.asks), (stall.answerer, stall.reads)
    return any(
        (call.name in (POLL_CALLS | EPOLL_WAITS) and (call.timeout_ms or 0) >= 0)
        or options.limited(end, SO_RCVTIMEO) is True
        for end, call in ends
    )


def _lines(text: bytes) -> bool:
    return all(byte >= 32 or byte in b"\t\r\n\0" for byte in text)
