"""Which setting of this machine refuses something, and the line that allows it: for our programs alone where there is one.

Asked only after the kernel has refused: nothing is concluded from settings alone. Each function takes the errno, and
where it matters what was tried, and names the setting that explains it.

No line gives a Python interpreter a capability, for all programs that it runs would have it, and none gives a program
CAP_SYS_PTRACE, for whoever may run it could then read every process of the machine: root does these things, once.
"""

from __future__ import annotations

import errno
import os
import pwd
import shlex
import sys
from pathlib import Path
from typing import Final, NamedTuple

__all__ = [
    "GUARDIAN",
    "HOLDER",
    "LIBRARY",
    "UNKNOWN",
    "Refusal",
    "as_root",
    "frames",
    "guardian_capture",
    "memory",
    "namespace",
    "pidfd_getfd",
    "ptrace",
    "ptrace_of_others",
    "seccomp_filter",
    "sock_diag",
]

_PACKAGE: Final = Path(__file__).resolve().parent.parent
#: The program that traces; where a permission can be given to one program, it is given to this one.
GUARDIAN: Final = _PACKAGE / "trace" / "guardian"
#: The program that makes a lab's namespaces.
HOLDER: Final = _PACKAGE / "lab" / "holder"
#: What ``trace --via preload`` has a program load.
LIBRARY: Final = _PACKAGE / "trace" / "preload.so"

#: What ``Refusal.by`` says when no setting explains it.
UNKNOWN: Final = "unknown"

# Numbers of capabilities: linux/capability.h.
_CAP_NET_RAW, _CAP_SYS_ADMIN = 13, 21

#: The limit of each kind of namespace, by the flag that makes one (namespaces(7)).
_LIMITS: Final = {
    "CLONE_NEWNET": "max_net_namespaces",
    "CLONE_NEWNS": "max_mnt_namespaces",
    "CLONE_NEWPID": "max_pid_namespaces",
}


class Refusal(NamedTuple):
    """Who refuses, and what to do about it."""

    by: str
    """The setting or policy, with its value."""
    allow: str = ""
    """The command that allows it; empty where none is known."""

    def __str__(self) -> str:
        if self.by == UNKNOWN:
            return "no setting that is known to refuse it is on"
        return f"{self.by}; allow it with: {self.allow}" if self.allow else self.by


def _read(path: str) -> str:
    """A setting's value; empty where the file does not exist or may not be read."""
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _status(key: str) -> str:
    for line in _read("/proc/self/status").splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return value.strip()
    return ""


def _has_capability(number: int) -> bool:
    effective = _status("CapEff")
    return bool(effective) and int(effective, 16) >> number & 1 == 1


def _yama() -> str:
    return _read("/proc/sys/kernel/yama/ptrace_scope")


def as_root(arguments: str) -> str:
    """The line that runs ``wallsocket ARGUMENTS`` as root: with its full path, for sudo looks in no virtual environment."""
    command = Path(sys.executable).with_name("wallsocket")
    words = [str(command)] if os.access(command, os.X_OK) else [sys.executable, "-m", "wallsocket"]
    return f"sudo {shlex.join(words)} {arguments}"


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a container's user without an entry
        return str(os.geteuid())


def seccomp_filter(code: int = errno.EPERM, *, calls: str = "it") -> Refusal:
    """A seccomp filter when there is one on this process, for then it is the only policy left that answers so."""
    if _status("Seccomp") == "2":
        return Refusal(
            "a seccomp filter of the container or sandbox that this runs in",
            f"docker run --security-opt seccomp=PROFILE.json …, a copy of the default profile that allows {calls}",
        )
    if code == errno.ENOSYS:
        return Refusal("this kernel was built without it, or a seccomp filter hides it")
    return Refusal(UNKNOWN)


def ptrace(code: int = errno.EPERM) -> Refusal:
    """Tracing one's own child."""
    scope = _yama()
    name = f"Yama: kernel.yama.ptrace_scope = {scope}"
    if scope == "3":
        return Refusal(
            f"{name}, no tracing at all until the next boot", "boot with kernel.yama.ptrace_scope = 2 or less"
        )
    if scope == "2":
        return Refusal(f"{name}, only with CAP_SYS_PTRACE", as_root(f"trace -u {_user()} -- COMMAND"))
    return seccomp_filter(code, calls="ptrace")


