"""Fewer bytes were sent than the message announced."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import Connection, SocketFacts
from ..trackers.closing import Closing
from ..trackers.errors import Errors
from ..trackers.messages import Messages
from ..trackers.prefixes import Prefixes
from ..trackers.reads import Reads
from ..trackers.short_writes import ShortWrites
from ..trackers.stalls import STALL_NS, Stall, Stalls
from ..trackers.waits import Waits
from ..trackers.writes import Writes
from ..vocabulary import POLL_CALLS, READS

__all__ = ["FewerThanAnnounced"]

#: Bytes of the length that most protocols put in front of a message.
_LENGTH = 4


class FewerThanAnnounced(Rule):
    """A length that is too large."""

    id = "fewer-than-announced"
    title = "fewer bytes were sent than announced"
    covers = (128,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "The reader of a message of an announced length waits until all of it has come. When fewer bytes are sent, "
        "it waits for the rest, and the sender for the answer."
    )
    symptoms = (
        "request hangs",
        "Content-Length larger than the body",
        "transfer closed with outstanding read data remaining",
    )
    proof = (
        "The head of an HTTP message, or the length in front of a message, announces more bytes than the sender wrote; the "
        "sender then waits for the answer, and the reader for the rest; or the sender closed."
    )
    fix = "Announce the number of bytes that are sent: the length of the encoded body, not of the text or of another version of it."
    disproof = "The sender is about to send the rest."
    references = ("RFC 9112 6.2", "RFC 9112 8")
    subject = "connection"
    needs = (Closing, Errors, Messages, Prefixes, Reads, ShortWrites, Stalls, Waits, Writes)
    given = Writes
    supersedes = ("both-wait", "end-awaited", "silent-peer", "two-readers", "delimiter-missing")
    effects = ("peer-process-died",)

    def judge(self, facts: Facts, subject: Connection) -> Iterator[Judgement]:
        stall = facts[Stalls].on(subject)
        if stall is not None:
            found = (
                self._http(facts, stall.asker, stall)
                or self._chunks(facts, stall)
                or self._prefix(facts, stall)
                or self._buffered(facts, stall)
            )
            if found is not None:
                yield found
            return
        for end in subject.ends:
            if end.late:
                continue
            found = self._closed(facts, end, subject) if end.origin == "accept" else self._http(facts, end, None)
            if found is not None:
                yield found
                return

    def _http(self, facts: Facts, sender: SocketFacts, stall: Stall | None) -> Evidence | None:
        sent = facts[Messages].of(sender).sent
        message, wrote = sent.latest, facts[Writes].of(sender)
        if sent.lost or message is None or message.end is None or message.head_end is None or message.body is None:
            return None
        given = wrote.bytes - message.head_end
        if not 0 <= given < message.body or facts[ShortWrites].of(sender).short is not None or wrote.last is None:
            return None
        if stall is None:
            waits = facts[Waits].of(sender)
            wait = next(
                (
                    call
                    for call in (*waits.now.values(), *reversed(waits.long))
                    if call.name in (READS | POLL_CALLS) and call.entry_ns >= wrote.last.end_ns
                ),
                None,
            )
            if (
                wait is None
                or facts[Waits].until_ns(wait) - wait.entry_ns < STALL_NS
                or facts[Messages].of(sender).received.count
            ):
                return None
            rows = [wait.proof()]
        else:
            wait = stall.asks
            rows = [
                stall.reads.proof(f"{facts.who(stall.answerer.process)} waits for more: {stall.reads.text()}"),
                wait.proof(),
            ]
        if message.expects_continue and not given:
            # It waits for the word to go on.
            return None
        return Evidence(
            self,
            wrote.last.end_ns,
            f"{facts.who(sender.process)} announced a body of {message.body} bytes to {sender.remote or 'its peer'} and sent "
            f"{given}; then it waited for the answer.",
            [message.call.proof(f"{message.call.text()}: Content-Length {message.body}"), wrote.last.proof(), *rows],
            call=message.call.call,
            socket=sender.id,
            process=sender.process,
            certainty="certain" if stall is not None else "strong",
            subjects=frozenset({stall.answerer.id} if stall is not None else ()),
        )

    def _closed(self, facts: Facts, server: SocketFacts, pair: Connection) -> Evidence | None:
        """A server that had sent a part of its answer and closed, or sent no more until the client left."""
        sent, shut = facts[Messages].of(server).sent, facts[Closing].of(server).shut
        message, last = sent.latest, facts[Writes].of(server).last
        closed = shut.get(1) or shut.get(2) or facts[Closing].last_close(server)
        client = pair.other if pair.one is server else pair.one
        if sent.lost or message is None or message.head_end is None or message.body is None or message.end is None:
            return None
        given = facts[Writes].of(server).bytes - message.head_end
        if closed is None or last is None or client is None or not 0 < given < message.body:
            return None
        if facts[Errors].of(server).calls or facts[ShortWrites].of(server).short is not None:
            return None
        left_ns = facts[Closing].left_ns(client)
        first = closed.entry_ns <= left_ns
        if not first and left_ns - last.end_ns < STALL_NS:
            return None
        return Evidence(
            self,
            closed.entry_ns if first else left_ns,
            f"{facts.who(server.process)} announced a body of {message.body} bytes to {server.remote or 'its peer'} and sent "
            f"{given}; then it "
            + (
                "closed."
                if first
                else f"sent nothing for {(left_ns - last.end_ns) / 1e9:.1f} s, and the client gave up."
            ),
            [message.call.proof(f"{message.call.text()}: Content-Length {message.body}"), last.proof(), closed.proof()],
            call=message.call.call,
            socket=server.id,
            process=server.process,
            # It may have been about to send the rest.
            certainty="strong" if first else "hint",
            severity="error" if first else "note",
            subjects=frozenset({client.id}),
        )

    def _chunks(self, facts: Facts, stall: Stall) -> Evidence | None:
        """A chunked body without the chunk of size 0 that ends it (RFC 9112, section 7.1)."""
        message, last = facts[Messages].of(stall.asker).sent.latest, facts[Writes].of(stall.asker).last
        if message is None or not message.chunked or last is None or len(last.payload) != last.moved:
            return None
        if last.payload.endswith(b"\r\n\r\n") and (last is not message.call or b"\r\n0\r\n" in last.payload):
            return None
        if facts[ShortWrites].of(stall.asker).short is not None:
            return None
        return Evidence(
            self,
            last.end_ns,
            f"{facts.who(stall.asker.process)} sends a chunked body to {stall.asker.remote or 'its peer'}, and waited for the "
            "answer before it had sent the last chunk, of size 0, which ends it.",
            [
                message.call.proof(f"{message.call.text()}: Transfer-Encoding: chunked"),
                last.proof(f"{last.text()}: no end"),
                stall.reads.proof(),
                stall.asks.proof(),
            ],
            call=last.call,
            socket=stall.asker.id,
            process=stall.asker.process,
            title="the chunk that ends the body was not sent",
            fix="Send the last chunk: 0 and two line ends; in most libraries by ending the request (end(), close()).",
            subjects=frozenset({stall.answerer.id}),
        )

    def _prefix(self, facts: Facts, stall: Stall) -> Evidence | None:
        """A length that was read alone, and then exactly that many bytes were asked for."""
        prefix = facts[Prefixes].of(stall.answerer).latest
        if prefix is None or prefix.after is None or prefix.read.offset is None:
            return None
        read, after = prefix.read, prefix.after
        given = facts[Writes].of(stall.asker).bytes - (read.offset or 0) - read.moved
        wanted = after.length
        if wanted not in prefix.values() or not 0 < given < wanted or wanted > given << 8:
            return None
        if facts[ShortWrites].of(stall.asker).short is not None:
            return None
        first = next((call for call in stall.message if call.offset == read.offset), None)
        return Evidence(
            self,
            after.entry_ns,
            f"{facts.who(stall.asker.process)} put the length {wanted} in front of its message and sent {given} bytes; "
            f"{facts.who(stall.answerer.process)} waits for the other {wanted - given}.",
            [
                *([first.proof()] if first is not None else []),
                read.proof(f"{read.text()}: the length {wanted}"),
                after.proof(),
                stall.reads.proof(),
                stall.asks.proof(),
            ],
            call=(first or read).call,
            socket=stall.asker.id,
            process=stall.asker.process,
            subjects=frozenset({stall.answerer.id}),
        )

    def _buffered(self, facts: Facts, stall: Stall) -> Evidence | None:
        """A length of four bytes in front of a message that was read into a larger buffer."""
        first, read = stall.message[0] if stall.message else None, facts[Reads].of(stall.answerer).last
        if first is None or read is None or read.length <= read.moved or len(first.payload) < _LENGTH:
            return None
        given = stall.size - _LENGTH
        head = first.payload[:_LENGTH]
        # What begins with a letter is no such number: it would be many times what came.
        wanted = next(
            (one for order in ("big", "little") if given < (one := int.from_bytes(head, order)) <= given << 8), None
        )
        if wanted is None or not given or facts[ShortWrites].of(stall.asker).short is not None:
            return None
        sure = stall.reads.name in READS
        return Evidence(
            self,
            read.end_ns,
            f"The message of {facts.who(stall.asker.process)} begins with the number {wanted}, and {given} bytes follow"
            + (": the number counts its own four bytes." if wanted == stall.size else ".")
            + f" {facts.who(stall.answerer.process)} read all of it and waits for more.",
            [
                first.proof(f"{first.text()}: the number {wanted}"),
                read.proof(),
                stall.reads.proof(),
                stall.asks.proof(),
            ],
            call=first.call,
            socket=stall.asker.id,
            process=stall.asker.process,
            # Of what a loop waits for, its calls do not say.
            certainty="strong" if sure else "hint",
            severity="error" if sure else "note",
            subjects=frozenset({stall.answerer.id}),
        )
