"""Addresses that a program had just been told by a peer when it connected to them."""

from __future__ import annotations

import re

from ..address import Address
from ..call import CallFacts
from ..facts import Facts
from ..tracker import LatestOf, Tracker, returned
from ..vocabulary import READS

__all__ = ["Advertised"]

#: Reads that are kept, those of one process, and connects that are remembered.
_KEPT = 10_000
_READS = 16
#: Bytes that weigh as much as a read without any: of most reads only the first 64 are recorded.
_BYTES = 1024
#: How long what was read counts as just read.
_RECENT_NS = 10_000_000_000
#: A redirect is followed at once.
_AT_ONCE_NS = 1_000_000_000
#: An answer of HTTP that names another address (RFC 9110, 15.4).
_REDIRECT = re.compile(rb"HTTP/1\.[01] 30[12378] ")


class Advertised(Tracker):
    """Looks for the address of each connect in what the process read from others just before."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._read: LatestOf[int, CallFacts] = LatestOf(_KEPT, _READS, _weight)
        self._latest: LatestOf[tuple[int, int], CallFacts] = LatestOf(_KEPT, 1, _weight)
        self._by: LatestOf[int, CallFacts] = LatestOf(_KEPT, 1, _weight)

    @returned(*READS, moved=True)
    def read(self, call: CallFacts) -> None:
        """Bytes came."""
        if call.socket is None or not (call.socket.tcp or call.socket.unix) or not call.payload:
            return
        call = call.without_samples()
        self._read.add(call.call.process, call)
        self._latest.add(call.thread, call)

    @returned("connect")
    def connected(self, call: CallFacts) -> None:
        """A connect returned."""
        where, socket = call.address, call.socket
        if where is None or socket is None or not socket.tcp:
            return
        for read in reversed(self._read.of(call.call.process)):
            peer = read.socket.remote if read.socket is not None else None
            if call.entry_ns - read.end_ns > _RECENT_NS:
                break
            if read.socket is not None and read.socket.origin == "accept":
                # A request, not an answer.
                continue
            if peer != where and _holds(read.payload, where):
                self._by.add(socket.id, read)
                return
        last = next(iter(self._latest.of(call.thread)), None)
        if last is None or last.socket is None or last.socket.remote == where or last.socket.origin == "accept":
            return
        cut = last.moved > len(last.payload)
        if cut and _REDIRECT.match(last.payload) and call.entry_ns - last.end_ns < _AT_ONCE_NS:
            # The address stands behind the bytes that were recorded; nothing else was read before it was tried.
            self._by.add(socket.id, last)

    def by(self, socket: int) -> CallFacts | None:
        """The read that held the address to which a socket was connected, or the redirect that was followed.

        ``None``: none did.
        """
        return next(iter(self._by.of(socket)), None)

    @staticmethod
    def names(read: CallFacts, where: Address) -> bool:
        """Whether the address stands in what was recorded of a read."""
        return _holds(read.payload, where)


def _weight(read: CallFacts) -> int:
    return 1 + len(read.payload) // _BYTES


def _holds(payload: bytes, where: Address) -> bool:
    """Whether bytes hold an address: as text with the port, as six numbers (RFC 959, 227), or as a length-prefixed host."""
    if ":" not in where.host:
        numbers = [*where.host.split("."), str(where.port >> 8), str(where.port & 0xFF)]
        if re.search(rb"(?<![0-9])" + ",".join(numbers).encode() + rb"(?![0-9])", payload.replace(b" ", b"")):
            return True
    hosts = [where.host.encode(), b"localhost"] if where.loopback else [where.host.encode()]
    for host in hosts:
        at = payload.find(host)
        if at < 0:
            continue
        behind = payload[at + len(host) : at + len(host) + 16]
        text = str(where.port).encode()
        found = behind.find(text)
        digit_after = behind[found + len(text) : found + len(text) + 1].isdigit()
        if found > 0 and not digit_after and not any(byte in b"0123456789" for byte in behind[:found]):
            return True
        if where.port.to_bytes(4, "big") == behind[:4] or where.port.to_bytes(2, "big") == behind[:2]:
            return True
    return False
