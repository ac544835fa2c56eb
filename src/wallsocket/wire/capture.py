"""Live capture: frames from an interface of a host, through the kernel's ring (packet(7), TPACKET_V3)."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple

from .._core import wire as core
from .._core.wire import Frame
from ..errors import NotAvailable, UsageError, WallsocketError
from . import columns as _columns
from . import filter as _filter
from .interfaces import HasSockets, interface, packet_socket

if TYPE_CHECKING:
    from .pcap import Writer

__all__ = ["Capture", "InterfaceGone", "Statistics", "capture"]

Direction = Literal["both", "in", "out", "raw"]
FanoutKind = Literal["hash", "round-robin", "processor", "rollover", "random", "queue"]


class InterfaceGone(WallsocketError):
    """The interface went down or away while capturing; what was captured before has been given."""


class Statistics(NamedTuple):
    """What a capture saw since it was opened."""

    #: Frames that passed the filter, the dropped ones included.
    seen: int
    #: Frames lost because the reader was too slow for its buffer.
    dropped: int
    #: Times the buffer was found full.
    full: int


class Capture:
    """A running capture. Iterate over its frames with ``for`` or ``async for``; close it, or use ``with``.

    Frames are kept in the buffer from the moment this object is made.

    Attributes:
        interface: name of the interface; ``None`` for all.
        link_type: LINKTYPE of its frames; with all interfaces each frame says its own.
    """

    def __init__(
        self,
        interface_name: str | int | None = None,
        *,
        filter: str | None = None,
        host: HasSockets | None = None,
        direction: Direction = "both",
        promiscuous: bool = False,
        snap_length: int = 262_144,
        buffer_bytes: int = 16 << 20,
        latency_s: float = 0.02,
        fanout: tuple[int, FanoutKind] | None = None,
    ) -> None:
        if buffer_bytes < 1 << 18:
            raise UsageError(f"a buffer of {buffer_bytes} bytes is too small: at least 262144")
        if promiscuous and interface_name is None:
            raise UsageError("promiscuous mode needs one interface")
        self._host = host
        self.filter = filter
        index = None
        self.interface: str | None = None
        self.link_type = 1
        if interface_name is not None and interface_name != "any":
            found = interface(interface_name, host)
            self.interface, index = found.name, found.index
            link_type = core.link_type_of_hardware(found.hardware_type)
            if link_type is None:
                raise NotAvailable(f"{found.name}: frames of hardware type {found.hardware_type} are not decoded")
            self.link_type = link_type
        early: _filter.Program | None = None
        late: core.Filter | None = None
        if filter:
            if _filter.sees_tags(filter):
                late = _filter.for_frames(filter, None if index is None else self.link_type)
            elif index is None:
                early = _filter.for_interfaces(filter, snap_length)
            else:
                early = _filter.compile_filter(filter, self.link_type, snap_length)
        with packet_socket(host) as sock:
            try:
                self._ring = core.Ring(
                    sock.fileno(),
                    interface=index,
                    direction=direction,
                    block_size=1 << 18,
                    block_count=buffer_bytes >> 18,
                    block_timeout_s=latency_s,
                    filter=early,
                    late_filter=late,
                    snap_length=snap_length,
                    promiscuous=promiscuous,
                    fanout=fanout,
                )
            except OSError as error:
                if error.errno == errno.ENODEV:
                    raise InterfaceGone(f"{self.interface} is gone") from error
                if error.errno == errno.ENOMEM:
                    raise NotAvailable(f"no memory for a capture buffer of {buffer_bytes} bytes") from error
                if error.errno == errno.ENETDOWN:
                    raise UsageError(f"{self.interface} is down: ip link set {self.interface} up") from error
                raise
        self._closed = False

    def fileno(self) -> int:
        """The packet socket's descriptor, readable when frames are there."""
        return self._ring.fileno()

    def _gone(self, error: OSError) -> WallsocketError | OSError:
        if error.errno != errno.ENETDOWN:
            return error
        what = "went down"
        # One that is removed goes down first, and away some milliseconds later.
        end = time.monotonic() + 1.0
        while self.interface is not None and time.monotonic() < end:
            try:
                interface(self.interface, self._host)
            except UsageError:
                what = "was removed"
                break
            time.sleep(0.01)
        return InterfaceGone(f"{self.interface or 'an interface'} {what} while capturing")

    def read(self, timeout_s: float | None = None) -> list[Frame]:
        """The frames that are there, waiting for the first one at most ``timeout_s``; an empty list after that time.

        Raises:
            InterfaceGone: the interface went down or away, once every frame captured before was given.

        """
        try:
            return self._ring.frames(timeout_s)
        except OSError as error:
            raise self._gone(error) from error
        except ValueError:
            # Closed by another thread while this one waited.
            if self._closed:
                return []
            raise

    def __iter__(self) -> Iterator[Frame]:
        while not self._closed:
            yield from self.read()

    def __aiter__(self) -> AsyncIterator[Frame]:
        return _Frames(self)

    def columns(self, names: Iterable[str] | None = None, *, duration_s: float, rows: int | None = None) -> core.Table:
        """Frames of the next ``duration_s`` as Arrow columns, decoded where they lie in the kernel's buffer.

        Ends earlier when ``rows`` were seen. Frames that arrive between two calls wait in the buffer.

        Raises:
            InterfaceGone: the interface went down or away.

        """
        try:
            return self._ring.columns(_columns.checked(names), duration_s=duration_s, rows=rows)
        except OSError as error:
            raise self._gone(error) from error

    def save(self, writer: Writer, *, duration_s: float, limit: int | None = None) -> int:
        """Write the frames of the next ``duration_s`` to a capture file; their number. No Python runs per frame.

        Raises:
            InterfaceGone: the interface went down or away; the file holds what came before.
            OSError: writing failed (ENOSPC: the disk is full); the file holds what was written.

        """
        end = time.monotonic() + duration_s
        total = 0
        numbers: dict[int, int] = {}
        while (left := end - time.monotonic()) > 0 and (limit is None or total < limit):
            try:
                written, unknown, hardware_type = self._ring.write(
                    writer._core,
                    numbers,
                    duration_s=left,
                    limit=None if limit is None else limit - total,
                )
            except OSError as error:
                raise self._gone(error) from error
            total += written
            if unknown is None:
                break
            link_type = core.link_type_of_hardware(hardware_type)
            try:
                name = interface(unknown, self._host).name
            except (UsageError, OSError):
                name = f"index {unknown}"
            numbers[unknown] = writer.interface(
                1 if link_type is None else link_type, name=name, filter=self.filter or None
            )
        return total

    def statistics(self) -> Statistics:
        """Frames seen and lost since the capture was opened."""
        return Statistics(*self._ring.statistics())

    def close(self) -> None:
        """End the capture."""
        self._closed = True
        self._ring.close()

    def __enter__(self) -> Capture:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    async def __aenter__(self) -> Capture:
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Capture on {self.interface or 'every interface'}>"


