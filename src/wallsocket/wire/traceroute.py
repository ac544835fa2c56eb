"""The routers on the way to a host, by packets whose time to live ends there.

All probes of a run are one flow: addresses, protocol and ports stay the same, so that routers which share load by flow
show one path. The probes differ in what load sharing does not look at: identification and length (UDP), sequence number
(TCP), sequence number with a payload that keeps the checksum (ICMP).
"""

from __future__ import annotations

import os
import random
import socket
import struct
import time
from collections.abc import AsyncIterator, Iterator
from typing import Literal, NamedTuple

from .._core.wire import Frame
from ..errors import NotPermitted, UsageError
from .ask import _Way, answers
from .capture import Capture
from .craft import ICMP, TCP, UDP, ICMPv6, IPv4, IPv6, Layer, Packet
from .frame import decode
from .interfaces import HasSockets, host_or_here, resolve, route

__all__ = ["Hop", "Probe", "Traceroute", "traceroute"]

Method = Literal["udp", "tcp", "icmp"]


class Probe(NamedTuple):
    """One probe's fate.

    Attributes:
        address: who answered; ``None`` when nobody did in time.
        time_s: seconds to the answer.
        kind: ``router`` (time exceeded), ``destination`` (the host itself), ``unreachable`` or ``timeout``.
        text: what an unreachable says.
    """

    address: str | None
    time_s: float | None
    kind: str
    text: str | None = None


class Hop(NamedTuple):
    """One distance.

    Attributes:
        time_to_live: the distance, from 1.
        probes: in the order they were sent.
        mtu: largest packet, bytes, that passed so far; ``None`` when it was not asked for.
    """

    time_to_live: int
    probes: tuple[Probe, ...]
    mtu: int | None

    @property
    def addresses(self) -> list[str]:
        """Who answered at this distance, each once."""
        return list(dict.fromkeys(probe.address for probe in self.probes if probe.address is not None))


class _Sent(NamedTuple):
    time_to_live: int
    number: int
    frame: Frame
    at: float
    clock_ns: int
    size: int


