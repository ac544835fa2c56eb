"""The routers on the way to a host, by packets whose time to live ends there.

All probes of a run are one flow: addresses, protocol and ports stay the same, so that routers which share load by flow
show one path. The probes differ in what load sharing does not look at: identification and length (UDP), sequence number
(TCP), sequence number with a payload that keeps the checksum (ICMP).

Without CAP_NET_RAW the probes are datagrams of one UDP socket, whose error queue gives what the routers say.
"""

from __future__ import annotations

import errno
import os
import random
import select
import socket
import struct
import time
from collections.abc import AsyncIterator, Iterator
from typing import Literal, NamedTuple

from .._core.wire import Frame
from ..errors import NotPermitted, UsageError
from ..kernel import error_queue
from ..kernel.error_queue import QueuedError
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
        kind: ``router`` (time exceeded), ``destination`` (the host itself), ``unreachable``, ``timeout``, or ``waiting``
            (in :meth:`Traceroute.watch` only).
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
    frame: Frame | None
    at: float
    clock_ns: int
    size: int


class _Answer(NamedTuple):
    """What came back: about which probe, if that was quoted, from whom, and the error unless it is an answer of the host."""

    identity: int | None
    address: str | None
    error: QueuedError | None


#: How far beyond the distances that are known probes are sent.
_AHEAD = 2
#: Marks a datagram of ours, before its identity.
_MARK = b"wallsocket"


