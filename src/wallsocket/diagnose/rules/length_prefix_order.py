"""The length in front of a message is read with its bytes in another order than it was written."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import Connection, SocketFacts
from ..trackers.closing import Closing
from ..trackers.peers import Peers
from ..trackers.prefixes import SIZES, Prefix, Prefixes
from ..trackers.protocols import Protocols
from ..trackers.reads import Reads
from ..trackers.stalls import Stall, Stalls
from ..trackers.writes import Writes

__all__ = ["LengthPrefixOrder"]


class LengthPrefixOrder(Rule):
    """Two byte orders for one length."""

    id = "length-prefix-order"
    title = "the length in front of the message is in another byte order than the reader expects"
    covers = (45,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "A length that one end writes in its own byte order and the other reads in network byte order becomes another "
        "number: the reader waits for a message of absurd length, or refuses it."
    )
    symptoms = (
        "message too large",
        "waits for a message of absurd length",
        "MemoryError after reading the length",
        "htonl",
    )
    proof = (
        "The peer's message is as long as the number in front of it says in one byte order; the reader then asked for the "
        "number that it is in the other order (certain), or waited for more or gave up (strong)."
    )
    fix = 'Use network byte order at both ends: htonl and ntohl, struct format "!I", ByteOrder.BIG_ENDIAN.'
    disproof = "The bytes in front of the message are no length."
    references = ("byteorder(3)", "endian(3)")
    subject = "connection"
    needs = (Closing, Peers, Prefixes, Protocols, Reads, Stalls, Writes)
    given = Writes
    supersedes = ("both-wait", "end-awaited", "silent-peer", "delimiter-missing", "one-recv-per-message")
    effects = ("close-with-unread-data", "write-after-peer-closed", "peer-process-died")

    def judge(self, facts: Facts, subject: Connection) -> Iterator[Judgement]:
        if subject.other is None or not subject.one.stream:
            return
        stall = facts[Stalls].on(subject)
        for reader, writer in (subject, subject[::-1]):
            assert reader is not None
            assert writer is not None
            if reader.late or writer.late or facts[Protocols].framed(reader):
                continue
            prefix = facts[Prefixes].of(reader).latest
            found = self._read_alone(facts, reader, writer, prefix, stall) if prefix is not None else None
            if found is None and stall is not None and stall.answerer is reader and prefix is None:
                found = self._buffered(facts, stall)
            if found is not None:
                yield found
                return

    def _read_alone(
        self, facts: Facts, reader: SocketFacts, writer: SocketFacts, prefix: Prefix, stall: Stall | None
    ) -> Evidence | None:
        """The reader asked for the length by itself, and then for the message."""
        read = prefix.read
        if read.offset is None:
            return None
        behind = read.offset + read.moved
        ends = {
            end - behind
            for call in facts[Writes].of(writer).recent
            if (end := (call.offset or 0) + call.moved) > behind
        }
        network, reversed_ = prefix.values()
        fits = [
            (one, two) for one, two in ((network, reversed_), (reversed_, network)) if one in ends and two not in ends
        ]
        if len(fits) != 1 or network == reversed_:
            return None
        meant, taken = fits[0]
        after = prefix.after
        if after is not None and after.length == taken:
            certainty, then = "certain", f"then asked for {taken}"
        elif after is not None and after.length == meant:
            return None
        elif taken > meant and stall is not None and stall.answerer is reader:
            certainty, then = (
                "strong",
                f"and waits for more than the {meant} bytes that came; in the other order it is {taken}",
            )
        elif taken > meant and after is None and facts[Closing].done(reader):
            certainty, then = "strong", f"and gave up; in the other order it is {taken}"
        else:
            return None
        begin = next((call for call in facts[Writes].of(writer).recent if call.offset == read.offset), None)
        return Evidence(
            self,
            read.end_ns,
            f"{facts.who(reader.process)} read {read.payload.hex(' ')} as a length, {then}. The message of "
            f"{facts.who(writer.process)} has {meant} bytes behind it, which is that number in "
            f"{'network' if meant == network else 'little-endian'} byte order.",
            [
                read.proof(),
                *([after.proof()] if after is not None else []),
                *([begin.proof()] if begin is not None else []),
            ],
            call=(begin or read).call if meant != network else (after or read).call,
            socket=reader.id,
            process=reader.process if meant == network else writer.process,
            certainty="certain" if certainty == "certain" else "strong",
            subjects=frozenset({writer.id}),
        )

    def _buffered(self, facts: Facts, stall: Stall) -> Evidence | None:
        """The reader took all at once: of the length only the bytes are known."""
        first = stall.message[0] if stall.message else None
        if first is None:
            return None
        whole = stall.size
        for size in SIZES:
            prefix = first.payload[:size]
            if len(prefix) < size or size > whole // 2:
                continue
            little, network = int.from_bytes(prefix, "little"), int.from_bytes(prefix, "big")
            if little in (whole - size, whole) and network > whole << 7:
                return Evidence(
                    self,
                    first.end_ns,
                    f"The message of {facts.who(stall.asker.process)} begins with {prefix.hex(' ')}, which is {little}, the "
                    f"length of what it sent, in little-endian order and {network} in network byte order; "
                    f"{facts.who(stall.answerer.process)} has read all {whole} bytes and waits for more.",
                    [first.proof(), stall.reads.proof(), stall.asks.proof()],
                    call=first.call,
                    socket=stall.asker.id,
                    process=stall.asker.process,
                    certainty="strong",
                    subjects=frozenset({stall.answerer.id}),
                )
        return None
