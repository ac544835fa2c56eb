"""``--wallsocket-hang``: a test that lasts too long says what it waits for.

The watching is done by a program of its own (:mod:`.watch`), which is told when each test begins and ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Final

import pytest

__all__ = ["Hanging"]

#: prctl(2): where Yama allows only ancestors to look into a process, this names one more (Documentation/admin-guide/LSM/Yama.rst).
_PR_SET_PTRACER: Final = 0x59616D61
_MAX_NAME_BYTES: Final = 1000


class Hanging:
    """Starts the watching program, and tells it of each test.

    Args:
        config: with ``--wallsocket-hang`` and ``--wallsocket-hang-fail``.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._text, theirs = os.pipe()
        os.set_blocking(self._text, False)
        self._signal = _free_signal() if config.getoption("--wallsocket-hang-fail") else 0
        self._former = signal.signal(self._signal, self._fail) if self._signal else None
        after_s = config.getoption("--wallsocket-hang")
        watch = Path(__file__).with_name("watch.py")
        arguments = [str(os.getpid()), str(after_s), str(self._signal), str(theirs)]
        self._watcher = subprocess.Popen(
            # -P: the folder of the script is no place to import from.
            [sys.executable, "-P", str(watch), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs],
        )
        os.close(theirs)
        with contextlib.suppress(OSError, AttributeError):
            # EINVAL where Yama is not there: then nothing needs to be allowed.
            ctypes.CDLL(None).prctl(_PR_SET_PTRACER, self._watcher.pid, 0, 0, 0)

    def _tell(self, line: str) -> None:
        assert self._watcher.stdin is not None
        # A watcher that is gone must not cost a test.
        with contextlib.suppress(OSError):
            os.write(self._watcher.stdin.fileno(), line.encode(errors="replace")[:_MAX_NAME_BYTES] + b"\n")

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """A test begins, and has ended."""
        self._tell("+" + item.nodeid.replace("\n", " "))
        yield
        self._tell("-")

    def pytest_unconfigure(self) -> None:
        """End the watching program."""
        assert self._watcher.stdin is not None
        self._watcher.stdin.close()
        try:
            self._watcher.wait(10)
        except subprocess.TimeoutExpired:
            self._watcher.kill()
            self._watcher.wait()
        os.close(self._text)
        if self._signal:
            signal.signal(self._signal, self._former)

    def _fail(self, _number: int, _frame: FrameType | None) -> None:
        """The watcher's signal: the test fails with the picture as its text."""
        __tracebackhide__ = True
        chunks = []
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self._text, 65536):
                chunks.append(chunk)
        pytest.fail(b"".join(chunks).decode(errors="replace"), pytrace=True)


def _free_signal() -> int:
    """A real-time signal that the program has no use for."""
    for number in range(signal.SIGRTMAX - 1, signal.SIGRTMIN, -1):
        if signal.getsignal(number) == signal.SIG_DFL:
            return number
    raise pytest.UsageError("--wallsocket-hang-fail: every real-time signal is in use")
