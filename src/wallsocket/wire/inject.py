"""Sending frames: one, many, paced, and whole captures again.

Nothing is sent without an explicit interface, or a host of a lab.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import math
import os
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
        self._host = host
        self._asked_for_ring = False
        with packet_socket(host) as sock:
            self._sender = core.Sender(sock.fileno(), found.index, bypass_queue=bypass_queue)

    def send(self, *frames: Any) -> int:
        """Send frames at once; their number. Anything that ``bytes()`` takes, from the Ethernet header on.

        Raises:
            UsageError: a frame is longer than the interface takes, or shorter than a header.
            OSError: the interface is down (ENETDOWN) or gone (ENXIO).

        """
        return self.send_all(frames)

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
                batch = tuple(frame if isinstance(frame, bytes) else bytes(frame) for frame in batch)
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
        chosen = [(offset, width, list(values)) for offset, width, values in fields]
        if math.prod(len(values) for _, _, values in chosen) >= _MANY:
            self._prepare_ring()
        try:
            return self._sender.sweep(bytes(template), chosen, checksums=checksums)
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
            self._flush((bytes(frame),))
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
        frames: bytes, a crafted packet, a dpkt object, or an iterable of them, each from its link-layer header on.
        interface: name or index; may be left out for a host of a lab with one link.
        host: whose interface.
        rate_per_s: frames per second; as fast as possible without it.

    Raises:
        NotPermitted: without CAP_NET_RAW.
        UsageError: no interface was named, or a frame does not fit it.

    """
    one = isinstance(frames, (bytes, bytearray, memoryview, craft.Layer, craft.Packet, Frame)) or not hasattr(
        frames, "__iter__"
    )
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


def rewrite(
    frame: Frame,
    map_ip: Mapping[str, str] | None = None,
    map_mac: Mapping[str, str] | None = None,
) -> bytes:
    """The bytes of a frame with addresses replaced; checksums that were right are right again, wrong ones stay wrong.

    Raises:
        UsageError: an address and its replacement are of different kinds.

    """
    data = bytearray(frame.bytes)
    changed = False
    if map_mac and frame.ethernet is not None:
        table = {craft._mac(old): craft._mac(new) for old, new in map_mac.items()}
        for at in (0, 6):
            new = table.get(bytes(data[at : at + 6]))
            if new is not None:
                data[at : at + 6] = new
        if frame.arp is not None and frame.arp.sender is not None:
            for at in (frame.arp.offset + 8, frame.arp.offset + 18):
                new = table.get(bytes(data[at : at + 6]))
                if new is not None:
                    data[at : at + 6] = new
    if map_ip:
        import ipaddress

        packed = {}
        for old, new_text in map_ip.items():
            before, after = ipaddress.ip_address(old), ipaddress.ip_address(new_text)
            if before.version != after.version:
                raise UsageError(f"{old} and {new_text} are addresses of different IP versions")
            packed[before.packed] = after.packed
        places: list[tuple[int, int]] = []
        if frame.ip is not None:
            start = frame.ip.offset
            places = (
                [(start + 12, 4), (start + 16, 4)] if frame.ip.version == 4 else [(start + 8, 16), (start + 24, 16)]
            )
        elif frame.arp is not None and frame.arp.sender is not None:
            places = [(frame.arp.offset + 14, 4), (frame.arp.offset + 24, 4)]
        for at, length in places:
            new = packed.get(bytes(data[at : at + length]))
            if new is not None:
                data[at : at + length] = new
                changed = True
    if changed and frame.ip is not None and "bad" not in frame.checksums:
        return core.set_checksums(bytes(data), frame.link_type)
    return bytes(data)


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
                yield asked, rewrite(frame, map_ip, map_mac)

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
