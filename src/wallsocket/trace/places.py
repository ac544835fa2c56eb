"""Where recordings are kept: the state folder of the XDG base directory specification, private to the user."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from ..errors import RecordingError

__all__ = [
    "KEPT_BYTES",
    "KEPT_RECORDINGS",
    "SUFFIX",
    "Pruned",
    "find",
    "folder",
    "folder_path",
    "new_paths",
    "newest",
    "prune",
    "prune_telling_once",
    "recordings",
    "size_of",
]

SUFFIX: Final = ".wsrec"
#: Recordings that stay when old ones are removed: a day's work of traces, without filling a home folder.
KEPT_RECORDINGS: Final = 20
KEPT_BYTES: Final = 2_000_000_000
#: Stands in the folder when the user has been told that old recordings are removed.
_TOLD: Final = "pruning-was-told"


class Pruned(NamedTuple):
    """A recording that was removed; tell the user."""

    path: Path
    size_bytes: int


def folder_path() -> Path:
    """Where the state folder is, or will be."""
    base = os.environ.get("XDG_STATE_HOME", "")
    # "All paths set in these environment variables must be absolute", else they are ignored (the specification).
    parent = Path(base) if base.startswith("/") else Path.home() / ".local" / "state"
    return parent / "wallsocket"


def folder() -> Path:
    """The state folder, made with mode 0700 where it was missing.

    Raises:
        RecordingError: it cannot be made, or belongs to somebody else.
    """
    place = folder_path()
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = place.stat()
    except OSError as error:
        raise RecordingError(f"{place}: cannot be made: {error.strerror}; choose a file with -o") from error
    if found.st_uid != os.geteuid():
        raise RecordingError(f"{place}: belongs to another user; choose a file with -o")
    if stat.S_IMODE(found.st_mode) & 0o077:
        place.chmod(0o700)
    return place


def new_paths(command: str = "") -> Iterator[Path]:
    """Free names for a recording of ``command`` (its first word), for example ``nginx-20260131-154500.wsrec``.

    Another trace may take a name before it is used, so that there is always a next one.
    """
    word = re.sub(r"[^A-Za-z0-9._+-]+", "-", os.path.basename(command)).strip("-.")[:40] or "trace"
    stem = f"{word}-{time.strftime('%Y%m%d-%H%M%S')}"
    place = folder()
    for number in itertools.count(1):
        path = place / (f"{stem}{SUFFIX}" if number == 1 else f"{stem}-{number}{SUFFIX}")
        if not os.path.lexists(path):
            yield path


def recordings() -> list[Path]:
    """The recordings in the state folder, newest first."""
    return [path for _, path in sorted(_dated(), reverse=True)]


def newest() -> Path:
    """The newest recording in the state folder.

    Raises:
        RecordingError: there is none.
    """
    found = recordings()
    if not found:
        raise RecordingError(f"no recording in {folder()}; make one: wallsocket trace -- COMMAND")
    return found[0]


def find(name: str | os.PathLike[str]) -> Path:
    """The recording at a path; of a word that is none, the one in the state folder whose name begins with it.

    Raises:
        RecordingError: several begin with it, or none does.
    """
    path, word = Path(name), os.fspath(name)
    if "/" in word or os.path.lexists(path):
        return path
    exact = folder() / word
    for there in (exact, exact.with_name(word + SUFFIX)):
        if there.is_file():
            return there
    near = [one for one in recordings() if one.name.startswith(word)]
    if len(near) > 1:
        shown = ", ".join(one.name.removesuffix(SUFFIX) for one in near[:4]) + (", …" if len(near) > 4 else "")
        raise RecordingError(f"{word}: several recordings begin so: {shown}")
    if not near:
        raise RecordingError(f"{word}: no such file, and no recording begins so: wallsocket recordings lists them")
    return near[0]


def size_of(path: Path) -> int:
    """Bytes of a recording with its log."""
    return sum(map(_size, _files(path)))


def _files(path: Path) -> list[Path]:
    return [path, *(path.with_name(path.name + ending) for ending in ("-wal", "-shm"))]


def prune(*, kept: int | None = None) -> list[Pruned]:
    """Remove recordings beyond the newest 20, or beyond 2 GB together; one that is being written always stays.

    With ``kept`` so many of the newest stay, whatever their size.
    """
    from .recording import is_being_written  # with SQLite; who asks where something is needs none of it

    removed: list[Pruned] = []
    total = 0
    for number, path in enumerate(recordings(), 1):
        size = size_of(path)
        total += size
        if kept is not None:
            stays = number <= kept
        else:
            # The newest stays whatever its size: it is what the user is about to look at.
            stays = number == 1 or (number <= KEPT_RECORDINGS and total <= KEPT_BYTES)
        if stays or is_being_written(path):
            continue
        for file in _files(path):
            file.unlink(missing_ok=True)
        total -= size
        removed.append(Pruned(path, size))
    return removed


def prune_telling_once(say: Callable[[str], object] | None) -> None:
    """Prune, and say the first time that it happens here that it does; with ``None`` that stays to be said."""
    removed = prune()
    told = folder() / _TOLD
    if not removed or say is None or told.exists():
        return
    megabytes = sum(each.size_bytes for each in removed) / 1e6
    what = (
        f"{len(removed)} old recordings were" if len(removed) > 1 else f"the old recording {removed[0].path.name} was"
    )
    say(
        f"{what} removed ({megabytes:.1f} MB): {folder()} keeps the newest {KEPT_RECORDINGS}, at most "
        f"{KEPT_BYTES / 1e9:.0f} GB; -o FILE keeps one elsewhere (this is said once)"
    )
    with contextlib.suppress(OSError):
        told.touch(mode=0o600)


def _dated() -> Iterator[tuple[int, Path]]:
    for path in folder().iterdir():
        if path.name.endswith(SUFFIX):
            try:
                found = path.lstat()
            except FileNotFoundError:
                continue
            if stat.S_ISREG(found.st_mode):
                changed_ns = found.st_mtime_ns
                with contextlib.suppress(FileNotFoundError):
                    changed_ns = max(changed_ns, path.with_name(path.name + "-wal").stat().st_mtime_ns)
                yield changed_ns, path


def _size(file: Path) -> int:
    """Its bytes; none when it is gone, as another trace may remove it too."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0
