"""Files from other machines as recordings: captures (pcap, pcapng) and logs of strace, one or both together.

A capture has the wire layer alone, a log the calls alone; what is missing is missing with a reason, so that no rule claims
anything of it. The recording is an ordinary one: where no place is given for it, a private file that goes with it.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

from ... import __version__
from ...errors import RecordingError
from ...events import Call, Descriptor, Fact, Mark, Packet, Process, Socket
from ..recording import Recording, Writer
from . import strace
from .capture import Capture
from .program import MACHINE, Interpreter

__all__ = ["Imported", "Kind", "kind_of", "open_files", "write"]

Kind = Literal["recording", "capture", "log"]

_SQLITE: Final = b"SQLite format 3\0"
#: First bytes of capture files: pcap in either order, in microseconds and nanoseconds; pcapng; zstd.
_CAPTURES: Final = tuple(
    bytes.fromhex(magic)
    for magic in ("a1b2c3d4", "d4c3b2a1", "a1b23c4d", "4d3cb2a1", "a1b2cd34", "34cdb2a1", "0a0d0d0a", "28b52ffd")
)
_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = bytes.fromhex("28b52ffd")
#: What people have logs in that is not read: first bytes, and what to say.
_FOREIGN: Final = {
    b"\xfd7zXZ\0": "is packed with xz; unpack it first",
    b"BZh": "is packed with bzip2; unpack it first",
    b"PK\x03\x04": "is a zip archive; unpack it first",
    b"\xff\xfe": "is text in UTF-16; save it in UTF-8",
    b"\xfe\xff": "is text in UTF-16; save it in UTF-8",
}

_NO_CALLS: Final = "a capture holds no calls"
_NO_KERNEL: Final = "a capture holds nothing of the kernel's"
_NO_WIRE: Final = "a strace log holds no packets"
_NO_LINES: Final = "strace does not say which line made a call"
_ROWS: Final = 512
_COLUMNS: Final = {
    kind.__name__.lower(): len(kind.__struct_fields__)
    for kind in (Call, Descriptor, Fact, Mark, Packet, Process, Socket)
}


def kind_of(path: Path) -> Kind | None:
    """What a file is, by its content; ``None``: none of these, or it cannot be read."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            head = file.read(16)
    except OSError:
        return None
    if head == _SQLITE:
        return "recording"
    if head[:4] in _CAPTURES:
        return "capture"
    if head[:2] == _GZIP:
        try:
            with strace.opened(path) as unpacked:
                head = unpacked.read(16)
        except (OSError, EOFError):
            return None
        if head[:4] in _CAPTURES:
            return "capture"
    if not head or not any(head):
        return None
    try:
        return "log" if strace.begins_log(path) else None
    except RecordingError:
        return None


class Imported(Recording):
    """A recording that was made of other files for as long as it is open."""

    _folder: Path | None = None

    def close(self) -> None:
        """Let go of the file, and remove it."""
        super().close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def open_files(paths: Sequence[Path]) -> Recording:
    """Open files as one recording: a recording itself, or captures and logs, which become a temporary one (mode 0600).

    Raises:
        RecordingError: one of them is none of these, or lacks what is needed; one line says what.
    """
    kinds = [kind_of(path) for path in paths]
    if len(paths) == 1 and kinds[0] in ("recording", None):
        known = kinds[0] is not None or not (_is_text(paths[0]) or _foreign(paths[0]))
        return Recording.open(paths[0]) if known else _refuse(paths[0])
    folder = Path(tempfile.mkdtemp(prefix="wallsocket-"))
    try:
        target = folder / f"{_name(paths)}.wsrec"
        write(paths, target)
        recording = Imported.open(target)
        recording._folder = folder
        # What was given is what errors and views speak of.
        recording.name = " and ".join(map(str, paths))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return recording


