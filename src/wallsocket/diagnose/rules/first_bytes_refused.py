"""The server closed at the first bytes: they are of another protocol than it expects."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import Connection
from ..trackers.answered import Answered
from ..trackers.closing import Closing
from ..trackers.protocols import Protocols
from ..trackers.reads import Reads
from ..trackers.writes import Writes
from ..vocabulary import MSG_PEEK

__all__ = ["FirstBytesRefused"]

#: Who decides by the first bytes does so at once.
_AT_ONCE_NS = 200_000_000
_NAMES = {"tls": "TLS", "http": "plain HTTP", "http/2": "plain HTTP/2", "ssh": "SSH"}


class FirstBytesRefused(Rule):
    """The server looked at the first bytes of a connection and closed it without a word."""

    id = "first-bytes-refused"
    title = "the server closed at the first bytes: it expects a different beginning"
    covers = (47, 118)
    severity = "error"
    certainty = "strong"
    layers = ("calls",)
    sentence = (
        "A server that is set up to expect TLS, or the PROXY protocol's header in front of each connection, looks "
        "at the first bytes, and many close without an answer when those are different."
    )
    symptoms = (
        "connection reset by peer at once",
        "Remote end closed connection without response",
        "Empty reply from server",
        "accept-proxy",
        "proxy_protocol",
    )
    proof = (
        "The first bytes are of a known protocol; the server looked at them with MSG_PEEK, and closed within 200 ms without "
        "having read or sent a byte. A hint when it had read them, answered nobody else, and nothing was left unread."
    )
    fix = (
        "Send what it expects (https instead of http, send-proxy in the load balancer), or turn that off in the server."
    )
    disproof = "It refuses this client for another reason, such as its address or a limit of connections."
    references = ("recv(2)", "RFC 8446 5.1")
    subject = "connection"
    needs = (Answered, Closing, Protocols, Reads, Writes)
    given = Protocols
    effects = ("close-with-unread-data", "write-after-peer-closed", "connection-reset")
    explains = (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN)

    def judge(self, facts: Facts, subject: Connection) -> Iterator[Judgement]:
        server, client = subject
        closing, known, reads = facts[Closing], facts[Protocols].of(server), facts[Reads].of(server)
        first, closed = known.first_read, closing.last_close(server)
        if client is None or server.origin != "accept" or not server.stream or server.late:
            return
        if known.received not in _NAMES or first is None or closed is None or facts[Writes].of(server).calls:
            return
        if closed.entry_ns - first.end_ns > _AT_ONCE_NS or reads.zero_last is not None:
            return
        if closing.left_ns(client) < closed.entry_ns:
            return  # it had gone by itself
        peeked = bool(first.flags & MSG_PEEK) and not reads.calls
        if not peeked and (closing.unread(server) is not None or facts[Answered].at(server)):
            return
        did = "looked at" if peeked else "read"
        yield Evidence(
            self,
            closed.entry_ns,
            f"{facts.who(server.process)} {did} the first bytes from {server.remote or 'its peer'}, {_NAMES[known.received]}, "
            f"and closed {(closed.entry_ns - first.end_ns) / 1e6:.1f} ms later without an answer.",
            [first.proof(), closed.proof()],
            call=closed.call,
            socket=server.id,
            process=server.process,
            certainty="strong" if peeked else "hint",
            severity="error" if peeked else "note",
            subjects=frozenset({client.id}),
        )
