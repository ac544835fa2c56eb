"""Many capture files at once: decoded to Parquet, or summed up by flow, on any ``concurrent.futures.Executor``.

The unit of work is one file. Tasks carry a path and come back with small results; columns go straight to disk from the
worker that made them. With threads the work is done outside Python's lock; with ``dask.distributed``,
``Client.get_executor()`` spreads it over machines that share the files.
"""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import NotAvailable, UsageError, WallsocketError
from . import columns as _columns

if TYPE_CHECKING:
    from .._core.wire import Frame

__all__ = ["FLOW_COLUMNS", "Collection", "Decoded", "Flow", "collection"]


class Decoded(NamedTuple):
    """One file that was decoded.

    Attributes:
        path: the capture file.
        output: the Parquet file; ``None`` when there is none because of an error.
        rows: frames.
        unusable_bytes: bytes at the end that held no whole frame.
        error: why it could not be read, or why its end could not.
    """

    path: str
    output: str | None
    rows: int
    unusable_bytes: int
    error: str | None


class Flow(NamedTuple):
    """Packets between two ends of a protocol, both directions. End A is the one seen first."""

    path: str
    protocol: int
    address_a: str
    port_a: int | None
    address_b: str
    port_b: int | None
    started_ns: int | None
    ended_ns: int | None
    packets_a_to_b: int
    packets_b_to_a: int
    bytes_a_to_b: int
    bytes_b_to_a: int
    #: Seconds from SYN to the first acknowledgement of the SYN+ACK; ``None`` when not captured.
    round_trip_s: float | None
    #: Segments that held bytes seen before.
    retransmissions: int
    resets: int


#: Names of the columns of a flow summary.
FLOW_COLUMNS = Flow._fields


def _parquet() -> Any:
    try:
        import pyarrow.parquet  # type: ignore[import-untyped,unused-ignore]
    except ImportError as error:
        raise NotAvailable("Parquet needs pyarrow: pip install 'wallsocket[parquet]'") from error
    return pyarrow.parquet


def _output_name(path: str) -> str:
    """A name for the Parquet file that no two inputs share, whatever folders they are in."""
    digest = hashlib.sha256(os.path.abspath(path).encode()).hexdigest()[:8]
    return f"{Path(path).name}.{digest}.parquet"


def decode_file(path: str, names: Sequence[str], folder: str, filter: str | None) -> Decoded:
    """Decode one file to Parquet; the task of a worker. A file that is no capture is a result, not an exception.

    The Parquet file appears under its name when it is whole, so a worker that dies leaves nothing that looks finished,
    and doing a task twice is harmless.
    """
    import pyarrow as pa  # type: ignore[import-untyped,unused-ignore]

    from .pcap import read

    parquet = _parquet()
    target = os.path.join(folder, _output_name(path))
    unfinished = f"{target}.{os.getpid()}.unfinished"
    rows = 0
    try:
        with read(path, filter=filter) as reader:
            stream = reader.columns(names)
            batches = pa.RecordBatchReader.from_stream(stream)
            try:
                with parquet.ParquetWriter(unfinished, batches.schema, compression="zstd") as writer:
                    for batch in batches:
                        writer.write_batch(batch)
                        rows += batch.num_rows
                os.replace(unfinished, target)
            except BaseException:
                Path(unfinished).unlink(missing_ok=True)
                raise
            tail = stream.tail
    except (WallsocketError, OSError) as error:
        return Decoded(path, None, 0, 0, str(error))
    return Decoded(path, target, rows, 0 if tail is None else tail[0], None if tail is None else tail[2])


class _FlowState:
    __slots__ = (
        "a",
        "b",
        "ended",
        "highest",
        "packets",
        "resets",
        "retransmissions",
        "round_trip",
        "sizes",
        "started",
        "syn",
    )

    def __init__(self, a: tuple[str, int | None], b: tuple[str, int | None]) -> None:
        self.a, self.b = a, b
        self.started: int | None = None
        self.ended: int | None = None
        self.packets = [0, 0]
        self.sizes = [0, 0]
        self.syn: tuple[int, int] | None = None
        self.round_trip: float | None = None
        self.highest: list[int | None] = [None, None]
        self.retransmissions = 0
        self.resets = 0

    def take(self, frame: Frame, direction: int) -> None:
        now = frame.timestamp_ns
        if now is not None:
            self.started = now if self.started is None else min(self.started, now)
            self.ended = now if self.ended is None else max(self.ended, now)
        self.packets[direction] += 1
        self.sizes[direction] += frame.original_length
        tcp = frame.tcp
        if tcp is None or tcp.present < 20:
            return
        self.resets += bool(tcp.flags & 0x04)
        if tcp.flags & 0x02 and not tcp.flags & 0x10 and now is not None:
            self.syn = (direction, now)
        elif self.syn is not None and self.syn[0] == direction and tcp.flags & 0x10 and self.round_trip is None:
            self.round_trip = None if now is None else (now - self.syn[1]) / 1e9
        length = len(frame.payload)
        if not length:
            return
        highest = self.highest[direction]
        end = (tcp.sequence_number + length) & 0xFFFFFFFF
        if highest is not None and (tcp.sequence_number - highest) & 0xFFFFFFFF >= 1 << 31:
            self.retransmissions += 1
        if highest is None or (end - highest) & 0xFFFFFFFF < 1 << 31:
            self.highest[direction] = end