def ptrace_of_others(code: int = errno.EPERM) -> Refusal:
    """Tracing a process of the same user that is no child."""
    if _yama() == "1":
        return Refusal(
            "Yama: kernel.yama.ptrace_scope = 1, only a program's own children may be traced", as_root("trace -p PID")
        )
    found = ptrace(code)
    return found._replace(allow=as_root("trace -p PID")) if _yama() == "2" else found


def memory(code: int = errno.EPERM) -> Refusal:
    """Reading the memory of another process of the same user."""
    scope = _yama()
    if scope in ("1", "2", "3"):
        return Refusal(
            f"Yama: kernel.yama.ptrace_scope = {scope}, other programs' memory may not be read",
            as_root("inspect PID") if scope != "3" else "boot with kernel.yama.ptrace_scope = 2 or less",
        )
    return seccomp_filter(code, calls="process_vm_readv")


def pidfd_getfd(code: int = errno.EPERM) -> Refusal:
    """Copying a descriptor of a traced process."""
    if _yama() in ("2", "3"):
        return ptrace(code)
    return seccomp_filter(code, calls="pidfd_getfd")


def namespace(code: int, step: str = "unshare") -> Refusal:
    """Making a user namespace, another one inside it, or mapping one's own id into it.

    Args:
        code: the errno.
        step: what was tried, such as ``unshare(CLONE_NEWNET)`` or ``write /proc/self/uid_map``.
    """
    if code in (errno.ENOSPC, errno.EUSERS):
        limit = next((name for flag, name in _LIMITS.items() if flag in step), "max_user_namespaces")
        value = _read(f"/proc/sys/user/{limit}")
        return Refusal(
            f"user.{limit} = {value or 'unknown'}" + ("" if value == "0" else ", or as many exist already"),
            f"sudo sysctl user.{limit}=15000   (no line for one program alone)",
        )
    privileged = _has_capability(_CAP_SYS_ADMIN)
    if _read("/proc/sys/kernel/unprivileged_userns_clone") == "0" and not privileged:
        return Refusal(
            "kernel.unprivileged_userns_clone = 0 (Debian's kernels)",
            "sudo sysctl kernel.unprivileged_userns_clone=1   (no line for one program alone)",
        )
    if step.startswith("unshare") and _in_chroot():
        return Refusal("a chroot: no user namespace can be made inside one: user_namespaces(7)")
    if _read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1" and not privileged:
        both = f"{{{GUARDIAN},{HOLDER}}}"
        profile = f"abi <abi/4.0>,\\nprofile wallsocket {both} flags=(unconfined) {{ userns, }}\\n"
        return Refusal(
            "AppArmor: kernel.apparmor_restrict_unprivileged_userns = 1 (Ubuntu)",
            f"printf {shlex.quote(profile)} | sudo tee /etc/apparmor.d/wallsocket && "
            "sudo apparmor_parser -r /etc/apparmor.d/wallsocket",
        )
    return seccomp_filter(code, calls="unshare and clone with CLONE_NEWUSER")


def _in_chroot() -> bool:
    """Whether our root is not init's; only root can tell."""
    try:
        return not os.path.samefile("/", "/proc/1/root/")
    except OSError:
        return False


def frames(code: int = errno.EPERM) -> Refusal:
    """Making a packet or raw socket, in this process."""
    if code == errno.EPERM and not _has_capability(_CAP_NET_RAW):
        return Refusal(
            "the kernel: frames need CAP_NET_RAW, which an ordinary user does not have", as_root("capture …")
        )
    return seccomp_filter(code, calls="socket(AF_PACKET)")


def guardian_capture(code: int = errno.EPERM) -> Refusal:
    """Capturing beside a traced program: the guardian does that, a program of its own that can be given the capability.

    What it traces does not get it: the capability is neither inheritable nor ambient (capabilities(7)).
    """
    found = frames(code)
    if code == errno.EPERM and found.by.startswith("the kernel"):
        return found._replace(allow=f"sudo setcap cap_net_raw+ep {shlex.quote(str(GUARDIAN))}")
    return found


def sock_diag(code: int = errno.EPERM) -> Refusal:
    """Asking for the sockets of the machine."""
    if code == errno.ENOENT:
        return Refusal("this kernel has no inet_diag", "sudo modprobe -a inet_diag tcp_diag udp_diag unix_diag")
    return seccomp_filter(code, calls="socket(AF_NETLINK)")
