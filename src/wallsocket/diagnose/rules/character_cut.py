"""A read ended inside a character, and was decoded by itself."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.closing import Closing
from ..trackers.cuts import Cuts
from ..trackers.peers import Peers
from ..trackers.protocols import Protocols
from ..trackers.writes import Writes

__all__ = ["CharacterCut"]

#: So shortly after the read the program ended.
_SOON_NS = 2_000_000_000


class CharacterCut(Rule):
    """Half a character is no text."""

    id = "character-cut"
    title = "a read ended inside a character, and the program failed on it"
    covers = (149,)
    severity = "error"
    certainty = "strong"
    layers = ("calls",)
    sentence = (
        "A character of UTF-8 has up to four bytes, and a read ends wherever the bytes that have come end. Decoded by "
        "itself, the part before the cut is an error, now and then, as the network will have it."
    )
    symptoms = (
        "UnicodeDecodeError: unexpected end of data",
        "invalid continuation byte",
        "MalformedInputException",
        "decoding error now and then",
    )
    proof = (
        "A read of UTF-8 text ended inside a character; the program read nothing more and wrote nothing, and ended with an "
        "error or closed the connection, although the rest of the character was on its way."
    )
    fix = "Decode whole messages, or with an incremental decoder (codecs.getincrementaldecoder, TextDecoder with stream: true)."
    disproof = "The program ended for another reason just then."
    references = ("utf-8(7)", "RFC 3629 3")
    needs = (Closing, Cuts, Peers, Protocols, Writes)
    given = Cuts
    supersedes = ("one-recv-per-message",)
    effects = ("close-with-unread-data", "write-after-peer-closed")

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        cut = facts[Cuts].of(subject)
        read = cut.read
        if read is None or read.offset is None or subject.ended_ns is None or facts[Protocols].framed(subject):
            return
        process = facts.process(subject.process)
        ended = process.ended_ns if process is not None else None
        failed = (
            process is not None
            and bool(process.exit_code)
            and ended is not None
            and 0 <= ended - read.end_ns < _SOON_NS
        )
        peer = facts[Peers].of(subject)
        unread = facts[Closing].unread(subject)
        behind = read.offset + read.moved
        more = peer is not None and facts[Writes].of(peer).bytes > behind
        if not (failed or facts[Closing].left_ns(subject) - read.end_ns < _SOON_NS):
            return
        rest = more or unread is not None
        if not rest and (peer is None or facts[Closing].left_ns(subject) > facts[Closing].left_ns(peer)):
            return
        rows = [read.proof(f"{read.text()}: ends with {cut.bytes} bytes of a character")]
        if unread is not None:
            rows.append(unread.proof(f"{unread.receive_queue} bytes unread"))
        if failed and process is not None:
            rows.append(
                facts.process_proof(process, f"pid {process.pid} ended with status {process.exit_code}", read.end_ns)
            )
            then = f"ended with status {process.exit_code}"
        else:
            then = "closed the connection"
        yield Evidence(
            self,
            read.end_ns,
            f"{read.text()} of {facts.who(subject.process)} on {subject.name()} ended with the first {cut.bytes} bytes of a "
            f"character{'; the rest of the text was on its way' if rest else ''}. The program read nothing more and {then}.",
            rows,
            call=read.call,
            socket=subject.id,
            process=subject.process,
            # Where the peer never came to send the rest, the text may be one that is cut by a limit.
            certainty="strong" if rest else "hint",
            severity="error" if rest else "note",
            subjects=frozenset({peer.id} if peer is not None else ()),
        )
