"""Which running programs can be attached to, and why not: one clear line for each refusal of ``ptrace(2)``."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import Final, NamedTuple

from ..errors import NotAvailable, NotPermitted, UsageError, WallsocketError
from ..kernel.refusal import as_root
from .processes import is_32_bit, user_name

__all__ = ["Target", "refusal", "target"]

#: PF_KTHREAD of include/linux/sched.h, in field 9 of ``/proc/PID/stat``.
_KERNEL_THREAD: Final = 0x00200000


class Target(NamedTuple):
    """A process that may be attached to."""

    pid: int
    command: tuple[str, ...]  #: its argument vector; the name alone where it hides that

    @property
    def name(self) -> str:
        """The name of its program."""
        return os.path.basename(self.command[0]) if self.command else str(self.pid)


def target(pid: int) -> Target:
    """The process with this id, or the one that a thread with this id belongs to.

    Raises:
        UsageError: there is none, it has ended, it belongs to the kernel, or it is the caller.
        NotAvailable: another tracer has it, or it is a 32-bit program.
    """
    status = _status(pid)
    if status is None:
        raise UsageError(f"-p {pid}: there is no such process")
    process = int(status.get("Tgid", pid))
    name = f"{status.get('Name', '?')} pid {process}"
    if process == os.getpid():
        raise UsageError(f"-p {pid}: that is this wallsocket itself")
    if _flags(process) & _KERNEL_THREAD:
        raise UsageError(f"-p {pid}: {name} is a thread of the kernel, not a program")
    if not _lives(process):
        raise UsageError(f"-p {pid}: {name} has ended; it is kept only until its parent asks how")
    tracer = int(status.get("TracerPid", 0))
    if tracer:
        raise NotAvailable(_traced(pid, name, tracer))
    if is_32_bit(process):
        raise NotAvailable(
            f"-p {pid}: {name} is a 32-bit program: its calls cannot be read; wallsocket inspect {pid} can"
        )
    try:
        with open(f"/proc/{process}/cmdline", "rb") as file:
            words = tuple(os.fsdecode(word) for word in file.read().removesuffix(b"\0").split(b"\0"))
    except OSError:
        words = ()
    return Target(process, words if any(words) else (status.get("Name", "?"),))


def refusal(pid: int, code: int) -> WallsocketError:
    """Why ``PTRACE_SEIZE`` of a process failed with error number ``code``, and the way without it."""
    status = _status(pid)
    if code == errno.ESRCH or status is None:
        return UsageError(f"-p {pid}: it has just ended")
    name = f"{status.get('Name', '?')} pid {pid}"
    tracer = int(status.get("TracerPid", 0))
    if tracer:
        return NotAvailable(_traced(pid, name, tracer))
    again = as_root(f"trace -p {pid}")
    uids = {int(uid) for uid in status.get("Uid", "").split()}
    if uids - {os.geteuid()} and os.geteuid() != 0:
        others = ", ".join(user_name(uid) for uid in sorted(uids - {os.geteuid()}))
        return NotPermitted(f"-p {pid}: {name} runs as {others}: only that user or root may attach to it ({again})")
    scope = _read("/proc/sys/kernel/yama/ptrace_scope").strip()
    from_start = "run it under the trace from its start (wallsocket trace -- COMMAND)"
    if scope == "1":
        return NotPermitted(
            f"-p {pid}: kernel.yama.ptrace_scope is 1, so only a program's own parents may attach to {name}: {from_start}, "
            f"or attach as root ({again}); wallsocket inspect {pid} shows its sockets without attaching"
        )
    if scope == "2":
        return NotPermitted(
            f"-p {pid}: kernel.yama.ptrace_scope is 2, so only root may trace, and {name} cannot be attached to ({again}); "
            f"wallsocket inspect {pid} shows its sockets without attaching"
        )
    if scope == "3":
        return NotPermitted(
            f"-p {pid}: kernel.yama.ptrace_scope is 3, so nothing may be traced until the next boot; "
            f"wallsocket inspect {pid} shows its sockets without attaching"
        )
    return NotPermitted(
        f"-p {pid}: {name} cannot be attached to (ptrace(2): {os.strerror(code)}): it has more privileges than you, does "
        f"not let itself be traced (PR_SET_DUMPABLE), or a security policy forbids it; {from_start}, or attach as root "
        f"({again})"
    )


def _traced(pid: int, name: str, tracer: int) -> str:
    by = (_status(tracer) or {}).get("Name", "a program")
    return (
        f"-p {pid}: {name} is being traced already, by {by} pid {tracer}, and a program has one tracer at a time: end that "
        f"first; wallsocket inspect {pid} needs none"
    )


def _status(pid: int) -> dict[str, str] | None:
    text = _read(f"/proc/{pid}/status")
    fields = (line.partition(":") for line in text.splitlines())
    return {name: value.strip() for name, _, value in fields} if text else None


def _flags(pid: int) -> int:
    # Field 9; the second is a name in parentheses that may hold anything (proc(5)).
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return int(fields[6]) if len(fields) > 6 else 0


def _lives(pid: int) -> bool:
    """Whether any thread of it does: its first may have ended before the others."""
    with contextlib.suppress(OSError):
        for tid in os.listdir(f"/proc/{pid}/task"):
            state = (_status(int(tid)) or {}).get("State", "X")
            if not state.startswith(("Z", "X")):
                return True
    return False


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