class Traceroute:
    """A running traceroute: iterate over its hops, in a ``for`` loop or an ``async for`` loop."""

    def __init__(
        self,
        destination: str,
        *,
        method: Method = "udp",
        port: int | None = None,
        first_hop: int = 1,
        last_hop: int = 30,
        probes: int = 3,
        in_flight: int = 16,
        timeout_s: float = 1.0,
        mtu: bool = False,
        family: int = socket.AF_UNSPEC,
        interface: str | None = None,
        host: HasSockets | None = None,
    ) -> None:
        if not 1 <= first_hop <= last_hop <= 255:
            raise UsageError(f"hops {first_hop} to {last_hop}: 1 to 255 are possible")
        if probes < 1 or in_flight < 1 or timeout_s <= 0:
            raise UsageError("at least one probe, one in flight, and a timeout above 0")
        self.destination = destination
        self.method = method
        self.family, self.address = resolve(destination, host, family)
        self._v6 = self.family == socket.AF_INET6
        self.source, found = route(self.address, host)
        self._port = {"udp": 33434, "tcp": 80, "icmp": 0}[method] if port is None else port
        self._source_port = random.randrange(33000, 60000)  # noqa: S311  no secret
        self._first, self._last = first_hop, last_hop
        self._probes, self._in_flight, self._timeout_s = probes, in_flight, timeout_s
        self._size: int | None = (found.mtu if found is not None else 1500) if mtu else None
        self._capture = Capture(interface, host=host, direction="in", latency_s=0.002)
        # Traceroute names its destination: that is as explicit as an interface.
        self._way = _Way(interface, host_or_here(host))
        self._next = (first_hop, 0)
        self._waiting: dict[tuple[int, int], _Sent] = {}
        self._done: dict[int, dict[int, Probe]] = {}
        self._sizes: dict[int, int | None] = {}
        self._reached: int | None = None
        self._again: list[tuple[int, int]] = []

    def _packet(self, time_to_live: int, number: int) -> Packet:
        identity = time_to_live * self._probes + number
        head: Layer
        if self._v6:
            head = IPv6(self.source, self.address, hop_limit=time_to_live)
        else:
            head = IPv4(
                self.source,
                self.address,
                time_to_live,
                identification=identity,
                dont_fragment=self._size is not None or self.method == "tcp",
            )
        overhead = 40 if self._v6 else 20
        if self.method == "tcp":
            return head / TCP(
                self._source_port, self._port, 0x5EED0000 + identity, flags="S", window=64240, options=[("mss", 1460)]
            )
        if self.method == "icmp":
            # The two bytes that balance the sequence number keep the checksum, which some routers take for a port.
            padding = self._fill(overhead + 8 + 2)
            data = struct.pack("!H", 0xFFFF - identity) + padding
            kind: type[ICMP] = ICMPv6 if self._v6 else ICMP
            return head / kind(identifier=self._source_port, sequence_number=identity) / data
        if self._v6 and self._size is None:
            # No identification in IPv6: the length tells the probes apart.
            return head / UDP(self._source_port, self._port) / bytes(16 + identity)
        return head / UDP(self._source_port, self._port) / self._fill(overhead + 8, 24)

    def _fill(self, used: int, least: int = 24) -> bytes:
        return bytes(least if self._size is None else max(0, self._size - used))

    # The steps: what the blocking and the asynchronous loop have in common.

    def _send(self) -> None:
        while len(self._waiting) < self._in_flight:
            if self._again:
                time_to_live, number = self._again.pop()
            else:
                time_to_live, number = self._next
                if time_to_live > (self._reached or self._last):
                    return
                self._next = (time_to_live, number + 1) if number + 1 < self._probes else (time_to_live + 1, 0)
            packet = self._packet(time_to_live, number)
            data = bytes(packet)
            sent = _Sent(time_to_live, number, decode(data, 101), time.monotonic(), time.time_ns(), len(data))
            self._waiting[time_to_live, number] = sent
            try:
                self._way.send(packet, data)
            except OSError as error:
                del self._waiting[time_to_live, number]
                self._finish(sent, Probe(None, None, "unreachable", os.strerror(error.errno or 0)))

    def _finish(self, sent: _Sent, probe: Probe) -> None:
        self._done.setdefault(sent.time_to_live, {})[sent.number] = probe
        if probe.kind == "router" or probe.kind == "destination":
            best = self._sizes.get(sent.time_to_live)
            self._sizes[sent.time_to_live] = sent.size if best is None else min(best, sent.size)
        if probe.kind in ("destination", "unreachable"):
            self._reached = sent.time_to_live if self._reached is None else min(self._reached, sent.time_to_live)

    def _take(self, frames: list[Frame]) -> None:
        for frame in frames:
            for key, sent in self._waiting.items():
                if frame.bytes == sent.frame.bytes or not answers(sent.frame, frame):
                    continue
                del self._waiting[key]
                self._judge(sent, frame)
                break

    def _judge(self, sent: _Sent, frame: Frame) -> None:
        assert frame.ip is not None
        address = frame.ip.source
        time_s = max(0, (frame.timestamp_ns or 0) - sent.clock_ns) / 1e9
        icmp = frame.icmp
        if icmp is None or not icmp.is_error:
            self._finish(sent, Probe(address, time_s, "destination"))
            return
        if icmp.next_hop_mtu is not None and self._size is not None:
            # 0 from routers older than RFC 1191: try the next smaller usual size.
            smaller = icmp.next_hop_mtu or next(size for size in (1492, 1280, 1006, 576, 296, 68) if size < sent.size)
            self._size = min(self._size, max(smaller, 1280 if self._v6 else 68))
            self._again.append((sent.time_to_live, sent.number))
            return
        exceeded = icmp.type == (3 if self._v6 else 11)
        port_unreachable = (icmp.type, icmp.code) == ((1, 4) if self._v6 else (3, 3))
        if exceeded:
            self._finish(sent, Probe(address, time_s, "router"))
        elif port_unreachable and address == self.address:
            self._finish(sent, Probe(address, time_s, "destination"))
        else:
            text = frame.summary().partition("ICMP")[2].lstrip("6, ")
            self._finish(sent, Probe(address, time_s, "unreachable", text.rpartition(", length")[0]))

    def _expire(self, now: float) -> None:
        for key, sent in list(self._waiting.items()):
            if now - sent.at >= self._timeout_s:
                del self._waiting[key]
                self._finish(sent, Probe(None, None, "timeout"))

    def _ready(self, time_to_live: int) -> Hop | None:
        done = self._done.get(time_to_live, {})
        if len(done) < self._probes:
            return None
        size = self._sizes.get(time_to_live) if self._size is not None else None
        return Hop(time_to_live, tuple(done[number] for number in range(self._probes)), size)

    def _wait_s(self) -> float:
        now = time.monotonic()
        return max(0.0, min((sent.at + self._timeout_s - now for sent in self._waiting.values()), default=0.0))

    def __iter__(self) -> Iterator[Hop]:
        try:
            time_to_live = self._first
            while time_to_live <= (self._reached or self._last):
                self._send()
                self._take(self._capture.read(self._wait_s()))
                self._expire(time.monotonic())
                while time_to_live <= (self._reached or self._last) and (hop := self._ready(time_to_live)):
                    yield hop
                    time_to_live += 1
        finally:
            self.close()

    async def __aiter__(self) -> AsyncIterator[Hop]:
        import anyio

        try:
            time_to_live = self._first
            while time_to_live <= (self._reached or self._last):
                self._send()
                with anyio.move_on_after(self._wait_s()):
                    await anyio.wait_readable(self._capture.fileno())
                self._take(self._capture.read(0.0))
                self._expire(time.monotonic())
                while time_to_live <= (self._reached or self._last) and (hop := self._ready(time_to_live)):
                    yield hop
                    time_to_live += 1
        finally:
            self.close()

    def close(self) -> None:
        """Stop."""
        self._capture.close()
        self._way.close()


