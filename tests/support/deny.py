"""Runs a command as if a sandbox, a distribution or a container refused it something: by real seccomp filters.

``deny.run(["unshare"], ["wallsocket", "doctor"])`` runs the command under a filter that answers the named things with
the errno that the named systems give. As a program: ``python tests/support/deny.py unshare,ptrace -- COMMAND``.

=====================  ============================================================================================
unshare                unshare(2), and clone(2) with namespace flags, give EPERM; clone3(2) ENOSYS (Docker's profile)
uid_map                opening ``/proc/…/uid_map`` or ``gid_map`` for writing gives EPERM (Ubuntu's AppArmor refuses the
                       write itself; a filter cannot see a path, so a supervisor decides, at the open)
user_namespace_limit   unshare(2) gives ENOSPC (``user.max_user_namespaces=0``)
rtnetlink              socket(AF_NETLINK, …, NETLINK_ROUTE) gives EPERM
sock_diag              socket(AF_NETLINK, …, NETLINK_SOCK_DIAG) gives EPERM
packet                 socket(AF_PACKET, …) gives EPERM
ptrace                 ptrace(2) gives EPERM (Yama, Docker before 20.10)
process_vm_readv       process_vm_readv(2) gives EPERM
pidfd_getfd            pidfd_getfd(2) gives EPERM
seccomp                seccomp(2) and prctl(PR_SET_SECCOMP) give EPERM
=====================  ============================================================================================
"""

from __future__ import annotations

import array
import ctypes
import errno
import fcntl
import os
import platform
import select
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["NAMES", "available", "command", "run"]

# System-call numbers of x86-64: arch/x86/entry/syscalls/syscall_64.tbl.
_PTRACE, _SOCKET, _CLONE, _PRCTL, _OPENAT, _UNSHARE = 101, 41, 56, 157, 257, 272
_PROCESS_VM_READV, _SECCOMP, _CLONE3, _PIDFD_GETFD = 310, 317, 435, 438
_AUDIT_ARCH_X86_64 = 0xC000003E
_AF_NETLINK, _AF_PACKET = 16, 17
_NETLINK_ROUTE, _NETLINK_SOCK_DIAG = 0, 4
_CLONE_NEW = 0x7E020000  # CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}: linux/sched.h
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP = 38, 22
_SECCOMP_SET_MODE_FILTER, _FLAG_NEW_LISTENER = 1, 8

# linux/seccomp.h
_ALLOW, _ERRNO, _NOTIFY = 0x7FFF0000, 0x00050000, 0x7FC00000
_NOTIF_RECV, _NOTIF_SEND = 0xC0502100, 0xC0182101  # ioctls for struct seccomp_notif (80 bytes) and …_resp (24 bytes)
_CONTINUE = 1

# Classic BPF (linux/bpf_common.h): load a word of struct seccomp_data, mask it, jump if equal or any bit set, return.
_LOAD, _AND, _JUMP_EQUAL, _JUMP_SET, _RETURN = 0x20, 0x54, 0x15, 0x45, 0x06


def _argument(index: int) -> int:
    """Offset of the low word of an argument in struct seccomp_data (little endian)."""
    return 16 + 8 * index


def _when(number: int, checks: Sequence[tuple[int, int, int]], action: int) -> list[tuple[int, int, int, int]]:
    """Instructions: if the call is ``number`` and every check (argument, jump, value) holds, return ``action``."""
    body: list[tuple[int, int, int, int]] = []
    for position, (index, jump, value) in enumerate(checks):
        left = 2 * (len(checks) - position - 1) + 1  # instructions between here and the end of the block
        body += [(_LOAD, 0, 0, _argument(index)), (jump, 0, left, value)]
    body.append((_RETURN, 0, 0, action))
    return [(_LOAD, 0, 0, 0), (_JUMP_EQUAL, 0, len(body), number), *body]


def _refuse(code: int) -> int:
    return _ERRNO | code


_EPERM = _refuse(errno.EPERM)
_RULES: dict[str, list[tuple[int, list[tuple[int, int, int]], int]]] = {
    "unshare": [
        (_UNSHARE, [], _EPERM),
        (_CLONE, [(0, _JUMP_SET, _CLONE_NEW)], _EPERM),
        (_CLONE3, [], _refuse(errno.ENOSYS)),
    ],
    "uid_map": [(_OPENAT, [(2, _JUMP_SET, os.O_WRONLY | os.O_RDWR)], _NOTIFY)],
    "user_namespace_limit": [
        (_UNSHARE, [(0, _JUMP_SET, 0x10000000)], _refuse(errno.ENOSPC)),
        (_CLONE, [(0, _JUMP_SET, 0x10000000)], _refuse(errno.ENOSPC)),
        (_CLONE3, [], _refuse(errno.ENOSYS)),
    ],
    "rtnetlink": [(_SOCKET, [(0, _JUMP_EQUAL, _AF_NETLINK), (2, _JUMP_EQUAL, _NETLINK_ROUTE)], _EPERM)],
    "sock_diag": [(_SOCKET, [(0, _JUMP_EQUAL, _AF_NETLINK), (2, _JUMP_EQUAL, _NETLINK_SOCK_DIAG)], _EPERM)],
    "packet": [(_SOCKET, [(0, _JUMP_EQUAL, _AF_PACKET)], _EPERM)],
    "ptrace": [(_PTRACE, [], _EPERM)],
    "process_vm_readv": [(_PROCESS_VM_READV, [], _EPERM)],
    "pidfd_getfd": [(_PIDFD_GETFD, [], _EPERM)],
    "seccomp": [(_SECCOMP, [], _EPERM), (_PRCTL, [(0, _JUMP_EQUAL, _PR_SET_SECCOMP)], _EPERM)],
}
NAMES = tuple(_RULES)


