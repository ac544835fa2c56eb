"""The standard streams and what can happen to them, for all commands: closed, a reader that goes away, a full disk.

Rules:
- Descriptors 0, 1 and 2 are always open, so that no socket or file of ours gets one of these numbers.
- What goes wrong with standard output is an :class:`OutputError`, so that it is never taken for an error of a socket.
- It is told once; when the interpreter ends nothing is left to be written.
- A standard error that cannot be written to changes no exit status: there is nowhere left to say it.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import Any

__all__ = ["OutputError", "abandon", "guard", "open_closed"]


class OutputError(Exception):
    """Standard output could not be written to.

    Attributes:
        cause: the error of write(2).
    """

    def __init__(self, cause: OSError) -> None:
        super().__init__(f"standard output: {cause.strerror or cause}")
        self.cause = cause

    @property
    def reader_gone(self) -> bool:
        """Whether it is a pipe that nobody reads any more."""
        return isinstance(self.cause, BrokenPipeError)


# Above the buffer, not below it: what a signal's handler raises after a raw write would have the buffer write it again.
class _Guarded(io.BufferedWriter):
    """Standard output whose errors say that they are its own."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise OutputError(error) from error

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            raise OutputError(error) from error


class _Lossy(io.BufferedWriter):
    """Standard error: what cannot be written is lost."""

    def write(self, data: Any, /) -> int:
        with contextlib.suppress(OSError):
            return super().write(data)
        return memoryview(data).nbytes

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            super().flush()


def open_closed() -> None:
    """Open ``/dev/null`` at the numbers of the standard streams that were closed (``>&-``): what is written there is lost.

    The new descriptors are closed in the programs that are started, which find their streams as they would without us.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            if opened != number:  # a lower number is free as well: its turn is over
                os.dup2(opened, number, inheritable=False)
                os.close(opened)
        if getattr(sys, name) is None:
            stream = open(number, mode, encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115  the process's own
            setattr(sys, name, stream)


def guard() -> None:
    """Have writes to standard output raise :class:`OutputError`, and those to standard error raise nothing.

    Only where they are the process's own.
    """
    for name, kind in (("stdout", _Guarded), ("stderr", _Lossy)):
        stream = getattr(sys, name)
        if stream is not getattr(sys, f"__{name}__") or not isinstance(stream, io.TextIOWrapper):
            continue
        guarded = io.TextIOWrapper(
            kind(io.FileIO(stream.fileno(), "wb", closefd=False)),
            encoding=stream.encoding,
            errors=stream.errors,
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )
        setattr(sys, name, guarded)


def abandon() -> None:
    """Write no more: what is still in buffers is lost, now and when the interpreter ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
    finally:
        os.close(nowhere)
