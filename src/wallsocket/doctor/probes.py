"""The probes: each does, in a child process, what a feature does, and leaves nothing behind.

A probe is a function that returns what it saw, or raises :class:`Refused` with the errno and the step that failed. It
runs in a process forked for it, so that a namespace entered, a filter installed or a hang stays there.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from ..errors import WallsocketError

__all__ = ["PROBES", "Probe", "Refused", "Result", "attempt"]

_NUMBER_OF_SECCOMP: Final = {"x86_64": 317, "aarch64": 277}  # asm/unistd_64.h, asm-generic/unistd.h
_NUMBER_OF_PIDFD_GETFD: Final = 438  # the same everywhere
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000  # linux/sched.h
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_PTRACE_SEIZE, _PTRACE_INTERRUPT, _PTRACE_DETACH, _PTRACE_GET_SYSCALL_INFO = 0x4206, 0x4207, 17, 0x420E
_PTRACE_O_TRACESYSGOOD = 1
_ETH_P_ALL = 3
_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY, _SKNLGRP_INET_TCP_DESTROY = 4, 20, 1  # linux/sock_diag.h
_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP = 270, 1
_SIOCSIFFLAGS: Final = 0x8914
_IFF_UP: Final = 1


class Refused(Exception):
    """A step of a probe failed."""

    def __init__(self, step: str, code: int) -> None:
        super().__init__(f"{step}: {os.strerror(code)}")
        self.step = step
        self.code = code


class Result(msgspec.Struct, frozen=True):
    """What a probe came to: ``detail`` when it worked, else the step and its errno; neither: it did not end."""

    works: bool
    detail: str = ""
    step: str = ""
    code: int = 0
    missing: bool = False


class Probe(NamedTuple):
    """A feature, and how to try it."""

    name: str
    purpose: str
    run: Callable[[], str]
    essential: bool = False


class _Missing(Exception):
    """A library or program that the probe wanted is not installed."""


def attempt(probe: Probe, deadline_s: float) -> Result:
    """Run a probe in a child; after ``deadline_s`` seconds the child is killed and the result says so."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _child(probe, writing)
    os.close(writing)
    ends_at = time.monotonic() + deadline_s
    answer = b""
    try:
        while (left := ends_at - time.monotonic()) > 0 and select.select([reading], [], [], left)[0]:
            piece = os.read(reading, 65536)
            if not piece:
                break
            answer += piece
    finally:
        os.close(reading)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    if answer:
        return msgspec.json.decode(answer, type=Result)
    if time.monotonic() >= ends_at:
        return Result(False, detail=f"did not end within {deadline_s:g} s")
    ended = os.waitstatus_to_exitcode(status)
    how = f"signal {signal.Signals(-ended).name}" if ended < 0 else f"status {ended}"
    return Result(False, detail=f"the probe was ended by {how}")


def _child(probe: Probe, writing: int) -> None:
    try:
        _libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        try:
            result = Result(True, detail=probe.run())
        except Refused as error:
            result = Result(False, step=error.step, code=error.code)
        except _Missing as error:
            result = Result(False, detail=str(error), missing=True)
        except OSError as error:
            result = Result(False, step=probe.name, code=error.errno or 0, detail=str(error))
        os.write(writing, msgspec.json.encode(result))
    finally:
        os._exit(0)


def _libc() -> ctypes.CDLL:
    library = ctypes.CDLL(None, use_errno=True)
    library.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    library.ptrace.restype = ctypes.c_long
    library.syscall.restype = ctypes.c_long
    library.process_vm_readv.restype = ctypes.c_ssize_t
    return library


def _checked(step: str, result: int) -> int:
    if result < 0:
        raise Refused(step, ctypes.get_errno())
    return result


@contextlib.contextmanager
def _step(name: str) -> Iterator[None]:
    """Turn an ``OSError`` inside into :class:`Refused` at step ``name``."""
    try:
        yield
    except OSError as error:
        raise Refused(name, error.errno or 0) from error