class _Frames:
    """The frames of a capture for ``async for``; leaving the loop early leaves nothing behind."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._waiting: list[Frame] = []

    def __aiter__(self) -> _Frames:
        return self

    async def __anext__(self) -> Frame:
        import anyio

        while not self._waiting:
            if self._capture._closed:
                raise StopAsyncIteration
            if not self._capture._ring.is_ready():
                await anyio.wait_readable(self._capture.fileno())
            self._waiting = self._capture.read(0.0)[::-1]
        return self._waiting.pop()


def capture(
    interface: str | int | None = None,
    *,
    filter: str | None = None,
    host: HasSockets | None = None,
    direction: Direction = "both",
    promiscuous: bool = False,
    snap_length: int = 262_144,
    buffer_bytes: int = 16 << 20,
    latency_s: float = 0.02,
    fanout: tuple[int, FanoutKind] | None = None,
) -> Capture:
    """Start a capture.

    Args:
        interface: name or index; ``None`` or ``"any"`` for all interfaces of the host.
        filter: tcpdump's language; runs in the kernel before a frame is copied.
        host: whose interface; the caller's own without it.
        direction: ``both``, ``in``, ``out``, or ``raw`` (on loopback both copies of each frame).
        promiscuous: also frames to other hosts.
        snap_length: bytes kept of each frame.
        buffer_bytes: memory of the ring; frames that find it full are dropped and counted.
        latency_s: how long the kernel may keep frames to itself while its current block is not full.
        fanout: (group, kind): share the frames with other captures of the same group.

    Raises:
        NotPermitted: without CAP_NET_RAW.
        UsageError: no such interface, or a wrong filter.
        NotAvailable: libpcap is not installed and a filter was given.

    """
    return Capture(
        interface,
        filter=filter,
        host=host,
        direction=direction,
        promiscuous=promiscuous,
        snap_length=snap_length,
        buffer_bytes=buffer_bytes,
        latency_s=latency_s,
        fanout=fanout,
    )


def disk_full(error: OSError, path: str | os.PathLike[str]) -> str | None:
    """One line about a write that failed for want of room, or ``None`` when that is not the reason."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{os.fspath(path)}: {os.strerror(error.errno)}; what was written before stays readable"
    return None
