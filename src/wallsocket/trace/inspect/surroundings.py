"""What surrounds a wait: where a process comes from, and who holds the other ends of its pipes.

Sources: proc_pid_stat(5); ``children`` in proc_pid_task(5); PF_FORKNOEXEC of ``include/linux/sched.h``; the access mode in
``flags`` of proc_pid_fdinfo(5).
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Collection
from typing import Final

import msgspec

from . import threads as _threads

__all__ = ["End", "Lineage", "children", "lineage", "pipe_ends"]

_PF_FORKNOEXEC: Final = 0x40


class Lineage(msgspec.Struct, frozen=True):
    """Where a process comes from: its parent, its session, and whether it still runs the parent's program (fork without exec)."""

    parent: int
    forked: bool
    session: int


class End(msgspec.Struct, frozen=True):
    """A descriptor of a pipe, and what it is open for."""

    pid: int
    descriptor: int
    reads: bool
    writes: bool


def lineage(pid: int) -> Lineage | None:
    """Where a process comes from; ``None``: it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # Behind the name, which may hold anything, comes the third field.
            words = file.read().rpartition(b")")[2].split()
        return Lineage(int(words[1]), bool(int(words[6]) & _PF_FORKNOEXEC), int(words[3]))
    except (OSError, ValueError, IndexError):
        return None


def children(pid: int) -> list[int]:
    """The processes that a process has started and that it has not waited for; empty where that is not told."""
    found: list[int] = []
    for tid in _threads.thread_ids(pid):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{tid}/children", encoding="ascii") as file:
            found += map(int, file.read().split())
    return found


def pipe_ends(pipes: Collection[str], near: int, timeout_s: float) -> tuple[dict[str, list[End]], bool]:
    """Who holds pipes, such as ``pipe:[123]``, and whether everybody could be asked, in so much processor time.

    Those whose numbers are near that of the process ``near`` are asked first: relatives, as a rule.
    """
    complete = True
    deadline = time.thread_time() + timeout_s
    found: dict[str, list[End]] = {}
    numbers = [int(name) for name in os.listdir("/proc") if name.isdigit()] if pipes else []
    for name in sorted(numbers, key=lambda pid: abs(pid - near)):
        if time.thread_time() > deadline:
            return found, False
        directory = f"/proc/{name}/fd"
        try:
            for number in os.listdir(directory):
                try:
                    link = os.readlink(f"{directory}/{number}")
                    if link in pipes:
                        found.setdefault(link, []).append(_end(name, int(number)))
                except FileNotFoundError:
                    continue  # closed meanwhile
        except PermissionError:
            complete = False
        except OSError:
            continue
    return found, complete


def _end(pid: int, descriptor: int) -> End:
    mode = os.O_RDWR
    with open(f"/proc/{pid}/fdinfo/{descriptor}", "rb") as file:
        for line in file:
            if line.startswith(b"flags:"):
                mode = int(line.split()[1], 8) & os.O_ACCMODE
    return End(pid, descriptor, mode != os.O_WRONLY, mode != os.O_RDONLY)
