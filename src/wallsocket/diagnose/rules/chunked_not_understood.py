"""A chunked request met a server that knows Content-Length only."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..facts import Facts
from ..finding import Certainty
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.chunked import ChunkedRequests
from ..trackers.closing import Closing
from ..trackers.peers import Peers
from ..trackers.reads import Reads
from ..trackers.writes import Writes

__all__ = ["ChunkedNotUnderstood"]

#: Length required, not implemented (RFC 9110).
_SAY_SO = (411, 501)
#: An answer that calls the request wrong, or not supported (RFC 9110, 15.5.1, 15.5.12, 15.6.2).
_WRONG = re.compile(rb"HTTP/1\.[01] (400|411|501) ")


class ChunkedNotUnderstood(Rule):
    """The body came in chunks, and the server took them for nothing, or for the next request."""

    id = "chunked-not-understood"
    title = "the request's body is chunked, and the server does not read chunks"
    covers = (145,)
    severity = "error"
    certainty = "strong"
    layers = ("calls",)
    sentence = (
        "A body without a known length is sent in chunks (Transfer-Encoding: chunked). A server that looks at "
        "Content-Length only finds an empty body, and takes the chunks for the next request or resets the connection."
    )
    symptoms = (
        "400 Bad Request on upload",
        "empty body on the server",
        "411 Length Required",
        "Bad request syntax ('5')",
    )
    proof = (
        "The head of a request says chunked. The server answered 411 or 501, or more often than it was asked, the last time "
        "with an error; or it answered and closed with the chunks unread."
    )
    fix = "Read chunked bodies (RFC 9112, section 7.1), or answer 411; in the client send a body of known length."
    disproof = "The server understood the body, and refused it for another reason."
    references = ("RFC 9112 7.1",)
    needs = (ChunkedRequests, Closing, Peers, Reads, Writes)
    given = ChunkedRequests
    effects = ("close-with-unread-data", "write-after-peer-closed", "one-recv-per-message")
    supersedes = ("one-recv-per-message", "more-than-announced")

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        kept = facts[ChunkedRequests].of(subject)
        request, refusal = kept.request, kept.refusal
        if request is None or not kept.client:
            return
        peer = facts[Peers].of(subject)
        rows = [request.call.proof(f"{request.call.text()}: Transfer-Encoding: chunked")]
        certainty: Certainty = "strong"
        if refusal is not None and refusal.status in _SAY_SO:
            what = f"the answer was {refusal.status}"
            certainty = "strong"
        elif refusal is not None and refusal.status == 400 and not kept.unasked and kept.behind is None:
            what, certainty = "the answer was 400", "hint"
        elif refusal is not None and kept.unasked:
            what = f"an answer came that nobody had asked for, with status {refusal.status}"
        elif kept.behind is not None:
            what = "something came behind the answer that nobody had asked for and that is no answer"
            rows.append(kept.behind.proof())
        elif peer is not None and not peer.late and kept.answered and self._left(facts, peer, request.head_end):
            what = f"{facts.who(peer.process)} read the head, answered, and closed with the chunks unread"
            closed = facts[Closing].last_close(peer)
            rows += [closed.proof()] if closed is not None else []
        elif peer is not None and not peer.late and self._refused(facts, subject, peer, request.head_end):
            what = f"{facts.who(peer.process)} read the head alone, said that it is wrong, and closed"
            closed, said = facts[Closing].last_close(peer), facts[Writes].of(peer).first
            rows += [one.proof() for one in (said, closed) if one is not None]
        else:
            return
        if refusal is not None:
            rows.append(refusal.call.proof(f"{refusal.call.text()}: status {refusal.status}"))
        yield Evidence(
            self,
            request.call.end_ns,
            f"{facts.who(subject.process)} sent a request with a chunked body to {subject.remote or 'its peer'}: {what}.",
            rows,
            call=request.call.call,
            socket=subject.id,
            process=subject.process,
            certainty=certainty,
            severity="note" if certainty == "hint" else "error",
            subjects=frozenset({peer.id} if peer is not None else ()),
        )

    @staticmethod
    def _refused(facts: Facts, client: SocketFacts, server: SocketFacts, head_end: int | None) -> bool:
        """Whether the server answered the head with an error of syntax and closed, before the client had sent all chunks."""
        first, closed = facts[Writes].of(server).first, facts[Closing].last_close(server)
        return (
            head_end is not None
            and facts[Reads].of(server).bytes == head_end
            and facts[Writes].of(client).bytes > head_end
            and first is not None
            and _WRONG.match(first.payload) is not None
            and closed is not None
        )

    @staticmethod
    def _left(facts: Facts, server: SocketFacts, head_end: int | None) -> bool:
        """Whether the server read the head and not the chunks behind it."""
        read = facts[Reads].of(server).bytes
        return head_end is not None and head_end <= read <= head_end + 2 and facts[Closing].unread(server) is not None