class _ErrorQueue:
    """Probes that need no privilege: datagrams of one socket, and its error queue (ip(7), IP_RECVERR)."""

    def __init__(self, family: int, address: tuple[str, int], host: HasSockets, interface: str | None) -> None:
        self._v6 = family == socket.AF_INET6
        self._address = address
        self._socket = host.socket(family, socket.SOCK_DGRAM, 0)
        level = socket.IPPROTO_IPV6 if self._v6 else socket.IPPROTO_IP
        error_queue.collect(self._socket)
        # Not fragmented, and whatever the kernel believes the path takes (IPV6_MTU_DISCOVER, IP_MTU_DISCOVER: PROBE).
        self._socket.setsockopt(level, 23 if self._v6 else 10, 3)
        if interface is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        self._socket.setblocking(False)

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, identity: int, time_to_live: int, size: int | None) -> int:
        """Send a probe; its size as an IP packet."""
        overhead = 48 if self._v6 else 28
        data = _MARK + struct.pack("!H", identity)
        if size is not None:
            data = data.ljust(max(0, size - overhead), b"\0")
        option = (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS) if self._v6 else (socket.IPPROTO_IP, socket.IP_TTL)
        self._socket.setsockopt(*option, time_to_live)
        for attempt in range(8):
            try:
                self._socket.sendto(data, self._address)
                break
            except OSError as error:
                # An error about an earlier probe, which stays in the queue, is told here once.
                if attempt == 7 or error.errno not in (errno.EHOSTUNREACH, errno.ECONNREFUSED, errno.ENETUNREACH):
                    raise
        return len(data) + overhead

    def read(self, wait_s: float) -> list[_Answer]:
        """What came back, after waiting for it so long."""
        poller = select.poll()
        poller.register(self._socket, select.POLLIN)
        poller.poll(max(0, int(wait_s * 1000) + 1) if wait_s > 0 else 0)
        found = []
        while True:
            try:
                data, _, _, sender = self._socket.recvmsg(2048)
                found.append(_Answer(self._identity(data), sender[0], None))
            except BlockingIOError:
                break
            except OSError:
                continue
        while True:
            try:
                data, control, _, _ = self._socket.recvmsg(65535, 512, socket.MSG_ERRQUEUE)
            except OSError:
                return found
            if (told := error_queue.queued_error(control)) is not None:
                found.append(_Answer(self._identity(data), told.reporter, told))

    @staticmethod
    def _identity(data: bytes) -> int | None:
        if len(data) < len(_MARK) + 2 or not data.startswith(_MARK):
            return None
        return int(struct.unpack_from("!H", data, len(_MARK))[0])

    def close(self) -> None:
        self._socket.close()


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
        self._capture: Capture | None = None
        self._queue: _ErrorQueue | None = None
        try:
            capture = Capture(interface, host=host, direction="in", latency_s=0.002)
            try:
                # Traceroute names its destination: that is as explicit as an interface.
                self._way = _Way(interface, host_or_here(host))
            except BaseException:
                capture.close()
                raise
            self._capture = capture
        except NotPermitted as error:
            if method != "udp":
                raise NotPermitted(
                    f"traceroute by {method} needs CAP_NET_RAW; by udp it works without any privilege"
                ) from error
            self._queue = _ErrorQueue(self.family, (self.address, self._port), host_or_here(host), interface)
        #: Whether frames are made and captured (CAP_NET_RAW); else a UDP socket and its error queue serve.
        self.privileged = self._queue is None
        self._next = (first_hop, 0)
        self._waiting: dict[tuple[int, int], _Sent] = {}
        self._done: dict[int, dict[int, Probe]] = {}
        self._sizes: dict[int, int | None] = {}
        self._reached: int | None = None
        self._again: list[tuple[int, int]] = []
        #: Probes that were sent a second time because nobody answered the first.
        self._repeated: set[tuple[int, int]] = set()
        #: The farthest distance whose probes have all been answered or given up.
        self._known = first_hop - 1

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
                # Hosts answer few such probes a second (net.ipv4.icmp_ratelimit: a burst of six, then one a second), and the
                # destination gets every probe that goes too far: not many are sent beyond what is known.
                if time_to_live > min(self._reached or self._last, self._known + _AHEAD):
                    return
                self._next = (time_to_live, number + 1) if number + 1 < self._probes else (time_to_live + 1, 0)
            if self._queue is not None:
                self._send_datagram(self._queue, time_to_live, number)
                continue
            packet = self._packet(time_to_live, number)
            data = bytes(packet)
            sent = _Sent(time_to_live, number, decode(data, 101), time.monotonic(), time.time_ns(), len(data))
            self._waiting[time_to_live, number] = sent
            try:
                self._way.send(packet, data)
            except OSError as error:
                del self._waiting[time_to_live, number]
                if error.errno == errno.EMSGSIZE and self._size is not None:
                    # Larger than the interface takes.
                    self._shrink(sent, None)
                    continue
                self._finish(sent, Probe(None, None, "unreachable", os.strerror(error.errno or 0)))

    def _send_datagram(self, queue: _ErrorQueue, time_to_live: int, number: int) -> None:
        started = time.monotonic()
        sent = _Sent(time_to_live, number, None, started, 0, self._size or 0)
        try:
            size = queue.send(time_to_live * self._probes + number, time_to_live, self._size)
        except OSError as error:
            if error.errno == errno.EMSGSIZE and self._size is not None:
                # Larger than the interface takes.
                self._shrink(sent, None)
            else:
                self._finish(sent, Probe(None, None, "unreachable", os.strerror(error.errno or 0)))
            return
        self._waiting[time_to_live, number] = sent._replace(size=size)

    def _take_answers(self, came: list[_Answer]) -> None:
        now = time.monotonic()
        for found in came:
            if found.identity is not None:
                key = divmod(found.identity, self._probes)
            elif len(self._waiting) == 1:
                key = next(iter(self._waiting))
            else:
                # A router that quotes no payload: which probe it means is known only if one is in flight.
                self._in_flight = 1
                continue
            sent = self._waiting.pop(key, None)
            if sent is None:
                continue
            kind = code = mtu = text = None
            if (told := found.error) is not None:
                kind, code = told.icmp or (None, None)
                mtu = told.info or None if told.number == errno.EMSGSIZE else None
                text = os.strerror(told.number)
            self._settle(sent, found.address, now - sent.at, kind, code, mtu, text)

    def _finish(self, sent: _Sent, probe: Probe) -> None:
        self._done.setdefault(sent.time_to_live, {})[sent.number] = probe
        while self._ready(self._known + 1) is not None:
            self._known += 1
        if probe.kind == "router" or probe.kind == "destination":
            best = self._sizes.get(sent.time_to_live)
            self._sizes[sent.time_to_live] = sent.size if best is None else min(best, sent.size)
        if probe.kind in ("destination", "unreachable"):
            self._reached = sent.time_to_live if self._reached is None else min(self._reached, sent.time_to_live)

    def _take(self, frames: list[Frame]) -> None:
        for frame in frames:
            for key, sent in self._waiting.items():
                assert sent.frame is not None
                if frame.bytes == sent.frame.bytes or not answers(sent.frame, frame):
                    continue
                del self._waiting[key]
                self._judge(sent, frame)
                break

    def _judge(self, sent: _Sent, frame: Frame) -> None:
        assert frame.ip is not None
        time_s = max(0, (frame.timestamp_ns or 0) - sent.clock_ns) / 1e9
        icmp = frame.icmp
        if icmp is None or not icmp.is_error:
            self._settle(sent, frame.ip.source, time_s, None, None, None, None)
            return
        text = frame.summary().partition("ICMP")[2].lstrip("6, ").rpartition(", length")[0]
        self._settle(sent, frame.ip.source, time_s, icmp.type, icmp.code, icmp.next_hop_mtu, text)

    def _settle(
        self,
        sent: _Sent,
        address: str | None,
        time_s: float,
        kind: int | None,
        code: int | None,
        mtu: int | None,
        text: str | None,
    ) -> None:
        """A probe was answered: by an ICMP error of this type and code, or, without a type, by the host itself."""
        if mtu is not None and self._size is not None:
            self._shrink(sent, mtu)
        elif kind is None and text is None:
            self._finish(sent, Probe(address, time_s, "destination"))
        elif kind == (3 if self._v6 else 11):
            self._finish(sent, Probe(address, time_s, "router"))
        elif (kind, code) == ((1, 4) if self._v6 else (3, 3)) and address == self.address:
            self._finish(sent, Probe(address, time_s, "destination"))
        else:
            self._finish(sent, Probe(address, time_s, "unreachable", text))

    def _shrink(self, sent: _Sent, mtu: int | None) -> None:
        """Send a probe again that was too large."""
        # Unknown from routers older than RFC 1191: try the next smaller usual size.
        smaller = mtu or next(size for size in (1492, 1280, 1006, 576, 296, 68, 0) if size < (sent.size or 1500))
        self._size = min(self._size or smaller, max(smaller, 1280 if self._v6 else 68))
        self._again.append((sent.time_to_live, sent.number))

    def _expire(self, now: float) -> None:
        for key, sent in list(self._waiting.items()):
            if now - sent.at >= self._timeout_s:
                del self._waiting[key]
                if self._may_repeat(key):
                    self._repeated.add(key)
                    self._again.append(key)
                else:
                    self._finish(sent, Probe(None, None, "timeout"))

    def _may_repeat(self, key: tuple[int, int]) -> bool:
        """Whether a silent probe is sent once more: where somebody answered others, who limits how many it answers.

        That is who answered at this distance, and the destination, which may be what is silent behind the last router.
        """
        time_to_live = key[0]
        if key in self._repeated:
            return False
        answered = any(probe.address is not None for probe in self._done.get(time_to_live, {}).values())
        heard = self._heard()
        return answered or heard < time_to_live <= (self._reached or heard + 1)

    def _heard(self) -> int:
        """The farthest router that answered."""
        kinds = ((hop, probe.kind) for hop, done in self._done.items() for probe in done.values())
        return max((hop for hop, kind in kinds if kind == "router"), default=0)

    def _ready(self, time_to_live: int) -> Hop | None:
        done = self._done.get(time_to_live, {})
        return None if len(done) < self._probes else self._so_far(time_to_live)

    def _wait_s(self) -> float:
        now = time.monotonic()
        return max(0.0, min((sent.at + self._timeout_s - now for sent in self._waiting.values()), default=0.0))

    def _step(self, wait_s: float) -> None:
        """Take what came, after waiting for it so long."""
        if self._queue is not None:
            self._take_answers(self._queue.read(wait_s))
        elif self._capture is not None:
            self._take(self._capture.read(wait_s))
        self._expire(time.monotonic())

    def watch(self) -> Iterator[list[Hop]]:
        """What is known so far, each time that something changed: for tables that grow while one looks."""
        try:
            seen: list[Hop] = []
            ended = False
            while not ended:
                self._send()
                self._step(self._wait_s())
                last = self._reached or self._last
                ended = all(self._ready(time_to_live) for time_to_live in range(self._first, last + 1))
                known = [key[0] for key in self._waiting] + list(self._done)
                now = [self._so_far(hop) for hop in range(self._first, min(last, max(known, default=0)) + 1)]
                if now != seen:
                    seen = now
                    yield now
        finally:
            self.close()

    def _so_far(self, time_to_live: int) -> Hop:
        done = self._done.get(time_to_live, {})
        waiting = Probe(None, None, "waiting")
        size = self._sizes.get(time_to_live) if self._size is not None else None
        return Hop(time_to_live, tuple(done.get(number, waiting) for number in range(self._probes)), size)

    def __iter__(self) -> Iterator[Hop]:
        try:
            time_to_live = self._first
            while time_to_live <= (self._reached or self._last):
                self._send()
                self._step(self._wait_s())
                while time_to_live <= (self._reached or self._last) and (hop := self._ready(time_to_live)):
                    yield hop
                    time_to_live += 1
        finally:
            self.close()

    def __repr__(self) -> str:
        return f"<Traceroute to {self.address} by {self.method}>"

    async def __aiter__(self) -> AsyncIterator[Hop]:
        import anyio

        try:
            time_to_live = self._first
            while time_to_live <= (self._reached or self._last):
                self._send()
                place = self._capture or self._queue
                assert place is not None
                with anyio.move_on_after(self._wait_s()):
                    await anyio.wait_readable(place.fileno())
                self._step(0.0)
                while time_to_live <= (self._reached or self._last) and (hop := self._ready(time_to_live)):
                    yield hop
                    time_to_live += 1
        finally:
            self.close()

    def close(self) -> None:
        """Stop."""
        if self._queue is not None:
            self._queue.close()
        if self._capture is not None:
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
        NotPermitted: TCP or ICMP without CAP_NET_RAW; UDP needs no privilege.
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
