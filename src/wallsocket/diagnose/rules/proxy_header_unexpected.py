"""One side speaks the PROXY protocol, and the other does not."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.closing import Closing
from ..trackers.messages import Messages
from ..trackers.peers import Peers
from ..trackers.protocols import Protocols
from ..trackers.reads import Reads
from ..trackers.writes import Writes

__all__ = ["ProxyHeaderUnexpected"]

_METHODS = (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH")


class ProxyHeaderUnexpected(Rule):
    """The line in front of the request is taken for the request."""

    id = "proxy-header-unexpected"
    title = "the PROXY protocol's header was sent to a server that does not expect it"
    covers = (118,)
    severity = "error"
    certainty = "strong"
    layers = ("calls",)
    sentence = (
        "A load balancer that is set up to speak the PROXY protocol puts a header with the client's address in "
        "front of each connection. A server that is not takes it for the beginning of the request."
    )
    symptoms = (
        "400 Bad Request behind a load balancer",
        "Bad request syntax ('PROXY TCP4",
        "garbage in the first line",
        "send-proxy",
    )
    proof = (
        "A connection began with the PROXY protocol's header; the answer was an HTTP error 400, no HTTP although HTTP had "
        "been asked, or the end of the connection."
    )
    fix = (
        "Use the same setting at both ends: send-proxy in the load balancer and its counterpart in the server, or "
        "neither."
    )
    disproof = "The server understands the header and refused what came after it."
    references = ("RFC 9112 2.2",)
    needs = (Closing, Messages, Peers, Protocols, Reads, Writes)
    given = Protocols
    supersedes = ("one-recv-per-message",)
    effects = ("close-with-unread-data", "write-after-peer-closed", "protocols-differ")

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        known = facts[Protocols].of(subject)
        if known.sent != "proxy" or known.first_write is None or subject.late:
            return
        peer = facts[Peers].of(subject)
        reads, messages = facts[Reads].of(subject), facts[Messages].of(subject)
        answer = known.first_read
        if answer is None:
            ended = (
                peer is not None and facts[Closing].last_close(peer) is not None and not facts[Writes].of(peer).bytes
            )
            first = peer is not None and (peer.ended_ns or 0) <= (subject.ended_ns or facts.now_ns)
            if not (ended and first) or reads.bytes:
                return
            header = known.first_write.payload
            if (
                peer is None
                or not facts[Reads].of(peer).bytes
                or (header.startswith(b"PROXY ") and b"\r\n" not in header)
            ):
                # It had left before, or waited for the rest of the header.
                return
            what = "got no answer but the end of the connection"
        elif (
            messages.received.refused is not None
            and messages.received.refused.status == 400
            and messages.received.count == 1
        ):
            what = "was answered with status 400"
        elif (messages.sent.latest is not None or _asks_http(known.first_write.payload)) and not b"HTTP/".startswith(
            answer.payload[:5]
        ):
            what = "got an answer that is no HTTP, although the request was"
        else:
            return
        rows = [known.first_write.proof(f"{known.first_write.text()}: the header of the PROXY protocol")]
        if answer is not None:
            rows.append(answer.proof())
        server = facts.who(peer.process) if peer is not None else "The server"
        yield Evidence(
            self,
            known.first_write.end_ns,
            f"{facts.who(subject.process)} sent the PROXY protocol's header to {subject.remote or 'its peer'} and {what}: "
            f"{server} does not expect it.",
            rows,
            call=known.first_write.call,
            socket=subject.id,
            process=subject.process,
            # Who does expect it closes like that, too, when it refuses what the header says.
            certainty="strong" if answer is not None else "hint",
            severity="error" if answer is not None else "warning",
            subjects=frozenset({peer.id} if peer is not None else ()),
        )


def _asks_http(header: bytes) -> bool:
    """Whether a request of HTTP/1 follows the header in the same call."""
    return header.partition(b"\r\n")[2].partition(b" ")[0] in _METHODS
