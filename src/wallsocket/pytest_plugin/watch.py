"""Watches one test at a time and prints what it waits for when it lasts too long.

A program of its own, run by :mod:`.hanging`: it must speak also when the tests' interpreter runs no Python code, such as
in a library's read that keeps the interpreter's lock. Only the standard library is imported: it starts with each run.

Arguments: process to look at, seconds, signal that fails the test (0: none), descriptor for the text then. Input: a line
``+NAME`` when a test begins, ``-`` when it has ended; the end of input ends this program.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time

__all__ = ["main"]

#: A picture of a busy machine takes seconds, not minutes.
_INSPECT_S = 60.0
#: How long a test may need to end after it was told to fail.
_GRACE_S = 5.0


def main(pid: int, after_s: float, number: int, text_fd: int) -> None:
    """Read what begins and ends, until the input ends."""
    name = ""
    deadline: float | None = None
    told_s: float | None = None
    rest = b""
    while True:
        until = deadline if deadline is not None else told_s
        timeout = None if until is None else max(until - time.monotonic(), 0)
        if select.select([0], [], [], timeout)[0]:
            data = os.read(0, 65536)
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                told_s = None
                name = line[1:].decode(errors="replace")
                deadline = time.monotonic() + after_s if line.startswith(b"+") else None
        elif deadline is not None:
            deadline = None
            text = f"wallsocket: {name} has run for {after_s:g} s. What its process waits for:\n\n{_picture(pid)}"
            _say(f"\n{text}\n")
            if number:
                # Into a pipe that nobody may be reading: what does not fit is in the terminal.
                os.set_blocking(text_fd, False)
                with _ignored():
                    os.write(text_fd, text.encode(errors="replace")[:60_000])
                with _ignored():
                    os.kill(pid, number)
                told_s = time.monotonic() + _GRACE_S
        else:
            told_s = None
            _say(f"\nwallsocket: {name} cannot be interrupted: its main thread runs or waits outside Python code\n")


def _picture(pid: int) -> str:
    command = [sys.executable, "-m", "wallsocket", "inspect", "--children", "--fail-on", "never", str(pid)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_INSPECT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"it cannot be looked at: {error}"
    return (done.stdout + done.stderr).rstrip()


def _say(text: str) -> None:
    data = text.encode(errors="replace")
    with _ignored():
        while data:
            data = data[os.write(2, data) :]


class _ignored:
    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        return kind is not None and issubclass(kind, OSError)


if __name__ == "__main__":
    # Ctrl-C is for the tests; this program ends with its input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    main(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