@contextlib.contextmanager
def _sleeper(act: Callable[[], None] | None = None, *, related: bool = True) -> Iterator[int]:
    """A process that does ``act`` and then waits; its pid. ``related=False``: it is not below us in the tree."""
    ready_reading, ready_writing = os.pipe()
    hold_reading, hold_writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(hold_writing)
        if not related and os.fork() != 0:
            os._exit(0)  # the grandchild is now init's child, as a program that somebody else started
        if act is not None:
            act()
        os.write(ready_writing, struct.pack("=i", os.getpid()))
        os.read(hold_reading, 1)  # until its creator is gone
        os._exit(0)
    os.close(hold_reading)
    if not related:
        os.waitpid(pid, 0)
    (target,) = struct.unpack("=i", os.read(ready_reading, 4))
    try:
        yield target
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(target, signal.SIGKILL)
        for descriptor in (ready_reading, ready_writing, hold_writing):
            os.close(descriptor)
        if related:
            os.waitpid(target, 0)


def _seize(pid: int) -> str:
    libc = _libc()
    _checked("ptrace(PTRACE_SEIZE)", libc.ptrace(_PTRACE_SEIZE, pid, None, _PTRACE_O_TRACESYSGOOD))
    _checked("ptrace(PTRACE_INTERRUPT)", libc.ptrace(_PTRACE_INTERRUPT, pid, None, None))
    os.waitpid(pid, 0x40000000)  # __WALL
    information = ctypes.create_string_buffer(128)
    _checked(
        "ptrace(PTRACE_GET_SYSCALL_INFO)",
        libc.ptrace(_PTRACE_GET_SYSCALL_INFO, pid, ctypes.sizeof(information), ctypes.addressof(information)),
    )
    _checked("ptrace(PTRACE_DETACH)", libc.ptrace(_PTRACE_DETACH, pid, None, None))
    return "seized, stopped, read and released a process"


def _trace_own() -> str:
    with _sleeper() as pid:
        return _seize(pid)


def _trace_other() -> str:
    with _sleeper(related=False) as pid:
        return _seize(pid)


def _filter() -> str:
    libc = _libc()
    number = _NUMBER_OF_SECCOMP.get(os.uname().machine)
    if number is None:
        raise Refused("seccomp", errno.ENOSYS)
    # One instruction: return SECCOMP_RET_ALLOW.
    code = ctypes.create_string_buffer(struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000), 8)
    program = ctypes.create_string_buffer(struct.pack("=H6xQ", 1, ctypes.addressof(code)), 16)
    _checked("prctl(PR_SET_NO_NEW_PRIVS)", libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _checked("seccomp(SECCOMP_SET_MODE_FILTER)", libc.syscall(ctypes.c_long(number), 1, 0, program))
    return "installed a filter"


def _copy_descriptor(related: bool) -> str:
    ours, theirs = socket.socketpair()
    with ours, theirs, _sleeper(related=related) as pid:
        with _step("pidfd_open"):
            process = os.pidfd_open(pid)
        copy = _checked(
            "pidfd_getfd",
            _libc().syscall(ctypes.c_long(_NUMBER_OF_PIDFD_GETFD), process, theirs.fileno(), 0),
        )
        same = os.fstat(copy).st_ino == os.fstat(theirs.fileno()).st_ino
        os.close(copy)
        if not same:
            raise Refused("pidfd_getfd", errno.EBADF)
        return "copied a socket of another process"


def _copy_descriptor_own() -> str:
    return _copy_descriptor(True)


def _read_memory() -> str:
    buffer = ctypes.create_string_buffer(b"before", 8)

    def write() -> None:
        buffer.value = b"after"

    with _sleeper(write, related=False) as pid:
        into = ctypes.create_string_buffer(8)
        local = ctypes.create_string_buffer(struct.pack("=QQ", ctypes.addressof(into), 8), 16)
        remote = ctypes.create_string_buffer(struct.pack("=QQ", ctypes.addressof(buffer), 8), 16)
        read = _libc().process_vm_readv(pid, local, ctypes.c_ulong(1), remote, ctypes.c_ulong(1), ctypes.c_ulong(0))
        _checked("process_vm_readv", read)
        if into.value != b"after":
            raise Refused("process_vm_readv", errno.EFAULT)
        return "read memory of another process"


def _unshare(flags: int) -> None:
    _checked("unshare", _libc().unshare(flags))


def _write(path: str, text: str) -> None:
    with _step(f"write {path}"), open(path, "w") as file:
        file.write(text)


def _own_user_namespace(more: int = 0) -> None:
    uid, gid = os.geteuid(), os.getegid()
    _unshare(_CLONE_NEWUSER | more)
    # Without setgroups(2) given up, an ordinary user may not map a group: user_namespaces(7).
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{uid} {uid} 1")
    _write("/proc/self/gid_map", f"{gid} {gid} 1")


def _user_namespace() -> str:
    _unshare(_CLONE_NEWUSER)
    return "made a user namespace"


def _user_map() -> str:
    _own_user_namespace()
    return "kept the user's own id inside it"


def _private_network() -> str:
    _own_user_namespace(_CLONE_NEWNET)
    with _step("socket(AF_INET)"):
        asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with asking, _step("SIOCSIFFLAGS lo"):
        fcntl.ioctl(asking, _SIOCSIFFLAGS, struct.pack("=16sH14x", b"lo", _IFF_UP))
    with _step("socket(AF_NETLINK)"):
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).close()
    return _capture_loopback()