def available() -> bool:
    """Whether the filters fit this machine."""
    return platform.machine() == "x86_64"


def command(names: Sequence[str], argv: Sequence[str | os.PathLike[str]]) -> list[str]:
    """The command line that runs ``argv`` with ``names`` refused."""
    return [sys.executable, str(Path(__file__).resolve()), ",".join(names), "--", *map(os.fspath, argv)]


def run(
    names: Sequence[str], argv: Sequence[str | os.PathLike[str]], **arguments: Any
) -> subprocess.CompletedProcess[Any]:
    """``subprocess.run`` of ``argv`` with ``names`` refused; streams and exit status are the command's own."""
    return subprocess.run(command(names, argv), **arguments)


def _program(names: Sequence[str]) -> bytes:
    code: list[tuple[int, int, int, int]] = [
        (_LOAD, 0, 0, 4),
        (_JUMP_EQUAL, 1, 0, _AUDIT_ARCH_X86_64),
        (_RETURN, 0, 0, _ALLOW),
    ]
    for name in names:
        for number, checks, action in _RULES[name]:
            code += _when(number, checks, action)
    code.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


def _install(names: Sequence[str], flags: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    program = _program(names)
    buffer = ctypes.create_string_buffer(program, len(program))
    head = ctypes.create_string_buffer(struct.pack("=H6xQ", len(program) // 8, ctypes.addressof(buffer)), 16)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_NO_NEW_PRIVS")
    result = libc.syscall(ctypes.c_long(_SECCOMP), _SECCOMP_SET_MODE_FILTER, flags, head)
    if result < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    return int(result)


def _supervised(names: Sequence[str], argv: Sequence[str]) -> int:
    """Runs the command as a child and answers the calls that the filter leaves to us; returns its exit status."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        ours.close()
        listener = _install(names, _FLAG_NEW_LISTENER)
        theirs.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [listener]))])
        os.close(listener)
        theirs.close()
        _execute(argv)
    theirs.close()
    _, ancillary, _, _ = ours.recvmsg(1, socket.CMSG_SPACE(4))
    listener = struct.unpack("=i", ancillary[0][2])[0]
    ended = os.pidfd_open(child)
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    poll.register(ended, select.POLLIN)
    while True:
        ready = dict(poll.poll())
        if ready.get(listener, 0) & select.POLLIN:
            _answer(listener)
        elif ended in ready:
            # Descendants that still live go on without us: their calls that need an answer give ENOSYS.
            _, status = os.waitpid(child, 0)
            return os.waitstatus_to_exitcode(status)


def _answer(listener: int) -> None:
    notice = bytearray(80)
    try:
        fcntl.ioctl(listener, _NOTIF_RECV, notice)
    except FileNotFoundError:  # the caller died meanwhile
        return
    identity, pid = struct.unpack_from("=QI", notice)
    address = struct.unpack_from("=6Q", notice, 32)[1]
    try:
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            memory.seek(address)
            path = memory.read(256).split(b"\0")[0]
    except OSError:
        path = b""
    refused = path.startswith(b"/proc/") and path.endswith((b"/uid_map", b"/gid_map"))
    answer = struct.pack("=QqiI", identity, 0, -errno.EPERM if refused else 0, 0 if refused else _CONTINUE)
    try:
        fcntl.ioctl(listener, _NOTIF_SEND, answer)
    except FileNotFoundError:
        return


def _execute(argv: Sequence[str]) -> None:
    try:
        os.execvp(argv[0], list(argv))
    except OSError as error:
        print(f"{argv[0]}: {error.strerror}", file=sys.stderr)
        os._exit(127)


def main() -> None:
    names, separator, *argv = sys.argv[1:]
    if separator != "--" or not argv:
        sys.exit(f"usage: {sys.argv[0]} NAME[,NAME]... -- COMMAND")
    wanted = [name for name in names.split(",") if name]
    if "uid_map" in wanted:
        status = _supervised(wanted, argv)
        sys.exit(status if status >= 0 else 128 - status)
    if wanted:
        _install(wanted, 0)
    _execute(argv)


if __name__ == "__main__":
    main()
