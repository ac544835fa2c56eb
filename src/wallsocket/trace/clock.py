"""How times of a recording are written: milliseconds since its beginning, or the time of day."""

from __future__ import annotations

import time
from typing import Final

from ..errors import UsageError
from .recording import Recording

__all__ = ["Clock"]

_SECOND_NS: Final = 1_000_000_000


class Clock:
    """Writes times of one recording, all in the same width.

    Args:
        recording: the one that they belong to.
        wall: the local time of day, as of the clock when the recording began.

    Attributes:
        head: what stands above a column of times.
        width: columns that a time takes, at least 9.

    Raises:
        UsageError: the time of day is not known.
    """

    def __init__(self, recording: Recording, *, wall: bool = False) -> None:
        self._started_ns: int | None = None
        if wall:
            self._started_ns = recording.meta_int("started_realtime_ns")
            if self._started_ns is None or not 0 <= self._started_ns < 1 << 62:
                raise UsageError(f"{recording.name}: does not say when it was made, so --wall-clock cannot")
            self.head = time.strftime("%Y-%m-%d %z", time.localtime(self._started_ns / _SECOND_NS))
            self.width = len("23:59:59.999999")
        else:
            self.head = "ms"
            self.width = max(9, len(f"{recording.ended_ns / 1_000_000:.3f}"))

    def text(self, at_ns: int, *, width: int | None = None) -> str:
        """A time, filled on its left to ``width`` columns."""
        width = self.width if width is None else width
        if self._started_ns is None:
            return f"{at_ns / 1_000_000:{width}.3f}"
        seconds, rest_ns = divmod(self._started_ns + at_ns, _SECOND_NS)
        try:
            day = time.strftime("%H:%M:%S", time.localtime(seconds))
        except (OverflowError, ValueError, OSError):
            return "unknown".rjust(width)  # no clock shows it: the recording was tampered with
        return f"{day}.{rest_ns // 1000:06}".rjust(width)