def _capture_loopback() -> str:
    with _step("socket(AF_PACKET)"):
        capture = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
    with capture, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        with _step("bind(AF_PACKET)"):
            capture.bind(("lo", _ETH_P_ALL))
        mark = os.urandom(16)
        with _step("sendto(127.0.0.1)"):
            sender.sendto(mark, ("127.0.0.1", 9))  # discard: nobody need listen
        capture.settimeout(3.0)
        with _step("recv(AF_PACKET)"):
            while mark not in capture.recv(65536):
                pass
    return "captured a datagram of its own on the loopback"


def _guardian_capture() -> str:
    """Whether a trace has the wire: the guardian may have been given what this process lacks."""
    from ..trace.recording import Recording
    from ..trace.run import run

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "probe.wsrec"
        try:
            run(["true"], output=path)
        except WallsocketError:
            # No trace at all has a row of its own; this one is about the socket.
            return _capture_loopback()
        with Recording.open(path) as recording:
            if recording.meta.get("wire") == "yes":
                return "a traced program's frames are recorded"
    raise Refused("socket(AF_PACKET)", errno.EPERM)


def _diagnose_sockets() -> str:
    with _step("socket(NETLINK_SOCK_DIAG)"):
        asking = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG)
    with asking, socket.create_server(("127.0.0.1", 0)) as listener:
        inode = os.fstat(listener.fileno()).st_ino
        # struct inet_diag_req_v2: all listening IPv4 TCP sockets, without extensions (linux/inet_diag.h).
        request = struct.pack("=BBBxI", socket.AF_INET, socket.IPPROTO_TCP, 0, 1 << 10) + bytes(48)
        head = struct.pack("=IHHII", 16 + len(request), _SOCK_DIAG_BY_FAMILY, 0x301, 1, 0)  # REQUEST | DUMP
        asking.settimeout(3.0)
        with _step("sock_diag"):
            asking.send(head + request)
            while True:
                answer = asking.recv(65536)
                for kind, body in _messages(answer):
                    if kind == _SOCK_DIAG_BY_FAMILY and struct.unpack_from("=I", body, 68)[0] == inode:
                        return "found a listener of its own"
                    if kind == 2:  # NLMSG_ERROR
                        raise Refused("sock_diag", -struct.unpack_from("=i", body)[0])
                    if kind == 3:  # NLMSG_DONE
                        raise Refused("sock_diag", errno.ENOENT)


