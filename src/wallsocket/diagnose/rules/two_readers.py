"""A buffered reader took more than it gave, and the socket was read beside it."""

from __future__ import annotations

from collections.abc import Iterator

from ..call import CallFacts
from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import Connection
from ..trackers.protocols import Protocols
from ..trackers.reads import Reads
from ..trackers.stalls import Stalls
from ..trackers.waits import Waits
from ..trackers.writes import Writes
from ..vocabulary import READS

__all__ = ["TwoReaders"]


class TwoReaders(Rule):
    """Bytes lie in the buffer of one reader while another one waits for them."""

    id = "two-readers"
    title = "a buffered reader has taken the bytes that another read on the same socket waits for"
    covers = (48,)
    severity = "error"
    certainty = "strong"
    layers = ("calls",)
    sentence = (
        "makefile, FILE * and BufferedReader read as much as their buffer holds and hand out one line of it. What "
        "they have taken is not in the socket any more: recv beside them waits."
    )
    symptoms = (
        "recv hangs after readline",
        "data lost after makefile",
        "fgets and recv on one socket",
        "body missing after the header",
    )
    proof = (
        "A read with a large buffer took a line and bytes behind it; after that the program read the same socket in "
        "another way (another call, a smaller size, another line) and waited, while the peer had sent everything and "
        "waited too; or it waited for exactly as many bytes as lay behind the line."
    )
    fix = "Use one reader for the whole life of the socket: read the rest through the buffered one."
    disproof = "The program took the bytes behind the line out of the buffer, and waits for more."
    references = ("recv(2)", "stdio(3)")
    subject = "connection"
    needs = (Protocols, Reads, Stalls, Waits, Writes)
    given = Writes
    supersedes = ("both-wait", "end-awaited", "silent-peer", "delimiter-missing", "length-prefix-order")
    effects = ("peer-process-died",)

    def judge(self, facts: Facts, subject: Connection) -> Iterator[Judgement]:
        stall = facts[Stalls].on(subject)
        if stall is None or stall.reads.name not in READS:
            yield from self._alone(facts, subject)
            return
        if facts[Protocols].tls(stall.answerer):
            return
        read = facts[Reads].of(stall.answerer).last
        if read is None or not self._another(facts, read, stall.reads):
            return
        behind = _behind_line(read)
        if not behind:
            return
        yield Evidence(
            self,
            stall.reads.entry_ns,
            f"{read.text()} of {facts.who(stall.answerer.process)} took a line and {behind} bytes behind it; then "
            f"{stall.reads.text()} waited {stall.waited_ns / 1e9:.1f} s on the same socket, whose queue was empty: the peer had "
            "sent everything and waited for the answer.",
            [
                read.proof(),
                stall.reads.proof(),
                stall.asks.proof(f"{facts.who(stall.asker.process)}: {stall.asks.text()}"),
            ],
            call=stall.reads.call,
            socket=stall.answerer.id,
            process=stall.answerer.process,
            certainty="strong",
            subjects=frozenset({stall.asker.id}),
        )

    def _alone(self, facts: Facts, connection: Connection) -> Iterator[Judgement]:
        """The reader's own calls say it: what it asked for is just what lay behind the line."""
        for reader, peer in (connection, connection[::-1]):
            if reader is None or reader.late or facts[Protocols].tls(reader):
                continue
            read = facts[Reads].of(reader).last
            waits = facts[Waits].of(reader)
            vain = [
                call for call in (*waits.now.values(), *waits.long) if read is not None and call.entry_ns >= read.end_ns
            ]
            # With a time limit the wait is that of a poll, and the read never comes.
            if read is None or not vain or not _behind_line(read):
                continue
            wait = vain[-1]
            behind = _behind_line(read)
            if wait.name in READS:
                exact = wait.length == behind
            else:
                exact = str(behind).encode() in read.payload[: read.payload.find(b"\n")].split()
            if not exact or not self._another(facts, read, wait):
                continue
            if peer is not None and facts[Writes].of(peer).bytes != facts[Reads].of(reader).bytes:
                continue
            yield Evidence(
                self,
                wait.entry_ns,
                f"{read.text()} of {facts.who(reader.process)} took a line and {behind} bytes behind it; then {wait.text()} "
                f"waited {(facts[Waits].until_ns(wait) - wait.entry_ns) / 1e9:.1f} s in vain for as many on the same socket, "
                "whose queue was empty.",
                [read.proof(), wait.proof()],
                call=wait.call,
                socket=reader.id,
                process=reader.process,
                certainty="strong",
                subjects=frozenset({peer.id} if peer is not None else ()),
            )
            return

    @staticmethod
    def _another(facts: Facts, read: CallFacts, wait: CallFacts) -> bool:
        """Whether the wait is no read of the same reader."""
        if wait.name != read.name:
            return True
        here, there = facts.source(wait.call), facts.source(read.call)
        elsewhere = here is not None and there is not None and (here.file, here.line) != (there.file, there.line)
        # A buffered reader asks for whole buffers; what asks for less is another one.
        return wait.length < read.length and (elsewhere or here is None or here.line is None)


def _behind_line(read: CallFacts) -> int:
    """How many bytes came behind the first line of a read that had room for more; 0: none."""
    line = read.payload.find(b"\n")
    if line < 0 or line + 1 >= read.moved or read.moved >= read.length:
        return 0
    return read.moved - line - 1
