"""The program under test as a process: started, watched, ended.

It is watched through ``/proc`` alone, so that nothing here depends on how fast the machine is: a program is *at rest* when
none of its threads has run for a while although nothing is left to do for it, and *restless* when its threads hardly ever
sleep.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final

__all__ = ["Student", "adopt_orphans"]

#: How much of what a program prints is kept, at its beginning and at its end.
_KEPT_BYTES: Final = 16_384
#: A program that needs more memory than that for these tasks collects what it should not.
_MEMORY_BYTES: Final = 400 << 20
#: How long a program may take to end after SIGTERM.
_END_S: Final = 2.0
#: How often it is looked at: what this reads of /proc is traced with the rest.
_LOOK_S: Final = 0.02
#: TCP_LISTEN in /proc/net/tcp (include/net/tcp_states.h).
_LISTEN: Final = "0A"
#: The number of this process, as it stands in /proc.
_OURS: Final = str(os.getpid())
#: include/uapi/linux/prctl.h
_PR_SET_CHILD_SUBREAPER: Final = 36


def adopt_orphans() -> None:
    """Become the parent of what programs leave behind (PR_SET_CHILD_SUBREAPER, prctl(2)), so that it can be ended."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Student:
    """A running program of a student, with all that it starts.

    Args:
        command: program and arguments.
        folder: its working directory.

    """

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.pid = self._process.pid
        self.out, self.error = _Said(self._process.stdout), _Said(self._process.stderr)
        self._seen: object = None
        self._since = time.monotonic()
        self.ended_by_us = False

    # -- is it there?

    @property
    def status(self) -> int | None:
        """Its exit status, negative for a signal; ``None`` while it runs, or what it left to run when it ended well (a daemon)."""
        status = self._process.poll()
        return None if status == 0 and self._members() else status

    def serves(self, protocol: str, port: int) -> bool:
        """Whether it, or anything in its network, is bound to the port (listens on it, of TCP)."""
        return any(found == port for _, found in self.bound(protocol))

    def bound(self, protocol: str) -> list[tuple[str, int]]:
        """Address as hexadecimal digits and port of each socket that listens (TCP) or is bound (UDP)."""
        found = []
        for family in ("", "6"):
            with contextlib.suppress(OSError), open(f"/proc/net/{protocol}{family}", encoding="ascii") as table:
                next(table, None)
                for row in table:
                    words = row.split()
                    if protocol == "udp" or words[3] == _LISTEN:
                        address, _, port = words[1].partition(":")
                        found.append((address, int(port, 16)))
        return found

    # -- what does it do?

    def rest_s(self) -> float:
        """For how long none of its threads has run, as seen by calling this again and again; 0 when one runs now."""
        state, asleep, _ = self._look()
        now = time.monotonic()
        if state != self._seen or not asleep:
            self._seen, self._since = state, now
        return now - self._since

    def settle(self, rest_s: float = 0.1, limit_s: float = 3.0) -> None:
        """Wait until it has done what there is to do."""
        self.rest_begins()
        deadline = time.monotonic() + limit_s
        while self.status is None and self.rest_s() < rest_s and time.monotonic() < deadline:
            time.sleep(_LOOK_S)

    def rest_begins(self) -> None:
        """Count its rest from now on: something has been done that it may answer."""
        self._seen = None

    def restless(self, samples: int = 40) -> bool:
        """Whether it is hardly ever asleep, looked at for about half a second."""
        self.settle(0.2, 1.0)
        awake = 0
        for _ in range(samples):
            time.sleep(0.015)
            awake += not self._look()[1]
        return self.status is None and awake > samples // 2

    @property
    def threads(self) -> int:
        """Threads of all its processes."""
        return len(self._look()[0])

    @property
    def worked_s(self) -> float:
        """Processor time of the processes that it is now: on a loaded machine it tells more than a clock."""
        ticks = 0
        for pid in self._members():
            with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", encoding="latin-1") as file:
                ticks += sum(map(int, file.read().rpartition(")")[2].split()[11:13]))
        return ticks / os.sysconf("SC_CLK_TCK")

    @property
    def insatiable(self) -> bool:
        """Whether it has taken more memory than any of the tasks needs."""
        return self._look()[2] > _MEMORY_BYTES

    def _look(self) -> tuple[list[tuple[str, ...]], bool, int]:
        """What its threads have done so far, whether all sleep, and its memory in bytes."""
        state: list[tuple[str, ...]] = []
        asleep, memory = True, 0
        for pid in self._members():
            with contextlib.suppress(OSError):
                for tid in os.listdir(f"/proc/{pid}/task"):
                    with open(f"/proc/{pid}/task/{tid}/status", encoding="latin-1") as file:
                        lines = dict(line.split(":", 1) for line in file)
                    state.append((tid, lines["voluntary_ctxt_switches"], lines["nonvoluntary_ctxt_switches"]))
                    asleep = asleep and lines["State"].strip()[0] in "SZX"
                    if tid == pid:
                        memory += int(lines.get("VmRSS", "0").split()[0]) * 1024
        return state, asleep, memory

    def _members(self) -> list[str]:
        """The processes that it is, by number: it and what it started, also what has left its session."""
        parents: dict[str, str] = {}
        ended: set[str] = set()
        for name in os.listdir("/proc"):
            if name.isdecimal():
                with contextlib.suppress(OSError), open(f"/proc/{name}/stat", encoding="latin-1") as file:
                    # The name in parentheses may hold anything (proc_pid_stat(5)).
                    words = file.read().rpartition(")")[2].split()
                    parents[name] = words[1]
                    # Ended, and not yet reaped; the first thread of a program may end before the others.
                    if words[0] in "ZX" and int(words[17]) <= 1:
                        ended.add(name)
        found = []
        for name in parents:
            ancestor = name
            while ancestor in parents and ancestor != _OURS:
                ancestor = parents[ancestor]
            if ancestor == _OURS and name not in (_OURS, *ended):
                found.append(name)
        return sorted(found, key=int)

    # -- its end

    def wait(self, limit_s: float, rest_s: float) -> bool:
        """Wait until it ends by itself; whether it did within so much time, and before it rested for so long."""
        self.rest_begins()
        deadline = time.monotonic() + limit_s
        while self.status is None:
            if self.rest_s() >= rest_s or time.monotonic() >= deadline or self.insatiable:
                return False
            time.sleep(_LOOK_S)
        return True

    def end(self) -> None:
        """End it, first as a terminal or a supervisor would."""
        if self.status is None:
            self.ended_by_us = True
            self._kill(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_S)
        self._kill(signal.SIGKILL)
        self._process.wait()
        # What it started and left behind: forking servers, daemons.
        deadline = time.monotonic() + _END_S
        while (left := self._members()) and time.monotonic() < deadline:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            time.sleep(0.005)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        self.out.finish()
        self.error.finish()

    def _kill(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)


class _Said:
    """What a program prints, read as it comes so that it never has to wait for us."""

    def __init__(self, stream: IO[bytes] | None) -> None:
        assert stream is not None
        self._stream = stream
        self._head = b""
        self._tail = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while part := os.read(self._stream.fileno(), 65_536):
            room = _KEPT_BYTES - len(self._head)
            self._head += part[:room]
            self._tail = (self._tail + part[room:])[-_KEPT_BYTES:]

    def finish(self) -> None:
        """Read to the end; a process that left the session may hold the pipe, and is not waited for."""
        self._reader.join(1.0)
        if not self._reader.is_alive():
            self._stream.close()

    @property
    def text(self) -> str:
        """What it was, without the middle where it was much."""
        return (self._head + self._tail).decode(errors="replace")
