"""``explain --hang``: what a command waits for when it still runs after some time."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Any, Final, Self

__all__ = ["HangWatch"]

#: A picture of a busy machine takes seconds, not minutes.
_INSPECT_S: Final = 60.0


class HangWatch:
    """While active, waits until the time is over, then prints an inspection of the first process and its descendants.

    The picture is taken by a process of its own: nothing is stopped, and the recorder goes on.

    Args:
        after_s: seconds from the beginning.
        pid: the process, where it is known already; else the first one of the rows given to :meth:`note`.
    """

    def __init__(self, after_s: float, pid: int | None = None) -> None:
        self._after_s = after_s
        self._pid = pid
        self._timer = threading.Timer(after_s, self._look)
        self._timer.daemon = True
        self._child: subprocess.Popen[str] | None = None

    def note(self, tables: Mapping[str, list[tuple[Any, ...]]]) -> None:
        """Learn the process from new rows of the recording."""
        if self._pid is None and tables.get("process"):
            self._pid = tables["process"][0][1]

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *exception: object) -> None:
        # The command has ended: a picture of it is no longer wanted.
        self._timer.cancel()
        if self._child is not None:
            self._child.kill()

    def _look(self) -> None:
        if self._pid is None:
            return
        command = [sys.executable, "-m", "wallsocket", "inspect", "--children", "--fail-on", "never", str(self._pid)]
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as self._child:
            try:
                text, _ = self._child.communicate(timeout=_INSPECT_S)
            except subprocess.TimeoutExpired:
                self._child.kill()
                text = "it cannot be looked at: that took too long"
        if self._child.returncode >= 0:
            head = f"wallsocket: it still runs after {self._after_s:g} s. What it waits for:"
            print(f"\n{head}\n\n{text.rstrip()}\n", file=sys.stderr, flush=True)
        self._child = None
