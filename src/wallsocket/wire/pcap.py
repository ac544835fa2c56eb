"""Capture files: pcap and pcapng, plain, gzip or zstd, from a path or standard input."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from .._core import wire as core
from .._core.wire import Frame
from ..errors import UsageError
from . import columns as _columns
from . import filter as _filter

__all__ = ["Reader", "Tail", "Writer", "read", "write"]

Format = Literal["pcapng", "pcap", "pcap-ns"]


class Tail(NamedTuple):
    """The end of a file that holds no whole record."""

    unusable_bytes: int
    offset: int
    reason: str


class Reader:
    """A capture file that is read once, from its beginning to its end; iterate over its frames.

    Attributes:
        path: where it is; ``-`` for standard input.
        format: ``pcap`` or ``pcapng``.
        compression: ``none``, ``gzip`` or ``zstd``.
    """

    def __init__(self, path: str | os.PathLike[str], *, filter: str | None = None, follow: bool = False) -> None:
        self.path = os.fspath(path)
        self._follow = follow
        self._filter_text = filter
        self._programs: dict[int, _filter.Program] = {}
        if self.path == "-":
            self._core = self._open(sys.stdin.fileno())
        else:
            with open(self.path, "rb", buffering=0) as file:
                self._core = self._open(file.fileno())
        self.format = self._core.format
        self.compression = self._core.compression
        if filter is not None:
            # Said now, not at the first frame.
            _filter.compile_filter(filter, self.interfaces[0]["link_type"] if self.interfaces else 1)

    def _open(self, descriptor: int) -> core.Reader:
        try:
            return core.Reader(descriptor)
        except ValueError as error:
            raise UsageError(f"{self.path}: {error}") from error

    @property
    def interfaces(self) -> list[dict[str, Any]]:
        """The interfaces found so far: link type, snap length, name, description, filter, ticks per second."""
        return self._core.interfaces

    @property
    def tail(self) -> Tail | None:
        """What was left at the end that holds no whole record; ``None`` for a file that is whole. Ask at the end."""
        found = self._core.tail
        return None if found is None else Tail(*found)

    def _matches(self, frame: Frame) -> bool:
        if self._filter_text is None:
            return True
        program = self._programs.get(frame.link_type)
        if program is None:
            program = self._programs[frame.link_type] = _filter.compile_filter(self._filter_text, frame.link_type)
        return core.filter_matches(program, frame.bytes)

    def __iter__(self) -> Iterator[Frame]:
        while True:
            frame = self._core.next_frame()
            if frame is None:
                if not self._follow:
                    return
                time.sleep(0.1)
            elif self._matches(frame):
                yield frame

    def columns(
        self,
        names: Iterable[str] | None = None,
        *,
        batch_rows: int = 65536,
        limit: int | None = None,
        workers: int = 1,
    ) -> core.ColumnStream:
        """The rest of the file as Arrow columns, decoded as they are taken; this reader is used up by it.

        Hand the result to anything that reads the Arrow PyCapsule stream: ``polars.DataFrame(…)``,
        ``pyarrow.table(…)``, ``duckdb``, ``pandas``; or iterate for one batch at a time, at most about ``batch_rows``
        rows in memory. ``workers`` threads decode; the order stays that of the file.

        Raises:
            UsageError: a name is no column; the text lists near ones.

        """
        program = None
        if self._filter_text is not None:
            link_types = {interface["link_type"] for interface in self.interfaces}
            program = _filter.compile_filter(self._filter_text, next(iter(link_types)) if len(link_types) == 1 else 1)
        return self._core.columns(
            _columns.checked(names), batch_rows=batch_rows, limit=limit, workers=workers, filter=program
        )

    def close(self) -> None:
        """Close the file."""
        self._core.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<capture file {self.path!r}>"


def read(path: str | os.PathLike[str], *, filter: str | None = None, follow: bool = False) -> Reader:
    """Open a capture file; ``-`` is standard input.

    Args:
        path: pcap or pcapng, also gzip or zstd: what it is is seen in its first bytes.
        filter: tcpdump's language; other frames are left out.
        follow: wait for more at the end of a file that is still being written.

    Raises:
        UsageError: it is no capture file, or the filter is wrong.
        OSError: it cannot be opened or read.

    """
    return Reader(path, filter=filter, follow=follow)


class Writer:
    """A capture file that is being written. Use it as a context manager, or close it.

    The format and compression follow the ending of the path unless they are given: ``.pcapng`` (default), ``.pcap``,
    and ``.gz`` or ``.zst`` after it.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        format: Format | None = None,
        link_type: int = 1,
        snap_length: int = 0,
        comment: str | None = None,
    ) -> None:
        self.path = os.fspath(path)
        name = self.path
        compression = "none"
        for ending, kind in ((".gz", "gzip"), (".zst", "zstd"), (".zstd", "zstd")):
            if name.endswith(ending):
                name, compression = name[: -len(ending)], kind
                break
        if format is None:
            format = "pcap-ns" if name.endswith((".pcap", ".cap", ".dmp")) else "pcapng"  # noqa: A001
        self.format: Format = format
        if self.path == "-":
            descriptor, owned = sys.stdout.fileno(), None
        else:
            owned = open(self.path, "wb", buffering=0)  # noqa: SIM115  closed below, the core keeps its own copy
            descriptor = owned.fileno()
        try:
            self._core = core.Writer(
                descriptor,
                format,
                link_type=link_type,
                snap_length=snap_length,
                compression=compression,
                comment=comment,
            )
        finally:
            if owned is not None:
                owned.close()
        self._interfaces: dict[tuple[int, str | None], int] = {}

    @property
    def count(self) -> int:
        """Frames written."""
        return self._core.count

    def interface(
        self,
        link_type: int = 1,
        *,
        name: str | None = None,
        description: str | None = None,
        filter: str | None = None,
        snap_length: int = 0,
    ) -> int:
        """Describe an interface; its number in the file."""
        key = (link_type, name)
        if key not in self._interfaces:
            try:
                self._interfaces[key] = self._core.interface(
                    link_type, name=name, description=description, filter=filter, snap_length=snap_length
                )
            except OSError as error:
                if error.errno is None:
                    raise UsageError(f"{self.path}: {error}") from error
                raise
        return self._interfaces[key]

    def write(
        self,
        frame: Any,
        *,
        timestamp_ns: int | None = None,
        comment: str | None = None,
        process_id: int | None = None,
        interface: int | None = None,
        link_type: int = 1,
    ) -> None:
        """Write a frame: one that was captured, or anything that ``bytes()`` takes.

        A captured frame keeps its time, comments and lengths. Without a time it is now.
        """
        captured = frame if isinstance(frame, Frame) else None
        if captured is not None:
            link_type = captured.link_type
            timestamp_ns = captured.timestamp_ns if timestamp_ns is None else timestamp_ns
            comment = "\n".join(captured.comments) or None if comment is None else comment
            process_id = captured.process_id if process_id is None else process_id
        number = self.interface(link_type) if interface is None else interface
        self._core.frame(
            number,
            time.time_ns() if timestamp_ns is None else timestamp_ns,
            bytes(frame),
            original_length=None if captured is None else captured.original_length,
            inbound=None if captured is None else captured.inbound,
            comment=comment,
            process_id=process_id,
        )

    def custom(self, enterprise: int, data: bytes) -> None:
        """Write a custom block that readers who do not know the Private Enterprise Number leave alone.

        Raises:
            UsageError: a pcap file holds none.

        """
        if self.format != "pcapng":
            raise UsageError("a pcap file holds no custom blocks; write pcapng")
        self._core.custom(enterprise, data)

    def flush(self) -> None:
        """Hand what is written to the system, so that others can read it."""
        self._core.flush()

    def close(self) -> None:
        """Write what is pending and close the file."""
        self._core.close()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def write(path: str | os.PathLike[str], frames: Iterable[Any], **options: Any) -> int:
    """Write frames to a capture file; their number. Options as of :class:`Writer`.

    Raises:
        OSError: it cannot be written.

    """
    with Writer(Path(path), **options) as writer:
        for frame in frames:
            writer.write(frame, link_type=options.get("link_type", 1))
        return writer.count


def copy(source: str | os.PathLike[str], target: str | os.PathLike[str], *, filter: str | None = None) -> int:
    """Copy a capture file, byte for byte, with only the frames that match; every other block is kept. Their number.

    Raises:
        UsageError: the source is no capture file, or the filter is wrong.
        OSError: reading or writing failed.

    """
    with read(source) as reader, open(target, "wb", buffering=0) as output:
        program = None
        if filter is not None:
            program = _filter.compile_filter(filter, reader.interfaces[0]["link_type"] if reader.interfaces else 1)
        return reader._core.copy(output.fileno(), program)
