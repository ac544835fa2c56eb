"""Sending frames: one, many, paced, and whole captures again.

Nothing is sent without an explicit interface, or a host of a lab.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import itertools
import math
import os
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from .._core import wire as core
from ..errors import NotPermitted, UsageError
from . import craft
from .frame import Frame
from .interfaces import HasSockets, interface, interfaces, packet_socket

__all__ = ["Injector", "Replayed", "inject", "only_interface", "replay", "rewrite"]

#: Frames that are handed over at once.
_BATCH = 256
#: Frames from which on a ring is worth the work to make it.
_MANY = 2048
_BYTES = (bytes, bytearray, memoryview)


def only_interface(host: HasSockets | None) -> str:
    """The interface of a lab host that has one beside loopback.

    Raises:
        UsageError: no host was given, or it has several.

    """
    if host is None:
        raise UsageError("name the interface to send through, or a host of a lab: nothing is sent unasked")
    names = [found.name for found in interfaces(host) if found.hardware_type != 772]
    if len(names) != 1:
        raise UsageError(f"name the interface to send through: {', '.join(names) or 'there is none'}")
    return names[0]


class Injector:
    """An open way onto a link. Use it as a context manager, or close it."""

    def __init__(
        self, interface_name: str | int | None = None, *, host: HasSockets | None = None, bypass_queue: bool = False
    ) -> None:
        found = interface(only_interface(host) if interface_name is None else interface_name, host)
        self.interface = found.name
        self.mac = found.mac
        self._found = found
        self._host = host
        #: Link-layer addresses by IP destination, asked for once.
        self._hops: dict[str, bytes] = {}
        self._asked_for_ring = False
        with packet_socket(host) as sock:
            self._sender = core.Sender(sock.fileno(), found.index, bypass_queue=bypass_queue)

    def __repr__(self) -> str:
        return f"<Injector on {self.interface}>"

    def send(self, *frames: Any) -> int:
        """Send frames at once; their number: crafted packets, captured frames, or bytes from the link-layer header on.

        A packet that starts with IP gets the header of the link. Raises as :meth:`as_frame`, and:

        Raises:
            UsageError: a frame is longer than the interface takes, or shorter than a header.
            OSError: the interface is down (ENETDOWN) or gone (ENXIO).

        """
        return self.send_all(frames)

    def as_frame(self, frame: Any) -> bytes:
        """The bytes of a frame for this link, with the addresses that a crafted packet leaves open.

        Raises:
            UsageError: the packet does not belong on such a link, or nobody is found to send it to.

        """
        if isinstance(frame, craft.Layer):
            frame = craft.Packet((frame,))
        if isinstance(frame, craft.Packet):
            if not isinstance(frame.layers[0], (craft.Ethernet, craft.IPv4, craft.IPv6)):
                if frame.link_type not in (1, self._link_type):
                    name = type(frame.layers[0]).__name__
                    raise UsageError(f"{self.interface}: a packet that starts with {name} does not belong there")
                return bytes(frame)
            return bytes(self._complete(frame))
        if isinstance(frame, Frame) and frame.link_type != self._link_type:
            if frame.ip is None:
                raise UsageError(f"{self.interface}: a frame of link type {frame.link_type} does not belong there")
            packet = frame.bytes[frame.ip.offset :]
            if self._link_type != 1:
                return packet
            head = craft.Ethernet(
                self.mac, self._hop(frame.ip.destination), 0x0800 if frame.ip.version == 4 else 0x86DD
            )
            return bytes(head) + packet
        # bytes() makes zeros of a number, and dpkt's objects are only known by what they can do.
        if isinstance(frame, (str, int)) or not (hasattr(frame, "__bytes__") or isinstance(frame, _BYTES)):
            raise UsageError(
                f"{frame!r} is no frame: frames are bytes, crafted packets, captured frames or dpkt objects"
            )
        return bytes(frame)

    @property
    def _link_type(self) -> int:
        return core.link_type_of_hardware(self._found.hardware_type) or 1

    def _hop(self, destination: str) -> bytes:
        hop = self._hops.get(destination)
        if hop is None:
            from .neighbour import hardware_address

            if len(self._hops) > 65536:
                self._hops.clear()
            hop = self._hops[destination] = hardware_address(destination, self._found, self._host)
        return hop

    def _complete(self, packet: craft.Packet) -> craft.Packet:
        """A packet with its Ethernet header, and addresses in it."""
        first = packet.layers[0]
        if self._link_type != 1:
            if isinstance(first, craft.Ethernet):
                raise UsageError(f"{self.interface} is no Ethernet interface: start the packet with IP")
            return packet
        to_all = not isinstance(first, craft.Ethernet)
        if not isinstance(first, craft.Ethernet):
            first, packet = craft.Ethernet(), craft.Ethernet() / packet
        if first.source is None:
            first = first.replace(source=self.mac)
        if first.destination is None:
            inner = next((each for each in packet.layers if isinstance(each, (craft.IPv4, craft.IPv6))), None)
            if inner is not None:
                address = inner.destination
                text = str(ipaddress.ip_address(address)) if isinstance(address, bytes) else str(address)
                try:
                    first = first.replace(destination=self._hop(text))
                except UsageError:
                    if not to_all:
                        raise
                    # Whoever sends a bare IP packet wants it on the link, wherever it goes: all there get it.
                    self._hops[text] = b"\xff" * 6
                    first = first.replace(destination=self._hops[text])
        return craft.Packet((first, *packet.layers[1:]))

    def send_all(self, frames: Iterable[Any]) -> int:
        """Send many frames as fast as the interface takes them, in batches; their number."""
        total = 0
        rest = iter(frames)
        while batch := tuple(itertools.islice(rest, _BATCH)):
            total += self._flush(batch, total)
            if total >= _MANY:
                self._prepare_ring()
        return total

    def _prepare_ring(self) -> None:
        """Send through a ring shared with the kernel as soon as there is one, which pays for many frames.

        It needs a socket of its own. Where the kernel, or a policy, refuses it, frames go on as before.
        """
        if self._asked_for_ring:
            return
        self._asked_for_ring = True
        with contextlib.suppress(OSError, NotPermitted), packet_socket(self._host) as sock:
            self._sender.prepare_ring(sock.fileno())

    def _flush(self, batch: tuple[Any, ...], before: int = 0) -> int:
        """Send all of these; their number. ``before`` is how many the call sent before them."""
        done = 0
        while done < len(batch):
            try:
                done += self._sender.send(batch[done:] if done else batch)
            except TypeError:
                # Nothing was sent: not all are bytes yet.
                batch = tuple(frame if isinstance(frame, bytes) else self.as_frame(frame) for frame in batch)
            except OSError as error:
                if error.errno == errno.ENOBUFS:
                    # The queue of the interface is full for the moment.
                    time.sleep(0.0005)
                    continue
                if error.errno in (errno.EMSGSIZE, errno.EINVAL):
                    length = len(batch[done])
                    why = "longer than the interface takes" if error.errno == errno.EMSGSIZE else "not a frame"
                    sent = f" ({before + done} were sent before it)" if before + done else ""
                    raise UsageError(f"{self.interface}: a frame of {length} bytes is {why}{sent}") from error
                raise
        return len(batch)

    def sweep(self, template: Any, fields: Iterable[tuple[int, int, Iterable[int]]], *, checksums: bool = True) -> int:
        """Send a frame for each combination of field values, built in compiled code on the way; their number.

        Args:
            template: the frame.
            fields: (offset in the frame, width in bytes, values); the last field changes fastest.
            checksums: set the checksums anew in each frame.

        """
        whole = self.as_frame(template)
        # Offsets are those of the template; the header of the link may stand before it.
        before = len(whole) - len(bytes(template))
        chosen = [(offset + before, width, list(values)) for offset, width, values in fields]
        if math.prod(len(values) for _, _, values in chosen) >= _MANY:
            self._prepare_ring()
        try:
            return self._sender.sweep(whole, chosen, checksums=checksums, link_type=self._link_type)
        except ValueError as error:
            raise UsageError(str(error)) from error

    def paced(self, frames: Iterable[tuple[float, Any]]) -> Iterator[tuple[float, float]]:
        """Send each frame at its time, in seconds from now; yields (asked, achieved) after each.

        Frames that are late are sent at once, in order. Waits end with a short spin, because a sleep overshoots by the
        timer slack (50 µs) and more.
        """
        start = time.monotonic()
        for asked, frame in frames:
            while (left := start + asked - time.monotonic()) > 0:
                if left > 0.0003:
                    time.sleep(left - 0.0002)
            self._flush((self.as_frame(frame),))
            yield asked, time.monotonic() - start

    def close(self) -> None:
        """Nothing more will be sent."""

    def __enter__(self) -> Injector:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def inject(
    frames: Any,
    interface: str | int | None = None,
    *,
    host: HasSockets | None = None,
    rate_per_s: float | None = None,
) -> int:
    """Send a frame or many through an interface; how many were sent.

    Args:
        frames: a crafted packet, bytes, a captured frame, a dpkt object, or an iterable of them. Bytes start with the
            link-layer header; a packet that starts with IP gets one, and ``Ethernet()`` the addresses that it leaves open:
            who is next on the way is taken from the kernel's routes and neighbour table, or asked for. Where nobody
            answers, an IP packet goes to all on the link, and ``Ethernet()`` is refused.
        interface: name or index; may be left out for a host of a lab with one link.
        host: whose interface.
        rate_per_s: frames per second; as fast as possible without it.

    Raises:
        NotPermitted: without CAP_NET_RAW.
        UsageError: no interface was named, a frame does not fit it, or nobody is found to send it to.

    """
    if isinstance(frames, str):
        raise UsageError(f"{frames!r} is no frame: inject(frames, {frames!r}) sends frames through that interface")
    one = isinstance(frames, (*_BYTES, craft.Layer, craft.Packet, Frame)) or not hasattr(frames, "__iter__")
    chosen: Iterable[Any] = [frames] if one else frames
    with Injector(interface, host=host) as injector:
        if rate_per_s is None:
            return injector.send_all(chosen)
        if rate_per_s <= 0:
            raise UsageError(f"a rate of {rate_per_s} frames/s sends nothing")
        timed = ((number / rate_per_s, frame) for number, frame in enumerate(chosen))
        return sum(1 for _ in injector.paced(timed))


class Replayed(NamedTuple):
    """What a replay did.

    ``asked_s`` and ``achieved_s`` are from the first to the last frame; ``worst_late_s`` is how far the latest one was
    behind its time.
    """

    frames: int
    bytes: int
    skipped: int
    asked_s: float
    achieved_s: float
    worst_late_s: float


def _adjusted(checksum: int, old: bytes, new: bytes) -> int:
    """A checksum after bytes that it covers were replaced, in place and of even length (RFC 1624, equation 3).

    What it was wrong by, it stays wrong by; and it needs none of the other bytes.
    """
    total = (~checksum & 0xFFFF) + core.internet_checksum(old) + (~core.internet_checksum(new) & 0xFFFF)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class _Rewriting:
    """The bytes of a frame while addresses in them are replaced."""

    def __init__(self, frame: Frame, ip: Mapping[bytes, bytes], mac: Mapping[bytes, bytes]) -> None:
        self.data = bytearray(frame.bytes)
        self._frame = frame
        self._ip = ip
        self._mac = mac

    def _replace(self, at: int, length: int, table: Mapping[bytes, bytes]) -> tuple[bytes, bytes]:
        """Replace one address; its bytes before and after, both empty when it stays."""
        old = bytes(self.data[at : at + length])
        new = table.get(old)
        if new is None or len(new) != length:
            return b"", b""
        self.data[at : at + length] = new
        return old, new

    def _adjust(self, at: int, old: bytes, new: bytes) -> tuple[bytes, bytes]:
        """Adjust the checksum at a place, if it was captured; its bytes before and after."""
        if old == new or at + 2 > len(self.data):
            return b"", b""
        before = bytes(self.data[at : at + 2])
        after = struct.pack("!H", _adjusted(int.from_bytes(before, "big"), old, new))
        self.data[at : at + 2] = after
        return before, after

    def run(self) -> bytes:
        frame = self._frame
        if frame.ethernet is not None:
            for at in (0, 6):
                self._replace(at, 6, self._mac)
        if frame.arp is not None and frame.arp.sender is not None:
            for at, length, table in ((8, 6, self._mac), (14, 4, self._ip), (18, 6, self._mac), (24, 4, self._ip)):
                self._replace(frame.arp.offset + at, length, table)
        if frame.ip is not None:
            self._packet(frame)
        return bytes(self.data)

    def _packet(self, frame: Frame) -> None:
        ip = frame.ip
        assert ip is not None
        size = 4 if ip.version == 4 else 16
        source, destination = (12, 16) if ip.version == 4 else (8, 24)
        from_old, from_new = self._replace(ip.offset + source, size, self._ip)
        to_old, to_new = self._replace(ip.offset + destination, size, self._ip)
        header = (from_old + to_old, from_new + to_new)
        if ip.version == 4:
            self._adjust(ip.offset + 10, *header)
        # A source route or routing header on its way covers another destination, a home address another source.
        counted = header if not ip.options else self._counted(frame, (from_old, from_new), (to_old, to_new))
        place = self._transport(frame)
        if place is not None and not (ip.fragment_offset or place[1] is None):
            at, kind = place
            if kind == "udp" and ip.version == 4 and self.data[at : at + 2] == b"\0\0":
                pass
            elif kind != "icmp":
                self._adjust(at, *counted)
                if kind == "udp" and self.data[at : at + 2] == b"\0\0":
                    # RFC 768: a computed 0 is sent as all ones.
                    self.data[at : at + 2] = b"\xff\xff"
        if frame.icmp is not None:
            self._message(frame)

    def _counted(
        self, frame: Frame, source: tuple[bytes, bytes], destination: tuple[bytes, bytes]
    ) -> tuple[bytes, bytes]:
        assert frame.ip is not None
        options = dict(frame.ip.options)
        if frame.ip.version == 4:
            route = options.get(131) or options.get(137)
            on_its_way = bool(route) and route is not None and route[0] <= 2 + len(route) - 1
        else:
            routing = options.get(43)
            on_its_way = routing is not None and len(routing) > 3 and routing[3] > 0
            if b"\xc9\x10" in (options.get(60) or b""):
                source = (b"", b"")
        if on_its_way:
            destination = (b"", b"")
        return source[0] + destination[0], source[1] + destination[1]

    def _transport(self, frame: Frame) -> tuple[int, str | None] | None:
        """Where the checksum stands that covers the addresses, and of what it is."""
        if frame.tcp is not None:
            return frame.tcp.offset + 16, "tcp"
        if frame.udp is not None:
            return frame.udp.offset + 6, "udp"
        if frame.icmp is not None:
            return frame.icmp.offset + 2, "icmp" if frame.icmp.version == 4 else "icmpv6"
        ip = frame.ip
        if ip is not None and frame.protocol in (33, 136):
            # DCCP and UDP-Lite (RFC 4340, 5.1; RFC 3828, 3.1).
            return ip.offset + ip.header_length + 6, "other"
        return None

    def _message(self, frame: Frame) -> None:
        """What an ICMP message says of addresses: a quoted packet, a neighbour."""
        icmp = frame.icmp
        assert icmp is not None
        start = frame.payload_offset
        before = bytes(self.data[start:])
        quoted = frame.quoted
        inner = b"" if quoted is None else _Rewriting(quoted, self._ip, {}).run()
        if icmp.is_error:
            self.data[start : start + len(inner)] = inner
        elif icmp.version == 6 and icmp.type in (135, 136, 137):
            self._replace(start, 16, self._ip)
            at = start + 16
            if icmp.type == 137:
                self._replace(start + 16, 16, self._ip)
                at += 16
            while at + 8 <= len(self.data) and self.data[at + 1]:
                if self.data[at] in (1, 2):
                    self._replace(at + 2, 6, self._mac)
                elif self.data[at] == 4 and icmp.type == 137:
                    # The packet that a redirect is about, behind eight bytes (RFC 4861, 4.6.3); the first one counts.
                    self.data[at + 8 : at + 8 + len(inner)] = inner
                    inner = b""
                at += 8 * self.data[at + 1]
        elif icmp.version == 6 and icmp.type in (133, 134):
            at = start + (0 if icmp.type == 133 else 8)
            while at + 8 <= len(self.data) and self.data[at + 1]:
                if self.data[at] == 1:
                    self._replace(at + 2, 6, self._mac)
                at += 8 * self.data[at + 1]
        self._adjust(icmp.offset + 2, before, bytes(self.data[start:]))


def _tables(
    map_ip: Mapping[str, str] | None, map_mac: Mapping[str, str] | None
) -> tuple[dict[bytes, bytes], dict[bytes, bytes]]:
    """Addresses and their replacements as bytes.

    Raises:
        UsageError: an address and its replacement are of different kinds, or one is no address.

    """
    ip = {}
    for old, new in (map_ip or {}).items():
        try:
            before, after = ipaddress.ip_address(old), ipaddress.ip_address(new)
        except ValueError as error:
            raise UsageError(str(error)) from error
        if before.version != after.version:
            raise UsageError(f"{old} and {new} are addresses of different IP versions")
        ip[before.packed] = after.packed
    return ip, {craft.ethernet_bytes(old): craft.ethernet_bytes(new) for old, new in (map_mac or {}).items()}


def rewrite(
    frame: Frame,
    map_ip: Mapping[str, str] | None = None,
    map_mac: Mapping[str, str] | None = None,
) -> bytes:
    """The bytes of a frame with addresses replaced: in Ethernet, ARP, IP, neighbour discovery, and packets quoted by errors.

    Checksums are adjusted by what was replaced, also those of fragments and of frames that were cut: right ones stay right,
    wrong ones stay wrong. What a tunnel or an application carries is left alone.

    Raises:
        UsageError: an address and its replacement are of different kinds.

    """
    return rewriter(map_ip, map_mac)(frame)


def rewriter(
    map_ip: Mapping[str, str] | None = None, map_mac: Mapping[str, str] | None = None
) -> Callable[[Frame], bytes]:
    """What :func:`rewrite` does, for many frames.

    Raises:
        UsageError: an address and its replacement are of different kinds.

    """
    tables = _tables(map_ip, map_mac)
    return lambda frame: bytes(_Rewriting(frame, *tables).run())


def replay(
    path: str | os.PathLike[str],
    interface: str | int | None = None,
    *,
    host: HasSockets | None = None,
    speed: float = 1.0,
    rate_per_s: float | None = None,
    filter: str | None = None,
    map_ip: Mapping[str, str] | None = None,
    map_mac: Mapping[str, str] | None = None,
    dry_run: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Replayed:
    """Send the Ethernet frames of a capture file again, with the gaps they had.

    Args:
        path: the capture file.
        interface: where to send; may be left out for a host of a lab with one link.
        host: whose interface.
        speed: 2.0 is twice as fast; ``inf`` as fast as possible.
        rate_per_s: a fixed rate instead of the recorded times.
        filter: only frames that match, in tcpdump's language.
        map_ip: IP addresses to replace.
        map_mac: Ethernet addresses to replace.
        dry_run: read and rewrite, but send nothing.
        progress: called with the number of frames sent, now and then.

    Frames of other link types, and frames that the capture cut short, are skipped and counted.

    Raises:
        UsageError: no capture file, no such interface, or an address that makes no sense.
        OSError: sending failed.

    """
    from .pcap import read

    if speed <= 0 or (rate_per_s is not None and rate_per_s <= 0):
        raise UsageError("speed and rate must be above 0")
    tables = _tables(map_ip, map_mac)
    skipped = 0
    sizes = 0
    sent = 0
    last_asked = worst = achieved = 0.0

    def timed() -> Iterator[tuple[float, bytes]]:
        nonlocal skipped, sizes, last_asked
        first: int | None = None
        count = 0
        with read(path, filter=filter) as reader:
            for frame in reader:
                if frame.link_type != 1 or len(frame) < frame.original_length or len(frame) < 14:
                    skipped += 1
                    continue
                when = frame.timestamp_ns or 0
                first = when if first is None else first
                if rate_per_s is not None:
                    asked = count / rate_per_s
                elif speed == float("inf"):
                    asked = 0.0
                else:
                    asked = max(last_asked, (when - first) / 1e9 / speed)
                last_asked = asked
                count += 1
                sizes += len(frame)
                yield asked, _Rewriting(frame, *tables).run() if any(tables) else frame.bytes

    if dry_run:
        sent = sum(1 for _ in timed())
        return Replayed(sent, sizes, skipped, last_asked, 0.0, 0.0)
    with Injector(interface, host=host) as injector:
        if speed == float("inf") and rate_per_s is None:
            begin = time.monotonic()
            sent = injector.send_all(data for _, data in timed())
            return Replayed(sent, sizes, skipped, 0.0, time.monotonic() - begin, 0.0)
        for asked, achieved in injector.paced(timed()):
            worst = max(worst, achieved - asked)
            sent += 1
            if progress is not None and sent % 64 == 0:
                progress(sent)
    return Replayed(sent, sizes, skipped, last_asked, achieved, worst)