def _messages(answer: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and body of each netlink message."""
    at = 0
    while at + 16 <= len(answer):
        length, kind = struct.unpack_from("=IH", answer, at)
        if length < 16:
            return
        yield kind, answer[at + 16 : at + length]
        at += (length + 3) & ~3


def _deaths() -> str:
    with _step("socket(NETLINK_SOCK_DIAG)"):
        listening = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG)
    with listening:
        with _step("NETLINK_ADD_MEMBERSHIP"):
            listening.bind((0, 0))
            listening.setsockopt(_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, _SKNLGRP_INET_TCP_DESTROY)
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            client = socket.create_connection(("127.0.0.1", port))
            server.accept()[0].close()
            client.close()
        listening.settimeout(3.0)
        with _step("recv of a destroyed socket"):
            while True:
                for kind, body in _messages(listening.recv(65536)):
                    # struct inet_diag_msg: family, state, timer, retrans, then the ports in network order.
                    if kind == _SOCK_DIAG_BY_FAMILY and port in struct.unpack_from(">HH", body, 4):
                        return "was told of a socket's end"


def _capture_filter() -> str:
    try:
        library = ctypes.CDLL("libpcap.so.0.8")
    except OSError:
        try:
            library = ctypes.CDLL("libpcap.so.1")
        except OSError:
            raise _Missing("libpcap.so is not installed") from None
    library.pcap_open_dead.restype = ctypes.c_void_p
    library.pcap_compile.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint32]
    library.pcap_lib_version.restype = ctypes.c_char_p
    handle = library.pcap_open_dead(1, 65535)
    program = ctypes.create_string_buffer(16)
    if library.pcap_compile(handle, program, b"tcp port 80", 1, 0xFFFFFFFF) != 0:
        raise Refused("pcap_compile", errno.EINVAL)
    version: bytes = library.pcap_lib_version()
    return version.decode(errors="replace")


def _firewall() -> str:
    program = shutil.which("nft", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin:/usr/local/sbin")
    if program is None:
        raise _Missing("nft is not installed")
    _own_user_namespace(_CLONE_NEWNET)
    # An ordinary user's program loses the namespace's capabilities at exec unless they are ambient.
    _keep_capabilities()
    shown = subprocess.run([program, "add", "table", "inet", "probe"], capture_output=True, text=True, check=False)
    if shown.returncode != 0:
        code = errno.EPERM if "not permitted" in shown.stderr else errno.EOPNOTSUPP
        raise Refused(f"nft: {shown.stderr.strip()[:120]}", code)
    return "made a table in a private network"


def _keep_capabilities() -> None:
    libc = _libc()
    header = ctypes.create_string_buffer(struct.pack("=Ii", 0x20080522, 0), 8)  # _LINUX_CAPABILITY_VERSION_3
    data = ctypes.create_string_buffer(24)
    _checked("capget", libc.capget(header, data))
    effective, permitted, _, effective_high, permitted_high, _ = struct.unpack("=6I", data.raw)
    data.raw = struct.pack("=6I", effective, permitted, permitted, effective_high, permitted_high, permitted_high)
    _checked("capset", libc.capset(header, data))
    for capability in range(64):
        if (permitted | permitted_high << 32) >> capability & 1:
            libc.prctl(47, 2, capability, 0, 0)  # PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE


PROBES: Final = (
    Probe("ptrace", "trace and explain a command", _trace_own, essential=True),
    Probe("ptrace of others", "trace -p, explain -p: attach to a running program", _trace_other),
    Probe("seccomp filter", "trace at low cost: only socket calls stop the program", _filter, essential=True),
    Probe("pidfd_getfd", "state, queues and options of traced sockets", _copy_descriptor_own),
    Probe("process_vm_readv", "inspect: Python lines of a running program", _read_memory),
    Probe("sock_diag", "sockets of the machine: inspect, listeners nearby", _diagnose_sockets),
    Probe("sock_diag destroy", "last values of a socket at its end", _deaths),
    Probe("user namespace", "--lab and lab without root", _user_namespace),
    Probe("uid_map", "--lab and lab: keep the user's own id", _user_map),
    Probe("private network", "--lab: the wire without root", _private_network),
    Probe("CAP_NET_RAW", "trace, explain: the wire without --lab", _guardian_capture),
    Probe("packet socket", "capture, inject, replay, arp", _capture_loopback),
    Probe("nft", "firewalls and address translation in a lab", _firewall),
    Probe("libpcap", "capture filters in tcpdump's language", _capture_filter),
)
