"""Several messages came in one read and were taken for one."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import replace
from typing import Final, Literal

from ..call import CallFacts
from ..facts import Facts
from ..finding import Proof
from ..rule import Evidence, Judgement, Rule
from ..subjects import Connection, SocketFacts
from ..trackers.protocols import Protocols
from ..trackers.reads import Reads
from ..trackers.stalls import Stall, Stalls
from ..trackers.waits import Waits
from ..trackers.writes import Writes
from ..vocabulary import MSG_WAITALL, READS

__all__ = ["GluedMessages"]


class GluedMessages(Rule):
    """One read was longer than the first write."""

    id = "glued-messages"
    title = "several messages came in one read and were taken for one"
    covers = (40,)
    severity = "error"
    certainty = "strong"
    layers = ("calls",)
    sentence = "A stream keeps no boundaries between writes: what was sent by several may come in one read."
    symptoms = (
        "messages arrive glued together",
        "messages are concatenated",
        "two JSON objects in one recv",
        "missing answers",
    )
    proof = (
        "A read took several whole writes of the peer, which carry no mark where one ends; the program answered once, or "
        "ended with an error; and the peer waited in vain for the other answers. A hint when only the program's end with an "
        "error says so."
    )
    fix = (
        "Frame the messages: a length in front of each, or a delimiter, and take one after the other out of the buffer."
    )
    disproof = "The writes were parts of one message."
    references = ("recv(2)", "tcp(7)", "RFC 9293 3.9.1")
    subject = "connection"
    needs = (Protocols, Reads, Stalls, Waits, Writes)
    given = Writes
    supersedes = ("both-wait", "end-awaited", "silent-peer", "delimiter-missing")
    effects = ("peer-process-died",)

    def judge(self, facts: Facts, subject: Connection) -> Iterator[Judgement]:
        if subject.other is None or not subject.one.stream:
            return
        stall = facts[Stalls].on(subject)
        for reader, writer in (subject, subject[::-1]):
            assert reader is not None
            assert writer is not None
            if reader.late or writer.late or facts[Protocols].framed(reader):
                continue
            glued = self._glued(facts, reader, writer)
            if glued is None:
                lines = self._lines(facts, reader, writer)
                if lines is not None:
                    yield lines
                    return
                continue
            read, writes = glued
            found = (
                self._answers(facts, reader, writer, read, writes, stall)
                or self._failed(facts, reader, read, writes)
                or self._documents(facts, reader, writer, read, writes)
            )
            if found is not None:
                yield found
                return

    @staticmethod
    def _glued(facts: Facts, reader: SocketFacts, writer: SocketFacts) -> tuple[CallFacts, list[CallFacts]] | None:
        """The first read that took several whole writes without a border between them."""
        wrote = [call for call in facts[Writes].of(writer).recent if call.offset is not None and call.moved > 1]
        # Of a stream the offsets rise; where calls of several threads returned in another order it is put right here.
        wrote.sort(key=_offset)
        for read in facts[Reads].of(reader).recent:
            # A read that got just what it asked for knew how much there was to come.
            if read.offset is None or read.flags & MSG_WAITALL or read.moved == read.length:
                continue
            end = read.offset + read.moved
            first = bisect_left(wrote, read.offset, key=_offset)
            inside = wrote[first : bisect_left(wrote, end, first, key=_offset)]
            if (
                len(inside) > 1
                and inside[0].offset == read.offset
                and inside[-1].moved + (inside[-1].offset or 0) == end
            ):
                return (read, inside) if not _marked(inside) else None
        return None

    def _lines(self, facts: Facts, reader: SocketFacts, writer: SocketFacts) -> Evidence | None:
        """A read took several lines, one was answered, and the peer waited in vain for the other answers."""
        got, gave = facts[Reads].of(reader), facts[Writes].of(reader)
        wrote, heard = facts[Writes].of(writer), facts[Reads].of(writer)
        read, answer = got.last, gave.last
        if read is None or answer is None or heard.last is None or answer.entry_ns < read.end_ns:
            return None
        if (
            got.bytes != wrote.bytes
            or gave.bytes != heard.bytes
            or got.turn.reads != 1
            or got.turn.answered is not answer
        ):
            return None
        lines = _lines_of(read)
        if len(lines) < 2 or len(_lines_of(answer)) != 1 or len({tuple(line.split()[:1]) for line in lines}) > 1:
            return None
        waits = [
            call
            for call in (*facts[Waits].of(writer).now.values(), *facts[Waits].of(writer).long)
            if call.entry_ns >= heard.last.end_ns and (call.name not in READS or call.result != 0)
        ]
        if not waits:
            return None
        # Once a single line had its answer, it is known that each one gets one.
        before = [call for call in got.recent if call is not read]
        each = bool(before) and len(before) == gave.calls - 1 and all(len(_lines_of(call)) == 1 for call in before)
        return Evidence(
            self,
            read.end_ns,
            f"{read.text()} of {facts.who(reader.process)} took {len(lines)} lines at once, and it answered one; "
            f"{facts.who(writer.process)} waited for another answer in vain.",
            [
                read.proof(),
                answer.proof(f"the one answer: {answer.text()}"),
                waits[-1].proof(f"waits for more: {waits[-1].text()}"),
            ],
            call=read.call,
            socket=reader.id,
            process=reader.process,
            certainty="strong" if each else "hint",
            severity="error" if each else "warning",
            subjects=frozenset({writer.id}),
        )

    def _answers(
        self,
        facts: Facts,
        reader: SocketFacts,
        writer: SocketFacts,
        read: CallFacts,
        writes: list[CallFacts],
        stall: Stall | None,
    ) -> Evidence | None:
        """Fewer answers than messages, and the peer waited for the rest."""
        answers = facts[Writes].of(reader).calls
        messages = facts[Writes].of(writer).calls
        heard = facts[Reads].of(writer)
        waits = [
            call
            for call in (*facts[Waits].of(writer).now.values(), *facts[Waits].of(writer).long)
            if call.entry_ns >= writes[-1].end_ns
            and (heard.last is None or call.entry_ns >= heard.last.end_ns)
            # A read of 0 is the end, which the program may have waited for.
            and (call.name not in READS or call.result != 0)
        ]
        after = next((call for call in facts[Writes].of(reader).recent if call.entry_ns >= read.end_ns), None)
        if after is None or not 0 < answers < messages or facts[Writes].of(reader).bytes != heard.bytes:
            return None
        if not waits:
            return None
        if not self._alike(writes):
            return None
        proof = [call.proof() for call in writes[:4]]
        proof += [read.proof(), after.proof(f"the one answer: {after.text()}")]
        proof += [call.proof(f"{facts.who(writer.process)} waits for more: {call.text()}") for call in waits[-1:]]
        return self._evidence(
            facts,
            reader,
            writer,
            read,
            writes,
            proof,
            f"It answered {answers} times in all, and {facts.who(writer.process)}, which had sent {messages} messages, "
            "waited for another answer in vain.",
        )

    def _documents(
        self, facts: Facts, reader: SocketFacts, writer: SocketFacts, read: CallFacts, writes: list[CallFacts]
    ) -> Evidence | None:
        """Each write was a whole object or element of text: read together they are none, to most parsers."""
        whole = {(call.payload[:1], call.payload[-1:]) for call in writes if len(call.payload) == call.moved}
        if len(whole) != 1 or not whole <= _DOCUMENTS or any(len(call.payload) != call.moved for call in writes):
            return None
        if facts[Writes].of(reader).calls or facts[Reads].of(reader).calls > 2 + len(writes):
            # It may have taken them apart.
            return None
        found = self._evidence(
            facts, reader, writer, read, writes, [*(call.proof() for call in writes[:4]), read.proof()], ""
        )
        return replace(found, certainty="hint", severity="note")

    def _failed(self, facts: Facts, reader: SocketFacts, read: CallFacts, writes: list[CallFacts]) -> Evidence | None:
        """The program ended with an error right after the read."""
        process = facts.process(reader.process)
        if process is None or process.ended_ns is None or not process.exit_code or not self._alike(writes):
            return None
        if process.exit_code > _BY_SIGNAL:
            # It was asked to end, as Java is.
            return None
        if facts[Reads].of(reader).last is not read or process.ended_ns - read.end_ns > 2_000_000_000:
            return None
        proof = [*(call.proof() for call in writes[:4]), read.proof()]
        proof.append(
            facts.process_proof(process, f"pid {process.pid} ended with status {process.exit_code}", read.end_ns)
        )
        return self._evidence(
            facts, reader, reader, read, writes, proof, f"Then it ended with status {process.exit_code}."
        )

    @staticmethod
    def _alike(writes: list[CallFacts]) -> bool:
        """Whether each write looks like a message: they begin alike, or are of one kind of text."""
        begins = {call.payload[:1] for call in writes}
        kinds = {call.payload[:1].isalpha() for call in writes}
        parts = {call.payload[-1:].isspace() for call in writes if len(call.payload) == call.moved}
        if len(parts) > 1:
            # A head that ends its line, and a body.
            return False
        return all(call.payload for call in writes) and (len(begins) == 1 or len(kinds) == 1)

    def _evidence(
        self,
        facts: Facts,
        reader: SocketFacts,
        writer: SocketFacts,
        read: CallFacts,
        writes: list[CallFacts],
        proof: list[Proof],
        then: str,
    ) -> Evidence:
        sizes = ", ".join(str(call.moved) for call in writes[:6]) + (", …" if len(writes) > 6 else "")
        return Evidence(
            self,
            read.end_ns,
            f"{read.text()} of {facts.who(reader.process)} took {len(writes)} writes of the peer at once ({sizes} bytes), and "
            f"nothing in them says where one ends. {then}",
            proof,
            call=read.call,
            socket=reader.id,
            process=reader.process,
            certainty="strong" if writer is not reader else "hint",  # an error may have another reason
            subjects=frozenset({writer.id}),
        )


def _offset(call: CallFacts) -> int:
    return call.call.offset or 0


#: A status above says that a signal ended the program, as the shell puts it.
_BY_SIGNAL: Final = 128
#: How a whole text of JSON or XML begins and ends.
_DOCUMENTS: Final = frozenset({(b"{", b"}"), (b"[", b"]"), (b"<", b">")})
_ORDERS: Final[tuple[Literal["big", "little"], ...]] = ("big", "little")


def _lines_of(call: CallFacts) -> list[bytes]:
    """The lines that a call moved, when it moved whole lines and they were recorded."""
    payload = call.payload
    return payload.splitlines() if len(payload) == call.moved and payload.endswith(b"\n") else []


def _marked(writes: list[CallFacts]) -> bool:
    """Whether the messages carry borders: a delimiter at the end of each, or their length in front."""
    ends = {call.payload[-1:] for call in writes if len(call.payload) == call.moved}
    if len(ends) == 1 and ends <= {b"\n", b"\0", b"\r", b";", b"\x03"}:
        return True
    for size in (1, 2, 4, 8):
        for order in _ORDERS:
            if all(int.from_bytes(call.payload[:size], order) in (call.moved, call.moved - size) for call in writes):
                return True
    if all((call.payload[:1], call.payload[-1:]) in _DOCUMENTS for call in writes):
        return False
    if len({call.moved for call in writes}) == 1 and len(writes) > 1 and writes[0].moved > 0:
        # Records of one size need no mark.
        return not all(call.payload[:1].isalpha() for call in writes)
    return any(len(call.payload) != call.moved for call in writes) and not all(call.payload for call in writes)
