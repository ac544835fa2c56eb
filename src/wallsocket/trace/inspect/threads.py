"""What the threads of a process wait in, read from ``/proc`` while they wait: nothing is stopped, nothing is sent.

Sources: proc_pid_syscall(5), proc_pid_status(5), proc_pid_fdinfo(5), poll(2), select(2), epoll_wait(2);
``se.exec_start`` of ``/proc/PID/sched``: ``kernel/sched/debug.c`` and ``fair.c`` of Linux.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import struct
import time
from functools import cache
from typing import Final

import msgspec

from ..syscalls import ACCEPTS, EPOLL_WAITS, READS, WRITES, names

__all__ = ["Lock", "SchedulerClock", "Wait", "limits_s", "name_of", "switches", "thread_ids", "wait_of", "watched"]

#: Calls whose first argument is the descriptor that they wait for.
_ON_DESCRIPTOR: Final = (READS | WRITES | ACCEPTS | {"connect", "shutdown", "close", "ioctl", "fcntl"}) - {"splice"}
#: Largest set of descriptors that is read: more than the usual hard limit.
_MAX_POLLED: Final = 65_536
_MAX_ADDRESS: Final = 128
_INT_MAX: Final = 2**31 - 1
#: The same number on every machine (include/uapi/asm-generic/unistd.h).
_PIDFD_GETFD: Final = 438
_TIMEVAL: Final = struct.Struct("@qq")

#: futex(2): FUTEX_WAIT and FUTEX_WAIT_BITSET, without the flags that say whose it is and by which clock.
_FUTEX_WAIT: Final = 0
_FUTEX_WAITS: Final = frozenset({0, 9})
_FUTEX_COMMAND: Final = 0x7F
_FUTEX_PRIVATE: Final = 0x80
#: The head of glibc's ``struct __pthread_mutex_s`` on 64-bit machines: lock, count, owner, users, kind. The lock is the
#: futex word, and 2 in it means that somebody waits (``nptl/lowlevellock.h``).
_MUTEX: Final = struct.Struct("<iIiIi")
_CONTENDED: Final = 2
#: PTHREAD_MUTEX_* types with the flags of robust, inheriting, shared and elided ones.
_MUTEX_KINDS: Final = 0x3F3

_POLLIN: Final = 1
_POLLPRI: Final = 2
_POLLOUT: Final = 4


class Lock(msgspec.Struct, frozen=True):
    """What a thread waits for in futex(2).

    Attributes:
        word: address of the futex word.
        private: only threads of the same process can wake it (FUTEX_PRIVATE_FLAG).
        owner: the thread that holds it, by its number in the process's pid namespace; ``None``: it is no mutex of glibc.

    """

    word: int
    private: bool
    owner: int | None


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """A thread in a system call.

    Attributes:
        tid: the thread.
        number: of the call; -1 when the thread waits outside one (a page that is loaded).
        call: its name, or ``system call N``.
        fd: the descriptor it waits for, or of the epoll instance.
        arguments: the six registers, to tell one call from the next.
        stack, instruction: stack pointer, and where the call returns to.
        watched: (descriptor, POLL* events) of poll and select.
        timeout_s: the time limit in the arguments, in seconds; ``None``: none, or not known.
        timeout_known: whether the arguments tell. A plain recv may have SO_RCVTIMEO: see `limits_s`.
        lock: of futex.
        a, b, c, value, address, length: as in the ``call`` table of a recording.

    """

    tid: int
    number: int
    call: str
    fd: int | None = None
    arguments: tuple[int, ...] = ()
    stack: int = 0
    instruction: int = 0
    watched: tuple[tuple[int, int], ...] = ()
    timeout_s: float | None = None
    timeout_known: bool = False
    lock: Lock | None = None
    a: int | None = None
    b: int | None = None
    c: int | None = None
    value: bytes | None = None
    address: bytes | None = None
    length: int | None = None


def thread_ids(pid: int) -> list[int]:
    """The threads of a process; empty when it is gone."""
    try:
        return sorted(int(name) for name in os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return []


def name_of(pid: int, tid: int) -> str | None:
    """What a thread is called (PR_SET_NAME(2const)); ``None`` when it is gone."""
    try:
        with open(f"/proc/{pid}/task/{tid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().rstrip("\n")
    except OSError:
        return None


def switches(pid: int, tid: int) -> int | None:
    """How often a thread has given up its processor so far; ``None`` when it is gone."""
    total, found = 0, 0
    try:
        with open(f"/proc/{pid}/task/{tid}/status", "rb") as file:
            for line in file:
                if b"ctxt_switches:" in line:
                    total += int(line.split()[1])
                    found += 1
    except (OSError, ValueError):
        return None
    return total if found == 2 else None


def wait_of(pid: int, tid: int, machine: str) -> Wait | None:
    """The call that a thread waits in; ``None`` when it runs, or is gone.

    Raises:
        PermissionError: the kernel does not tell this user.

    """
    try:
        words = _syscall(pid, tid)
    except (FileNotFoundError, ProcessLookupError):
        return None
    if not words or words[0] == "running":
        return None
    number = int(words[0])
    if number < 0:
        return Wait(tid=tid, number=-1, call="no call")
    arguments = tuple(int(word, 16) for word in words[1:7])
    call = names(machine).get(number, f"system call {number}")
    stack, instruction = (int(word, 16) for word in words[7:9])
    wait = Wait(tid=tid, number=number, call=call, arguments=arguments, stack=stack, instruction=instruction)
    return _decoded(pid, wait)


def _syscall(pid: int, tid: int) -> list[str]:
    with open(f"/proc/{pid}/task/{tid}/syscall", encoding="ascii") as file:
        return file.read().split()


def _decoded(pid: int, wait: Wait) -> Wait:
    first, second, third, fourth, fifth, _ = wait.arguments
    call = wait.call
    change = msgspec.structs.replace
    if call in ("poll", "ppoll"):
        raw = _memory(pid, first, 8 * min(second, _MAX_POLLED)) or b""
        entries = tuple(struct.unpack_from("<iHH", raw, at)[:2] for at in range(0, len(raw) - 7, 8))
        limit, known = (_signed(third), True) if call == "poll" else _milliseconds(pid, third, 1_000_000)
        return _limited(
            change(wait, a=second, value=raw, watched=tuple(entry for entry in entries if entry[0] >= 0)), limit, known
        )
    if call in ("select", "pselect6"):
        limit, known = _milliseconds(pid, fifth, 1_000 if call == "select" else 1_000_000)
        sets = ((second, _POLLIN), (third, _POLLOUT), (fourth, _POLLPRI))
        watched = _selected(pid, min(first, _MAX_POLLED), sets)
        value = b"".join(struct.pack("<iHH", descriptor, events, 0) for descriptor, events in watched)
        # All descriptors of the sets are there, sockets or not: in the form of poll `a` counts them.
        return _limited(change(wait, a=len(watched), value=value, watched=watched), limit, known)
    if call in EPOLL_WAITS:
        limit, known = _milliseconds(pid, fourth, 1_000_000) if call == "epoll_pwait2" else (_signed(fourth), True)
        return _limited(change(wait, fd=_signed(first), a=_signed(third)), limit, known)
    if call == "futex":
        command = second & _FUTEX_COMMAND
        # Of FUTEX_WAIT the limit is a time from then; of the others it is a moment on a clock.
        limit, known = _milliseconds(pid, fourth, 1_000_000) if command == _FUTEX_WAIT or not fourth else (-1, False)
        lock = Lock(first, bool(second & _FUTEX_PRIVATE), _owner(pid, first) if third == _CONTENDED else None)
        return change(_limited(wait, limit, known), b=None, lock=lock if command in _FUTEX_WAITS else None)
    if call == "splice":
        return change(wait, fd=_signed(first), a=_signed(third), b=fifth, c=0)
    if call not in _ON_DESCRIPTOR:
        return wait
    wait = change(wait, fd=_signed(first))
    if call in ("read", "write"):
        return change(wait, length=third)
    if call in ("sendto", "recvfrom"):
        return change(wait, length=third, a=_signed(fourth))
    if call in ("sendmsg", "recvmsg"):
        return change(wait, a=_signed(third))
    if call in ("sendmmsg", "recvmmsg"):
        return change(wait, a=_signed(fourth), b=third)
    if call == "accept4":
        return change(wait, a=_signed(fourth))
    if call == "connect":
        return change(wait, address=_memory(pid, second, min(third, _MAX_ADDRESS)))
    return wait


def _owner(pid: int, word: int) -> int | None:
    """The thread that holds the mutex of glibc whose futex word this is; ``None``: it is none, or nobody holds it."""
    raw = _memory(pid, word, _MUTEX.size)
    if raw is None or struct.calcsize("P") != 8:
        return None
    lock, _, owner, users, kind = _MUTEX.unpack(raw)
    fits = lock == _CONTENDED and owner > 0 and 0 < users < _MAX_POLLED and not kind & ~_MUTEX_KINDS
    return owner if fits else None


def _limited(wait: Wait, limit_ms: float, known: bool) -> Wait:
    return msgspec.structs.replace(
        wait,
        b=min(int(limit_ms), _INT_MAX) if known and limit_ms >= 0 else (-1 if known else None),
        timeout_s=limit_ms / 1000 if known and limit_ms >= 0 else None,
        timeout_known=known,
    )


def _signed(register: int) -> int:
    """An ``int`` argument: the lower half of a register."""
    low = register & 0xFFFF_FFFF
    return low - (1 << 32) if low >= 1 << 31 else low


def _milliseconds(pid: int, pointer: int, per_ms: int) -> tuple[float, bool]:
    """A struct timeval (1,000 a millisecond) or timespec (1,000,000); a null pointer is no limit: -1."""
    if pointer == 0:
        return -1, True
    raw = _memory(pid, pointer, 16)
    if raw is None:
        return -1, False
    seconds, fraction = struct.unpack("<qq", raw)
    return seconds * 1000 + fraction / per_ms, True


def _selected(pid: int, count: int, sets: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    found: dict[int, int] = {}
    for pointer, events in sets:
        raw = _memory(pid, pointer, (count + 63) // 64 * 8) if pointer else None
        for position, byte in enumerate(raw or b""):
            for bit in range(8):
                if byte >> bit & 1 and position * 8 + bit < count:
                    found[position * 8 + bit] = found.get(position * 8 + bit, 0) | events
    return tuple(sorted(found.items()))


def watched(pid: int, epoll: int) -> list[tuple[int, int]] | None:
    """(descriptor, events) that an epoll instance watches; ``None`` when that cannot be read."""
    found = []
    try:
        with open(f"/proc/{pid}/fdinfo/{epoll}", "rb") as file:
            for line in file:
                if line.startswith(b"tfd:"):
                    words = line.split()
                    found.append((int(words[1]), int(words[3], 16)))
    except (OSError, ValueError, IndexError):
        return None
    return found


def limits_s(pid: int, descriptor: int) -> tuple[float, float] | None:
    """SO_RCVTIMEO and SO_SNDTIMEO in seconds, 0: none; ``None`` when they cannot be read.

    Only who holds a socket may ask it, so the descriptor is copied for the moment of asking (pidfd_getfd(2)). Ask only
    for one that a thread waits in: that wait keeps the socket open by itself, so the copy cannot put off a close.
    """
    try:
        process = os.pidfd_open(pid)
    except OSError:
        return None
    try:
        number = _libc().syscall(_PIDFD_GETFD, process, descriptor, 0)
    finally:
        os.close(process)
    if number < 0:
        return None
    try:
        copy = socket.socket(fileno=number)
    except OSError:
        os.close(number)
        return None
    with copy:
        found = []
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            try:
                seconds, microseconds = _TIMEVAL.unpack(copy.getsockopt(socket.SOL_SOCKET, option, _TIMEVAL.size))
            except (OSError, struct.error):
                return None
            found.append(seconds + microseconds / 1e6)
    return found[0], found[1]


class _Part(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def _memory(pid: int, address: int, length: int) -> bytes | None:
    """Bytes of another process, by process_vm_readv(2); ``None`` when they cannot be read as a whole."""
    if length <= 0 or address <= 0:
        return None
    room = ctypes.create_string_buffer(length)
    ours, theirs = _Part(ctypes.addressof(room), length), _Part(address, length)
    read = _libc().process_vm_readv
    read.restype = ctypes.c_ssize_t
    taken: int = read(
        ctypes.c_int(pid),
        ctypes.byref(ours),
        ctypes.c_ulong(1),
        ctypes.byref(theirs),
        ctypes.c_ulong(1),
        ctypes.c_ulong(0),
    )
    return room.raw if taken == length else None


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


class SchedulerClock:
    """For how long threads have slept, by the scheduler's own note of when each ran last.

    ``se.exec_start`` is on the clock of the processor that the thread ran on, which stands still while the processor
    serves interrupts or is taken away by a hypervisor. The calling thread therefore goes to the same processor for a
    moment and compares: the difference is never more than the true time.
    """

    def __init__(self) -> None:
        self._own: dict[int, tuple[float, int]] = {}  #: processor -> (its clock in ms, when that was read)

    def asleep_ns(self, pid: int, tid: int) -> int | None:
        """For how long a thread that waits has not run, at least; ``None``: this kernel does not tell."""
        last_ms = _exec_start_ms(f"/proc/{pid}/task/{tid}/sched")
        processor = _processor(pid, tid)
        if last_ms is None or processor is None:
            return None
        now = self._now(processor)
        if now is None:
            return None
        now_ms, read_ns = now
        since_ns = int((now_ms - last_ms) * 1e6) + (time.monotonic_ns() - read_ns if now_ms >= last_ms else 0)
        return max(since_ns, 0)

    def _now(self, processor: int) -> tuple[float, int] | None:
        if processor not in self._own:
            allowed = os.sched_getaffinity(0)
            try:
                os.sched_setaffinity(0, {processor})
            except OSError:
                return None
            try:
                now_ms = _exec_start_ms("/proc/thread-self/sched")
                read_ns = time.monotonic_ns()
            finally:
                with contextlib.suppress(OSError):
                    os.sched_setaffinity(0, allowed)
            if now_ms is None:
                return None
            self._own[processor] = now_ms, read_ns
        return self._own[processor]


def _exec_start_ms(path: str) -> float | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("se.exec_start"):
                    return float(line.rpartition(":")[2])
    except (OSError, ValueError):
        return None
    return None


def _processor(pid: int, tid: int) -> int | None:
    try:
        with open(f"/proc/{pid}/task/{tid}/stat", "rb") as file:
            # Behind the name, which may hold anything, comes the third field; `processor` is the 39th.
            return int(file.read().rpartition(b")")[2].split()[36])
    except (OSError, ValueError, IndexError):
        return None