def write(paths: Sequence[Path], target: Path, *, replace: bool = False) -> None:
    """Make a recording of captures and logs. The same files give the same recording.

    Args:
        paths: at most one capture; logs of one run, several if they are those of ``strace -ff``.
        target: where it is made; nothing may stand there, with ``replace`` a recording of the caller's.

    Raises:
        RecordingError: a file is neither, lacks what is needed, or ``target`` cannot be written.
    """
    captures: list[Path] = []
    logs: list[Path] = []
    for path in paths:
        match kind_of(path):
            case "capture":
                captures.append(path)
            case "log":
                logs.append(path)
            case "recording":
                raise RecordingError(f"{path}: is a recording already; give it alone")
            case None:
                _refuse(path)
    if len(captures) > 1:
        raise RecordingError(f"{captures[1]}: only one capture can be read; join several with mergecap(1)")
    meta = {
        "version": str(__version__),
        "machine": MACHINE,
        "started_monotonic_ns": "0",
        "imported": json.dumps([path.name for path in (*captures, *logs)]),
        "lines": _NO_LINES,
    }
    writer = Writer(target, meta=meta, replace=replace)
    sheet = _Sheet(writer)
    try:
        if captures and logs:
            from .join import join

            ended = join(captures[0], logs, sheet)
        elif captures:
            ended = _capture(captures[0], sheet)
        else:
            ended = _log(logs, sheet)
        sheet.flush()
        writer.finish(ended)
    except BaseException:
        writer.finish({"failure": "the import failed"})
        target.unlink(missing_ok=True)
        raise


class _Sheet:
    """Gathers rows and writes them in batches."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._rows: dict[str, list[tuple[Any, ...]]] = {}
        self._since = 0

    def add(self, table: str, *columns: Any) -> None:
        """A row; the last columns may be left out."""
        missing = _COLUMNS[table] - len(columns)
        if missing:
            columns += (0 if table == "call" and missing == 1 else None,) * missing
        rows = self._rows.setdefault(table, [])
        rows.append(columns)
        if len(rows) >= _ROWS:
            self._writer.write(table, rows)
            rows.clear()
            self._since += 1
            if self._since >= 64:
                # What is not committed stands in memory.
                self._since = 0
                self._writer.commit()

    def flush(self) -> None:
        """Write what is gathered."""
        for table, rows in self._rows.items():
            self._writer.write(table, rows)
            rows.clear()


def _capture(path: Path, sheet: _Sheet) -> dict[str, str]:
    try:
        capture = Capture(path)
    except RecordingError as error:
        with path.open("rb") as file:
            if file.read(4) != _ZSTD:
                raise
        raise RecordingError(f"{error}; a log has to be unpacked, or packed with gzip") from error
    try:
        capture.write(sheet)
        return capture.meta() | {"calls": _NO_CALLS, "kernel": _NO_KERNEL, "lines": _NO_CALLS}
    finally:
        capture.close()


def _log(paths: Sequence[Path], sheet: _Sheet) -> dict[str, str]:
    log = strace.Log(paths)
    survey = strace.survey(log)
    origin_ns = next(iter(log)).at_ns
    program = Interpreter(survey, sheet, origin_ns)
    for entry in log:
        program.take(entry)
    program.finish()
    meta = program.meta() | {"wire": _NO_WIRE}
    if survey.clock == "date":
        meta["started_realtime_ns"] = str(origin_ns)
    return meta


def _is_text(path: Path) -> bool:
    """Whether a file that is no recording could be meant as a log: then that is what has to be said of it."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError:
        return False
    return bool(head) and b"\0" not in head


def _foreign(path: Path) -> str | None:
    """What a file is that people have logs in, and that is not read."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            head = file.read(8)
    except OSError:
        return None
    return next((what for begin, what in _FOREIGN.items() if head.startswith(begin)), None)


def _refuse(path: Path) -> Recording:
    if not path.exists():
        raise RecordingError(f"{path}: no such file")
    if path.is_dir():
        raise RecordingError(f"{path}: is a directory")
    if not os.access(path, os.R_OK):
        raise RecordingError(f"{path}: no permission to read it")
    if (foreign := _foreign(path)) is not None:
        raise RecordingError(f"{path}: {foreign}")
    if strace.is_summary(path):
        raise RecordingError(f"{path}: holds counts alone (strace -c); record calls with: {strace.COMMAND}")
    raise RecordingError(f"{path}: is not a recording, a capture (pcap, pcapng) or a log of strace")


def _name(paths: Sequence[Path]) -> str:
    """A name for the recording that says what it was made of."""
    return (paths[0].name.lstrip(".") or "imported")[:100]
