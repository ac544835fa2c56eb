"""Whether a host answers, and how fast: ICMP and ICMPv6 echo (RFC 792, 4443).

An unprivileged ICMP socket is used where the kernel permits it (``net.ipv4.ping_group_range``), else a raw one.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import time
from collections.abc import AsyncIterator, Iterator
from typing import NamedTuple

from .._core import wire as core
from ..errors import NotPermitted, UsageError
from ..kernel import error_queue
from .interfaces import HasSockets, host_or_here, resolve

__all__ = ["Ping", "Reply", "Summary", "ping"]

#: What ICMP (RFC 792, RFC 1812) and ICMPv6 (RFC 4443) errors say, by IP version, type and code.
_WORDS = {
    (4, 3, 0): "destination network unreachable",
    (4, 3, 1): "destination host unreachable",
    (4, 3, 2): "destination protocol unreachable",
    (4, 3, 3): "destination port unreachable",
    (4, 3, 4): "too large, and not to be fragmented",
    (4, 3, 5): "source route failed",
    (4, 3, 9): "refused: communication with the network is prohibited",
    (4, 3, 10): "refused: communication with the host is prohibited",
    (4, 3, 13): "refused: communication is prohibited by a filter",
    (4, 11, 0): "time to live exceeded",
    (4, 11, 1): "fragment reassembly time exceeded",
    (6, 1, 0): "no route to the destination",
    (6, 1, 1): "refused: communication is prohibited by a filter",
    (6, 1, 3): "destination address unreachable",
    (6, 1, 4): "destination port unreachable",
    (6, 1, 5): "refused: the source address is not permitted",
    (6, 1, 6): "refused: the route rejects it",
    (6, 2, 0): "too large",
    (6, 3, 0): "hop limit exceeded",
    (6, 3, 1): "fragment reassembly time exceeded",
}


def _words(version: int, number: int, icmp: tuple[int, int] | None, mtu: int) -> str:
    """What an error says; ``icmp`` is type and code, ``None`` when this host knew by itself."""
    if icmp is None:
        text = "too large, and not to be fragmented" if number == errno.EMSGSIZE else os.strerror(number)
    else:
        text = _WORDS.get((version, *icmp)) or f"{os.strerror(number)} (ICMP type {icmp[0]}, code {icmp[1]})"
    return f"{text}, MTU {mtu}" if number == errno.EMSGSIZE and mtu else text


#: Marks the end of the largest payload that an IPv4 packet can carry: 65535 - 20 - 8.
_SIZE_MAXIMUM = 65507


class Reply(NamedTuple):
    """The fate of one request.

    Attributes:
        sequence_number: of the request, from 1.
        kind: ``reply``, ``timeout``, ``error`` (an ICMP error came back, or the kernel refused to send), ``duplicate``,
            or ``changed`` (the reply carries other bytes than the request).
        time_s: seconds from request to reply; ``None`` without one.
        address: who answered.
        time_to_live: hops that were left of the reply.
        size: bytes of payload that came back.
        text: what the error says.
    """

    sequence_number: int
    kind: str
    time_s: float | None = None
    address: str | None = None
    time_to_live: int | None = None
    size: int | None = None
    text: str | None = None


class Summary(NamedTuple):
    """A ping as a whole; times in seconds, ``None`` without a reply."""

    sent: int
    received: int
    duplicates: int
    errors: int
    minimum_s: float | None
    average_s: float | None
    maximum_s: float | None
    deviation_s: float | None

    @property
    def loss(self) -> float:
        """Part of the requests that got no reply, 0 to 1."""
        return 1 - self.received / self.sent if self.sent else 0.0


class Ping:
    """A running ping: iterate over its replies, in a ``for`` loop or an ``async for`` loop."""

    def __init__(
        self,
        destination: str,
        *,
        count: int | None = 4,
        interval_s: float = 1.0,
        timeout_s: float = 1.0,
        size: int = 56,
        time_to_live: int | None = None,
        source: str | None = None,
        fragment: bool = True,
        family: int = socket.AF_UNSPEC,
        host: HasSockets | None = None,
    ) -> None:
        if not 0 <= size <= _SIZE_MAXIMUM:
            raise UsageError(f"size={size}: a ping carries 0 to {_SIZE_MAXIMUM} bytes")
        if interval_s < 0 or timeout_s <= 0:
            raise UsageError("the interval is at least 0 and the timeout above 0 seconds")
        self.destination = destination
        self.family, self.address = resolve(destination, host, family)
        self._count = count
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._payload = bytes(number & 0xFF for number in range(size))
        self._sequence = 0
        self._sent: dict[int, float] = {}
        self._seen: set[int] = set()
        self._next = 0.0
        self._times: list[float] = []
        self._duplicates = 0
        self._errors = 0
        self._socket, self.privileged = self._open(host_or_here(host))
        v6 = self.family == socket.AF_INET6
        try:
            if time_to_live is not None:
                option = (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS) if v6 else (socket.IPPROTO_IP, socket.IP_TTL)
                self._socket.setsockopt(*option, time_to_live)
            # IP_MTU_DISCOVER, IPV6_MTU_DISCOVER: IP_PMTUDISC_DO refuses what is larger than the known MTU of the path, and
            # IP_PMTUDISC_DONT lets it be cut.
            level, name = (socket.IPPROTO_IPV6, 23) if v6 else (socket.IPPROTO_IP, 10)
            self._socket.setsockopt(level, name, 0 if fragment else 2)
            if v6:
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
            else:
                self._socket.setsockopt(socket.IPPROTO_IP, 12, 1)  # IP_RECVTTL
            error_queue.collect(self._socket)
            if source is not None:
                self._socket.bind((source, 0))
            elif not self.privileged:
                # So that the identifier, which the kernel takes from the port, is known before the first request.
                self._socket.bind(("::" if v6 else "0.0.0.0", 0))  # noqa: S104
        except OSError as error:
            self._socket.close()
            raise UsageError(f"ping {destination}: {error.strerror}") from error
        self._identifier = os.getpid() & 0xFFFF if self.privileged else self._socket.getsockname()[1]
        self._socket.setblocking(False)

    def _open(self, host: HasSockets) -> tuple[socket.socket, bool]:
        protocol = socket.IPPROTO_ICMPV6 if self.family == socket.AF_INET6 else socket.IPPROTO_ICMP
        for kind, privileged in ((socket.SOCK_DGRAM, False), (socket.SOCK_RAW, True)):
            try:
                return host.socket(self.family, kind, protocol), privileged
            except PermissionError:
                continue
        raise NotPermitted(
            "ping is refused: the kernel's net.ipv4.ping_group_range does not include this user's groups "
            "(sudo sysctl net.ipv4.ping_group_range='0 2147483647'), and a raw socket needs CAP_NET_RAW"
        )

    # The steps: what the blocking and the asynchronous loop have in common.

    def _send_due(self, now: float) -> Reply | None:
        """Send the next request if its time has come; a reply if the kernel refused to send."""
        if self._done_sending() or now < self._next:
            return None
        self._sequence += 1
        number = self._sequence
        self._next = max(self._next + self._interval_s, now) if self._next else now + self._interval_s
        kind = 128 if self.family == socket.AF_INET6 else 8
        header = struct.pack("!BBHHH", kind, 0, 0, self._identifier, number & 0xFFFF)
        message = header + self._payload
        if kind == 8:
            # The kernel fills the checksum in for ICMPv6 and for unprivileged sockets.
            checksum = core.internet_checksum(message)
            message = message[:2] + struct.pack("!H", checksum) + message[4:]
        self._sent[number] = time.monotonic()
        try:
            self._socket.sendto(message, (self.address, 0))
        except OSError as error:
            # An error about an earlier request may stand in the way: it is reported by its own number.
            if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ECONNREFUSED, errno.EMSGSIZE):
                queued = self._read_error()
                if queued is not None and queued.sequence_number != number:
                    return queued
            self._sent.pop(number)
            self._errors += 1
            mtu = 0
            if error.errno == errno.EMSGSIZE:
                told = self._queued_mtu()
                mtu = told or 0
            return Reply(number, "error", text=_words(4, error.errno or 0, None, mtu))
        return None

    def _done_sending(self) -> bool:
        return self._count is not None and self._sequence >= self._count

    def _finished(self) -> bool:
        return self._done_sending() and not self._sent

    def _wait_s(self, now: float) -> float:
        """Until something has to be done without anything arriving."""
        waits = [started + self._timeout_s - now for started in self._sent.values()]
        if not self._done_sending():
            waits.append(self._next - now)
        return max(0.0, min(waits, default=0.0))

    def _expired(self, now: float) -> Iterator[Reply]:
        for number, started in list(self._sent.items()):
            if now - started >= self._timeout_s:
                del self._sent[number]
                yield Reply(number, "timeout")

    def _number(self, low: int) -> int:
        """The whole sequence number of one that was cut to 16 bits."""
        return self._sequence - (self._sequence - low) % 0x10000

    def _receive(self) -> Iterator[Reply]:
        """Replies and errors that are there now."""
        while True:
            try:
                data, control, _, sender = self._socket.recvmsg(65535, 256)
            except BlockingIOError:
                break
            except OSError:
                # The error queue says which request it is about.
                reply = self._read_error()
                if reply is not None:
                    yield reply
                continue
            now = time.monotonic()
            if self.privileged and self.family == socket.AF_INET:
                data = data[(data[0] & 15) * 4 :]
            if len(data) < 8:
                continue
            kind, _, _, identifier, low = struct.unpack_from("!BBHHH", data)
            if kind != (129 if self.family == socket.AF_INET6 else 0) or identifier != self._identifier:
                continue
            hops = None
            for level, what, value in control:
                if (level, what) in ((socket.IPPROTO_IP, socket.IP_TTL), (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT)):
                    hops = struct.unpack("i", value[:4])[0]
            number = self._number(low)
            started = self._sent.pop(number, None)
            if started is None:
                if number in self._seen:
                    self._duplicates += 1
                    yield Reply(number, "duplicate", None, sender[0], hops, len(data) - 8)
                continue
            self._seen.add(number)
            self._times.append(now - started)
            same = data[8:] == self._payload
            yield Reply(number, "reply" if same else "changed", now - started, sender[0], hops, len(data) - 8)
        while (reply := self._read_error()) is not None:
            yield reply

    def _read_error(self) -> Reply | None:
        """One entry of the error queue (ip(7), IP_RECVERR)."""
        try:
            data, control, _, _ = self._socket.recvmsg(2048, 512, socket.MSG_ERRQUEUE)
        except OSError:
            return None
        number = None
        if len(data) >= 8:
            number = self._number(struct.unpack_from("!H", data, 6)[0])
        told = error_queue.queued_error(control)
        if told is None:
            return None
        if number is None:
            return Reply(0, "error", None, told.reporter, text=os.strerror(told.number))
        started = self._sent.pop(number, None)
        if started is None:
            return None
        self._errors += 1
        text = _words(6 if self.family == socket.AF_INET6 else 4, told.number, told.icmp, told.info)
        return Reply(number, "error", time.monotonic() - started, told.reporter, text=text)

    def _queued_mtu(self) -> int | None:
        """The MTU that the kernel told with its own refusal of a packet that is too large."""
        try:
            _, control, _, _ = self._socket.recvmsg(2048, 512, socket.MSG_ERRQUEUE)
        except OSError:
            return None
        told = error_queue.queued_error(control)
        return told.info if told is not None and told.number == errno.EMSGSIZE else None

    def _step(self, now: float) -> list[Reply]:
        replies = list(self._receive())
        refused = self._send_due(now)
        if refused is not None:
            replies.append(refused)
        replies.extend(self._expired(time.monotonic()))
        return replies

    def __iter__(self) -> Iterator[Reply]:
        poller = select.poll()
        poller.register(self._socket, select.POLLIN | select.POLLERR)
        while True:
            yield from self._step(time.monotonic())
            if self._finished():
                return
            poller.poll(max(1, int(self._wait_s(time.monotonic()) * 1000) + 1))

    async def __aiter__(self) -> AsyncIterator[Reply]:
        import anyio

        while True:
            for reply in self._step(time.monotonic()):
                yield reply
            if self._finished():
                return
            with anyio.move_on_after(self._wait_s(time.monotonic()) + 0.001):
                await anyio.wait_readable(self._socket)

    def summary(self) -> Summary:
        """What happened so far."""
        times = self._times
        if not times:
            return Summary(self._sequence, 0, self._duplicates, self._errors, None, None, None, None)
        average = sum(times) / len(times)
        deviation = (sum((each - average) ** 2 for each in times) / len(times)) ** 0.5
        return Summary(
            self._sequence, len(times), self._duplicates, self._errors, min(times), average, max(times), deviation
        )

    def __repr__(self) -> str:
        found = self.summary()
        return f"<Ping of {self.destination}: {found.sent} sent, {found.received} received>"

    def close(self) -> None:
        """Stop."""
        self._socket.close()

    def __enter__(self) -> Ping:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def ping(
    destination: str,
    *,
    count: int | None = 4,
    interval_s: float = 1.0,
    timeout_s: float = 1.0,
    size: int = 56,
    time_to_live: int | None = None,
    source: str | None = None,
    fragment: bool = True,
    family: int = socket.AF_UNSPEC,
    host: HasSockets | None = None,
) -> Ping:
    """Ask a host for echoes.

    Args:
        destination: name or address.
        count: requests; ``None`` for no end.
        interval_s: from one request to the next.
        timeout_s: how long a reply may take.
        size: bytes of payload.
        time_to_live: hops the requests may take.
        source: address to send from.
        fragment: whether a request that is too large for a link may be cut; else who has the small link says its MTU.
        family: ``socket.AF_INET`` or ``AF_INET6`` to insist on one.
        host: from which host.

    Raises:
        NotPermitted: the kernel permits neither kind of ICMP socket.
        UsageError: no such name, or a source that is not this host's.

    """
    return Ping(
        destination,
        count=count,
        interval_s=interval_s,
        timeout_s=timeout_s,
        size=size,
        time_to_live=time_to_live,
        source=source,
        fragment=fragment,
        family=family,
        host=host,
    )