def flows_of_file(path: str, filter: str | None) -> tuple[list[Flow], Decoded]:
    """The flows of one file; the task of a worker."""
    from .pcap import read

    found: dict[Any, _FlowState] = {}
    rows = 0
    try:
        with read(path, filter=filter) as reader:
            for frame in reader:
                rows += 1
                ip = frame.ip
                if ip is None:
                    continue
                ports: tuple[int | None, int | None] = (None, None)
                if frame.tcp is not None:
                    ports = (frame.tcp.source_port, frame.tcp.destination_port)
                elif frame.udp is not None:
                    ports = (frame.udp.source_port, frame.udp.destination_port)
                a, b = (ip.source, ports[0]), (ip.destination, ports[1])
                state = found.get((ip.protocol, a, b))
                direction = 0
                if state is None:
                    state = found.get((ip.protocol, b, a))
                    direction = 1
                if state is None:
                    state = found[ip.protocol, a, b] = _FlowState(a, b)
                    direction = 0
                state.take(frame, direction)
            tail = reader.tail
    except (WallsocketError, OSError) as error:
        return [], Decoded(path, None, 0, 0, str(error))
    flows = [
        Flow(
            path,
            key[0],
            state.a[0],
            state.a[1],
            state.b[0],
            state.b[1],
            state.started,
            state.ended,
            state.packets[0],
            state.packets[1],
            state.sizes[0],
            state.sizes[1],
            state.round_trip,
            state.retransmissions,
            state.resets,
        )
        for key, state in found.items()
    ]
    return flows, Decoded(
        path, None, rows, 0 if tail is None else tail.unusable_bytes, None if tail is None else tail.reason
    )


class Collection:
    """Capture files that are worked on together.

    Attributes:
        paths: the files, sorted.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self.paths = sorted(set(paths))

    def __len__(self) -> int:
        return len(self.paths)

    def _run(self, executor: Executor | None, task: Any, *arguments: Any) -> list[Any]:
        """Results in the order of the paths."""
        if executor is None:
            with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
                return self._run(threads, task, *arguments)
        futures: dict[Future[Any], int] = {
            executor.submit(task, path, *arguments): number for number, path in enumerate(self.paths)
        }
        results: list[Any] = [None] * len(self.paths)
        for future in as_completed(futures):
            results[futures[future]] = future.result()
        return results

    def decode(
        self,
        folder: str | os.PathLike[str],
        *,
        columns: Iterable[str] | None = None,
        filter: str | None = None,
        executor: Executor | None = None,
    ) -> list[Decoded]:
        """Decode every file to a Parquet file of its own in ``folder``.

        A file that cannot be read is a result with ``error`` and stops nothing.

        Args:
            folder: made if it does not exist; on several machines it must be shared.
            columns: names of :data:`wallsocket.wire.columns.COLUMNS`.
            filter: only frames that match, in tcpdump's language.
            executor: who does the work; threads on this machine without one.

        Raises:
            NotAvailable: pyarrow is not installed.
            UsageError: a name is no column.

        """
        names = _columns.checked(columns)
        _parquet()
        os.makedirs(folder, exist_ok=True)
        return self._run(executor, decode_file, names, os.fspath(folder), filter)

    def flows(self, *, filter: str | None = None, executor: Executor | None = None) -> tuple[list[Flow], list[Decoded]]:
        """The flows of every file, in the order of the files, and what was read."""
        results = self._run(executor, flows_of_file, filter)
        return [flow for flows, _ in results for flow in flows], [report for _, report in results]

    def write_flows(
        self,
        path: str | os.PathLike[str],
        *,
        filter: str | None = None,
        executor: Executor | None = None,
    ) -> list[Decoded]:
        """Write the flow summary of every file to one Parquet file.

        Raises:
            NotAvailable: pyarrow is not installed.

        """
        parquet = _parquet()
        import pyarrow as pa

        flows, reports = self.flows(filter=filter, executor=executor)
        kinds = {
            str: pa.string(),
            int: pa.int64(),
            float: pa.float64(),
        }
        types = [
            kinds[str],
            kinds[int],
            *[kinds[str], kinds[int]] * 2,
            *[kinds[int]] * 6,
            kinds[float],
            *[kinds[int]] * 2,
        ]
        schema = pa.schema(list(zip(FLOW_COLUMNS, types, strict=True)))
        rows = [flow._asdict() for flow in flows]
        parquet.write_table(pa.Table.from_pylist(rows, schema=schema), os.fspath(path), compression="zstd")
        return reports


def collection(*patterns: str | os.PathLike[str]) -> Collection:
    """Capture files by path or pattern; ``**`` goes through folders.

    Raises:
        UsageError: nothing matches.

    """
    paths = [
        path
        for pattern in patterns
        for path in (glob.glob(os.fspath(pattern), recursive=True) or [])
        if os.path.isfile(path)
    ]
    if not paths:
        raise UsageError(f"no file matches {' '.join(map(str, patterns))}")
    return Collection(paths)
