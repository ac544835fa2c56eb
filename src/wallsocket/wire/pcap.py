"""Capture files: pcap and pcapng, plain, gzip or zstd, from a path or standard input."""

from __future__ import annotations

import contextlib
import os
import stat
import struct
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

from .._core import wire as core
from .._core.wire import Frame
from ..errors import UsageError
from . import columns as _columns
from . import filter as _filter
from .frame import link_type_of

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
        if self.path == "-":
            self._core = self._open(sys.stdin.fileno())
        else:
            with open(self.path, "rb", buffering=0) as file:
                self._core = self._open(file.fileno())
        self.format = self._core.format
        self.compression = self._core.compression
        self._filter: core.Filter | None = None
        if filter is not None:
            # The frames of a pcap file are of one kind, those of a pcapng file of any.
            one = self.interfaces[0]["link_type"] if self.format == "pcap" else None
            self._filter = _filter.for_frames(filter, one)

    def _open(self, descriptor: int) -> core.Reader:
        self._identity = _identity(descriptor)
        try:
            return core.Reader(descriptor)
        except ValueError as error:
            raise UsageError(f"{self.path}: {error}") from error
        except OSError as error:
            # The kernel speaks of a descriptor; people of a file.
            raise OSError(error.errno, error.strerror or str(error), self.path) from error

    @property
    def interfaces(self) -> list[dict[str, Any]]:
        """The interfaces found so far: link type, snap length, name, description, filter, ticks per second."""
        return self._core.interfaces

    @property
    def tail(self) -> Tail | None:
        """What was left at the end that holds no whole record; ``None`` for a file that is whole. Ask at the end."""
        found = self._core.tail
        return None if found is None else Tail(*found)

    def __iter__(self) -> Iterator[Frame]:
        while True:
            try:
                frame = self._core.next_frame(self._filter)
            except OSError as error:
                raise OSError(error.errno, error.strerror or str(error), self.path) from error
            if frame is not None:
                yield frame
            elif self._follow:
                time.sleep(0.1)
            else:
                return

    def lines(self, lines: core.Lines, limit: int | None = None) -> Iterator[tuple[str, int]]:
        """The frames as text, some lines at a time, and how many; much faster than a line for each :class:`Frame`."""
        while limit is None or limit > 0:
            try:
                found = self._core.lines(lines, self._filter, limit)
            except OSError as error:
                raise OSError(error.errno, error.strerror or str(error), self.path) from error
            if found is not None:
                limit = None if limit is None else limit - found[1]
                yield found
            elif self._follow:
                time.sleep(0.1)
            else:
                return

    def copy(self, target: str | os.PathLike[str], *, limit: int | None = None, file: IO[bytes] | None = None) -> int:
        """Copy the frames that match, ``limit`` at most, byte for byte with every other block of the file; their number.

        The copy has the format of the source; the ending of its name says how it is compressed. With ``file`` it is written
        there, and the target is only a name. :attr:`copied` is the
        number that was copied, also when an error or Ctrl-C ended it.

        Raises:
            UsageError: the target is the file that is read.
            OSError: reading or writing failed.

        """
        self.refuse(target)
        compression = _compression(os.fspath(target))[1]
        with _opened(os.fspath(target), file) as descriptor:
            return self._core.copy(descriptor, self._filter, limit=limit, compression=compression, follow=self._follow)

    @property
    def copied(self) -> int:
        """Frames that the last :meth:`copy` wrote."""
        return self._core.copied

    def refuse(self, target: str | os.PathLike[str]) -> None:
        """Refuse to write to the file that is read.

        Raises:
            UsageError: it is that file, by whatever name.

        """
        if self._identity is None or os.fspath(target) == "-":
            return
        try:
            found = os.stat(target)
        except OSError:
            return
        if (found.st_dev, found.st_ino) == self._identity:
            raise UsageError(f"{os.fspath(target)} is the file that is read: write to another one")

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
        rows in memory. ``workers`` threads decode; the order stays that of the file. The result may be read again and
        again; what comes through a pipe only once.

        Raises:
            UsageError: a name is no column; the text lists near ones.

        """
        return self._core.columns(
            _columns.checked(names), batch_rows=batch_rows, limit=limit, workers=workers, filter=self._filter
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


def _identity(descriptor: int) -> tuple[int, int] | None:
    """Device and inode of a regular file."""
    found = os.fstat(descriptor)
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None


def _compression(name: str) -> tuple[str, str]:
    """A file name without the ending of a compression, and that."""
    for ending, kind in ((".gz", "gzip"), (".zst", "zstd"), (".zstd", "zstd")):
        if name.endswith(ending):
            return name[: -len(ending)], kind
    return name, "none"


def format_of(path: str | os.PathLike[str]) -> Format:
    """The format that the ending of a path stands for."""
    return "pcap-ns" if _compression(os.fspath(path))[0].endswith((".pcap", ".cap", ".dmp")) else "pcapng"


class Writer:
    """A capture file that is being written. Use it as a context manager, or close it.

    The format and compression follow the ending of the path unless they are given: ``.pcapng`` (default), ``.pcap``,
    and ``.gz`` or ``.zst`` after it. A pcap file holds frames of one link type: ``link_type``, or that of the first one.
    With ``file``, which is open for writing, the path is only a name.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        file: IO[bytes] | None = None,
        format: Format | None = None,
        link_type: int | None = None,
        snap_length: int = 0,
        comment: str | None = None,
    ) -> None:
        self.path = os.fspath(path)
        compression = _compression(self.path)[1]
        self.format: Format = format_of(path) if format is None else format
        # The core keeps a copy of the descriptor.
        with _opened(self.path, file) as descriptor:
            self._core = core.Writer(
                descriptor,
                self.format,
                link_type=link_type,
                snap_length=snap_length,
                compression=compression,
                comment=comment,
            )
        self._link_type = link_type
        self._interfaces: dict[tuple[int, str | None], int] = {}
        self._count: int | None = None

    def __repr__(self) -> str:
        return f"<{self.format} file {self.path!r}, {self.count} frames written>"

    @property
    def count(self) -> int:
        """Frames written; also once the file is closed."""
        return self._core.count if self._count is None else self._count

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
        link_type: int | None = None,
        original_length: int | None = None,
    ) -> None:
        """Write a frame: one that was captured, a crafted packet, or anything that ``bytes()`` takes.

        A captured frame keeps its link type, time, comments and lengths, and stays without a time when it has none (in a
        pcap file, which knows no such frames, with the time 0). A packet has its own link type; other bytes are of
        ``link_type``, else of the file's, else Ethernet. Their time is now, unless it is given. ``original_length`` is that of
        a frame of which ``bytes`` are the beginning.

        Raises:
            UsageError: a pcap file cannot hold the link type or the time.

        """
        captured = frame if isinstance(frame, Frame) else None
        comments = [] if comment is None else [comment]
        if captured is not None:
            link_type = captured.link_type
            timestamp_ns = captured.timestamp_ns if timestamp_ns is None else timestamp_ns
            comments = captured.comments if comment is None else comments
            process_id = captured.process_id if process_id is None else process_id
        else:
            link_type = link_type_of(frame, self._link_type) if link_type is None else link_type
            timestamp_ns = time.time_ns() if timestamp_ns is None else timestamp_ns
        number = self.interface(link_type) if interface is None else interface
        try:
            self._core.frame(
                number,
                timestamp_ns,
                bytes(frame),
                original_length=captured.original_length
                if captured is not None and original_length is None
                else original_length,
                inbound=None if captured is None else captured.inbound,
                comments=comments,
                process_id=process_id,
            )
        except OSError as error:
            if error.errno is None:
                raise UsageError(f"{self.path}: {error}") from error
            raise

    def custom(self, enterprise: int, data: bytes) -> None:
        """Write a custom block that readers who do not know the Private Enterprise Number leave alone.

        Raises:
            UsageError: a pcap file holds none.

        """
        if self.format != "pcapng":
            raise UsageError("a pcap file holds no custom blocks; write pcapng")
        self._core.custom(enterprise, data)

    def tls_keys(self, log: bytes) -> None:
        """Write the keys of TLS sessions, as SSLKEYLOGFILE has them, before the frames that they open.

        A Decryption Secrets Block of type TLS Key Log (draft-ietf-opsawg-pcapng, 4.7).

        Raises:
            UsageError: a pcap file holds none.

        """
        if self.format != "pcapng":
            raise UsageError("a pcap file holds no keys; write pcapng")
        self._core.block(0x0A, struct.pack("=II", 0x544C534B, len(log)) + log + bytes(-len(log) % 4))

    def flush(self) -> None:
        """Hand what is written to the system, so that others can read it."""
        self._core.flush()

    def close(self) -> None:
        """Write what is pending and close the file."""
        if self._count is None:
            self._count = self._core.count
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
            writer.write(frame)
        return writer.count


def copy(source: str | os.PathLike[str], target: str | os.PathLike[str], *, filter: str | None = None) -> int:
    """Copy a capture file, byte for byte, with only the frames that match; every other block is kept. Their number.

    Raises:
        UsageError: the source is no capture file, or the target is the same file, or the filter is wrong.
        OSError: reading or writing failed.

    """
    with read(source, filter=filter) as reader:
        return reader.copy(target)


@contextlib.contextmanager
def _opened(path: str, file: IO[bytes] | None) -> Iterator[int]:
    """The descriptor of what is written to: the open file, standard output for ``-``, or the path."""
    if file is not None:
        yield file.fileno()
    elif path == "-":
        yield sys.stdout.fileno()
    else:
        with open(path, "wb", buffering=0) as owned:
            yield owned.fileno()
