"""What surrounds a wait: where a process comes from, and who holds the other ends of its pipes.

Sources: proc_pid_stat(5); ``children`` in proc_pid_task(5); PF_FORKNOEXEC of ``include/linux/sched.h``; the access mode in
``flags`` of proc_pid_fdinfo(5).
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import Final

import msgspec

from . import threads as _threads
from .sockets import descriptors

__all__ = ["End", "Lineage", "Links", "children", "lineage"]

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


class Links:
    """Who holds which sockets and pipes: the links in ``/proc/PID/fd`` of all processes, read once.

    Those whose numbers are near that of the process ``near`` are read first: relatives, as a rule.

    Attributes:
        complete: whether everybody could be asked, in ``timeout_s`` of processor time.

    """

    def __init__(self, near: int, timeout_s: float) -> None:
        self.complete = True
        self._held: dict[str, list[tuple[int, int]]] = {}
        deadline = time.thread_time() + timeout_s
        numbers = [int(name) for name in os.listdir("/proc") if name.isdigit()]
        for pid in sorted(numbers, key=lambda pid: abs(pid - near)):
            if time.thread_time() > deadline:
                self.complete = False
                return
            try:
                self._read(pid)
            except PermissionError:
                self.complete = False
            except OSError:
                continue  # it ended meanwhile

    def _read(self, pid: int) -> None:
        for number, link in descriptors(pid).items():
            if link.startswith(("socket:", "pipe:")):
                self._held.setdefault(link, []).append((pid, number))

    def owners(self, inode: int) -> tuple[int, ...]:
        """The processes that hold a socket."""
        return tuple(sorted({pid for pid, _ in self._held.get(f"socket:[{inode}]", ())}))

    def ends(self, pipe: str) -> list[End]:
        """The descriptors of a pipe, such as ``pipe:[123]``."""
        found = []
        for pid, number in self._held.get(pipe, ()):
            with contextlib.suppress(OSError):  # closed meanwhile
                found.append(_end(pid, number))
        return found


def _end(pid: int, descriptor: int) -> End:
    mode = os.O_RDWR
    with open(f"/proc/{pid}/fdinfo/{descriptor}", "rb") as file:
        for line in file:
            if line.startswith(b"flags:"):
                mode = int(line.split()[1], 8) & os.O_ACCMODE
    return End(pid, descriptor, mode != os.O_WRONLY, mode != os.O_RDONLY)
