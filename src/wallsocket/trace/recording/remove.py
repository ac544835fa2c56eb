"""An older recording makes room for a new one."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ...errors import RecordingError
from ...files import in_the_way
from .file import companions, is_being_written, journal
from .reader import Recording

__all__ = ["remove_recording"]


def remove_recording(path: Path) -> None:
    """Remove an older recording of ours that nobody writes, or an empty file; anything else is refused."""
    try:
        found = path.lstat()
    except OSError:
        return  # creating says what is wrong
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
        raise RecordingError(f"{path}: {in_the_way(path)}")
    if is_being_written(path):
        raise RecordingError(f"{path}: another trace is writing it")
    if found.st_size:
        with Recording.open(path):
            pass
    try:
        for name in (*companions(path), journal(path), path):
            name.unlink(missing_ok=True)
    except OSError as error:
        raise RecordingError(f"{path}: cannot be replaced: {error.strerror}") from error
