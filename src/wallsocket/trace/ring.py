"""The flight recorder: a recording that keeps its youngest part only, and is frozen when something happens.

What is older than the span, or more than the size, is dropped from the old end while it is recorded. What a frozen copy
says of the time before is what attaching says: sockets that were open have the origin ``attached``, and their bytes no
offsets. What set up sockets that live (bind, listen, options, epoll_ctl …) is kept whatever its age.
"""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from ..errors import RecordingError, UsageError
from ..events import Call, Mark, Process
from .places import SUFFIX
from .recording import Writer, freeze_window

__all__ = ["Bounds", "Ring"]

#: Events that freeze: an error by its name beside them.
TRIGGERS: Final = ("finding", "signal", "exit")
#: How long after the event the copy is made: what follows belongs to it.
_AFTER_S: Final = 1.0
#: Copies are made at most so often, and so many: the disk is bounded too.
_APART_S: Final = 10.0
_MOST_COPIES: Final = 20
#: How often the old end is cut.
_CUT_EVERY_S: Final = 1.0
_UNITS: Final = {"kB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_SPANS_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}

_ENTRY: Final = Call.__struct_fields__.index("entry_ns")
_RESULT: Final = Call.__struct_fields__.index("result")
_KIND: Final = Mark.__struct_fields__.index("kind")
_EXIT: Final = Process.__struct_fields__.index("exit_code")
_SIGNAL: Final = Process.__struct_fields__.index("signal")


class Bounds(NamedTuple):
    """What a ring keeps at most."""

    span_s: float | None = None
    size_bytes: int | None = None

    @classmethod
    def parse(cls, words: Sequence[str]) -> Bounds:
        """``60s``, ``200MB``, or both.

        Raises:
            UsageError: a word is neither.
        """
        span_s: float | None = None
        size_bytes: int | None = None
        for word in words:
            found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)", word.strip())
            if found is not None and (span_s if found[2] in _SPANS_S else size_bytes) is not None:
                raise UsageError(f"--ring {word}: a time and a size may be given, one of each")
            if found is not None and found[2] in _SPANS_S and 0 < float(found[1]) < 1e9:
                span_s = float(found[1]) * _SPANS_S[found[2]]
            elif found is not None and found[2] in _UNITS and float(found[1]) * _UNITS[found[2]] >= 1_000_000:
                size_bytes = round(float(found[1]) * _UNITS[found[2]])
            else:
                raise UsageError(f"--ring {word}: write a time (60s, 5m) or a size of at least 1MB (200MB, 1GB)")
        return cls(span_s, size_bytes)


class Ring:
    """Bounds a recording while it is made, and freezes copies of it.

    Args:
        bounds: what is kept.
        triggers: ``finding``, ``signal``, ``exit`` (other than 0), or the name of an error.
        say: tells the user of a copy.

    Raises:
        UsageError: a trigger is none of these.
    """

    def __init__(
        self, bounds: Bounds, triggers: Sequence[str] = (), *, say: Callable[[str], object] | None = None
    ) -> None:
        self.bounds = bounds
        self.on_finding = "finding" in triggers
        self._on_signal = "signal" in triggers
        self._on_exit = "exit" in triggers
        self._errors: dict[int, str] = {}
        for word in triggers:
            if word in TRIGGERS:
                continue
            name = word.removeprefix("errno=")
            number = (
                getattr(errno, name, None) if word.startswith("errno=") and re.fullmatch(r"E[A-Z0-9]+", name) else None
            )
            if number is None:
                raise UsageError(
                    f"--freeze-on {word}: write finding, signal, exit, or errno=NAME such as errno=ECONNRESET"
                )
            self._errors[-number] = name
        self._say = say
        self._due: tuple[float, str] | None = None
        self._last_s: float | None = None
        self._next_cut_s = 0.0
        self._newest_ns = 0
        #: The frozen copies.
        self.copies: list[Path] = []

    def see(self, tables: Mapping[str, list[tuple[Any, ...]]]) -> None:
        """Rows as they are recorded."""
        for row in tables.get("call", ()):
            self._newest_ns = max(self._newest_ns, row[_ENTRY])
        if self._errors:
            for row in tables.get("call", ()):
                if (name := self._errors.get(row[_RESULT])) is not None:
                    self.freeze(name)
                    break
        if self._on_signal or self._on_exit:
            for row in tables.get("process", ()):
                if self._on_signal and row[_SIGNAL]:
                    self.freeze(f"signal-{row[_SIGNAL]}")
                elif self._on_exit and row[_EXIT]:
                    self.freeze(f"exit-{row[_EXIT]}")

    def freeze(self, reason: str) -> None:
        """Make a copy soon; not when one is under way, or was made a moment ago."""
        now_s = time.monotonic()
        apart = self._last_s is None or now_s - self._last_s >= _APART_S
        if self._due is None and apart and len(self.copies) < _MOST_COPIES:
            self._due = (now_s + _AFTER_S, reason)

    def turn(self, writer: Writer, *, last: bool = False) -> None:
        """After a commit: cut the old end, and make the copy that is due.

        The span counts back from the youngest call: what is recorded late is not lost for that.

        Raises:
            RecordingError: the recording cannot be written.
        """
        now_s = time.monotonic()
        if self._due is not None and (last or now_s >= self._due[0]):
            reason, self._due, self._last_s = self._due[1], None, now_s
            self._copy(writer, reason)
        if last or (self._due is None and now_s >= self._next_cut_s):  # what led to the event stays until it is copied
            self._next_cut_s = now_s + _CUT_EVERY_S
            since_ns = 0 if self.bounds.span_s is None else max(0, self._newest_ns - round(self.bounds.span_s * 1e9))
            writer.drop_before(since_ns, size_bytes=self.bounds.size_bytes, now_ns=self._newest_ns)

    def _copy(self, writer: Writer, reason: str) -> None:
        assert writer.path is not None
        stem = writer.path.name.removesuffix(SUFFIX)
        for number in range(1, 1000):
            path = writer.path.with_name(f"{stem}-{reason}-{number}{SUFFIX}")
            try:
                freeze_window(writer.path, path, reason=reason)
            except RecordingError as error:
                if isinstance(error.__cause__, FileExistsError):
                    continue
                if self._say is not None:
                    self._say(str(error))
                return
            self.copies.append(path)
            if self._say is not None:
                self._say(f"frozen ({reason}): {path}")
            return
