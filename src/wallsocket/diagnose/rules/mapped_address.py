"""A client over IPv4 is turned away by a server on ::."""

from __future__ import annotations

from collections.abc import Iterator

from ...kernel.address import Address as KernelAddress
from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.closing import Closing
from ..trackers.peers import Peers
from ..trackers.reads import Reads
from ..trackers.writes import Writes
from ..vocabulary import AF_INET6

__all__ = ["MappedAddress"]

#: Between the first words and the close: the server need not think about it.
_AT_ONCE_NS = 200_000_000
_TURNED_AWAY = (b" 403", b"denied", b"forbidden", b"not allowed", b"not permitted", b"unauthorized")


class MappedAddress(Rule):
    """accept gave ::ffff:a.b.c.d, and the server refused or closed."""

    id = "mapped-address"
    title = "a client over IPv4 was turned away: its address has the form ::ffff:a.b.c.d here"
    covers = (132,)
    severity = "note"
    certainty = "hint"
    layers = ("calls",)
    sentence = (
        "A socket bound to :: takes IPv4 clients too and shows their addresses in the mapped form (RFC 4291, "
        "2.5.5.2). A list of allowed addresses that is compared as text, or as IPv4, does not know them."
    )
    symptoms = ("403 for IPv4 clients", "client not allowed", "::ffff:", "allow list does not work", "closed at once")
    proof = (
        "accept gave a mapped address, and the server closed first, having sent words of refusal, or nothing in answer to "
        "what it had read."
    )
    fix = "Compare addresses, not text: turn mapped ones into IPv4 first, or listen on IPv4 by a socket of its own."
    disproof = "The same client is refused over IPv6, or through a socket of IPv4, as well."
    references = ("ipv6(7)", "RFC 4291 2.5.5.2")
    needs = (Closing, Peers, Reads, Writes)
    given = Closing

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        closed = facts[Closing].last_close(subject)
        raw = subject.row.remote if subject.row is not None else None
        if subject.origin != "accept" or not subject.tcp or subject.family != AF_INET6 or closed is None or raw is None:
            return
        host = KernelAddress.decode(raw).host or ""
        reads, writes = facts[Reads].of(subject), facts[Writes].of(subject)
        if not host.startswith("::ffff:") or reads.zero_last is not None or writes.calls > 2:
            return
        said = writes.first.payload.lower() if writes.first is not None else b""
        refused = any(word in said for word in _TURNED_AWAY)
        peer = facts[Peers].of(subject)
        # Without a word of the client's it is told by a client that had something to say.
        unheard = (
            not reads.bytes and peer is not None and facts[Writes].of(peer).calls and not facts[Reads].of(peer).bytes
        )
        since_ns = reads.recent[-1].end_ns if reads.bytes else subject.created_ns
        if not refused and (writes.calls or not (reads.bytes or unheard) or closed.entry_ns - since_ns > _AT_ONCE_NS):
            return
        done = "refused it" if refused else "read its first words, said nothing" if reads.bytes else "read nothing"
        rows = [closed.proof()]
        if writes.first is not None:
            rows.insert(0, writes.first.proof())
        yield Evidence(
            self,
            closed.end_ns,
            f"The client's address is {host} here; the server {done} and closed.",
            rows,
            call=closed.call,
            socket=subject.id,
            process=closed.call.process,
            severity="note",
            certainty="hint",
        )
