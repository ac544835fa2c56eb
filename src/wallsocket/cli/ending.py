"""Ending a command that runs until it is told to stop."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from typing import Any

__all__ = ["in_order"]


@contextlib.contextmanager
def in_order() -> Iterator[None]:
    """While this is entered, SIGTERM and SIGHUP raise :class:`KeyboardInterrupt` as Ctrl-C does.

    What is under way can be finished: a second signal is not heard, a third one is. A signal that is ignored, as SIGHUP under
    nohup(1), stays so.
    """
    count = 0

    def interrupt(_number: int, _frame: Any) -> None:
        nonlocal count
        count += 1
        if count != 2:
            raise KeyboardInterrupt

    def lost(unraisable: sys.UnraisableHookArgs) -> None:
        nonlocal count
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            count = 0  # nobody heard it
        hook(unraisable)

    hook = sys.unraisablehook
    before = {}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            before[number] = signal.signal(number, interrupt)
    sys.unraisablehook = lost
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)
