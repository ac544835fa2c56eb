"""A program between two others keeps what it has read, and passes it on in one piece."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.relays import Relays

__all__ = ["ProxyHoldsBack"]

_MANY = 3
_LEAST_NS = 1_000_000_000


class ProxyHoldsBack(Rule):
    """A program between two others keeps what it has read, and passes it on in one piece."""

    id = "proxy-holds-back"
    title = "a proxy keeps what it has read: it arrives late and all at once"
    covers = (139,)
    severity = "note"
    certainty = "hint"
    layers = ("calls",)
    sentence = (
        "A proxy that buffers waits for the end of an answer, or for a full buffer, before it passes anything on. "
        "Events, progress and logs then come late and in one piece, though their source wrote them one by one."
    )
    symptoms = (
        "server-sent events arrive all at once",
        "proxy_buffering",
        "streaming response is delayed",
        "events come late",
    )
    proof = (
        "Three or more reads of one connection over a second or more, and one write of the same thread to another "
        "connection with all their bytes; or none until then to the only client for whom the thread reads, and then other bytes, "
        "as a compressor gives."
    )
    fix = "Switch buffering off for this path (proxy_buffering off, X-Accel-Buffering: no, flush after each read)."
    disproof = "The message must be whole before it can be passed on."
    references = ("RFC 9110 7.6",)
    needs = (Relays,)
    given = Relays

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        held = facts[Relays].of(subject).worst
        if held is None or held.write is None or held.count < _MANY or held.kept_ns < _LEAST_NS:
            return
        write = held.write
        where = write.socket.name() if write.socket is not None else "another connection"
        yield Evidence(
            self,
            held.first.end_ns,
            f"{facts.who(subject.process)} read {held.bytes} bytes from {subject.name()} by {held.count} calls and "
            f"{'wrote nothing' if held.changed else 'wrote them'} to {where} "
            f"{f'until {held.kept_ns / 1e9:.1f} s after' if held.changed else f'by one, {held.kept_ns / 1e9:.1f} s after'} "
            "the first had come.",
            [
                held.first.proof(),
                held.last.proof(),
                write.proof(
                    f"{write.text()}: {'the first since' if held.changed else 'begins with the bytes of the first read'}"
                ),
            ],
            call=write.call,
            socket=subject.id,
            process=write.call.process,
            certainty="hint",
            severity="note",
            subjects=frozenset({write.socket.id} if write.socket is not None else ()),
            lost_ns=held.kept_ns,
        )