def traceroute(
    destination: str,
    *,
    method: Method = "udp",
    port: int | None = None,
    first_hop: int = 1,
    last_hop: int = 30,
    probes: int = 3,
    in_flight: int = 16,
    timeout_s: float = 1.0,
    mtu: bool = False,
    family: int = socket.AF_UNSPEC,
    interface: str | None = None,
    host: HasSockets | None = None,
) -> Traceroute:
    """Find the routers on the way to a host.

    Args:
        destination: name or address.
        method: what the probes are: UDP datagrams, TCP SYNs (through firewalls that let a service pass), ICMP echoes.
        port: destination port; 33434 for UDP, 80 for TCP.
        first_hop: smallest distance.
        last_hop: largest distance.
        probes: for each distance.
        in_flight: how many may be unanswered at once.
        timeout_s: how long an answer may take.
        mtu: send packets as large as the interface takes, never fragmented, and find the largest that passes.
        family: to insist on IPv4 or IPv6.
        interface: through which interface.
        host: from which host.

    Raises:
        NotPermitted: without CAP_NET_RAW.
        UsageError: no such name, or no route to it.

    """
    try:
        return Traceroute(
            destination,
            method=method,
            port=port,
            first_hop=first_hop,
            last_hop=last_hop,
            probes=probes,
            in_flight=in_flight,
            timeout_s=timeout_s,
            mtu=mtu,
            family=family,
            interface=interface,
            host=host,
        )
    except NotPermitted:
        raise
    except OSError as error:
        raise UsageError(f"traceroute {destination}: {os.strerror(error.errno or 0)}") from error
