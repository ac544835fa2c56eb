"""Which setting refused a feature, and the line that allows it: read only after a probe was refused."""

from __future__ import annotations

import errno
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from .probes import Probe, Result
from .row import Row, Status

__all__ = ["GUARDIAN", "HOLDER", "explain"]

#: The program that traces; where a permission can be given to one program, it is given to this one.
GUARDIAN: Final = Path(__file__).resolve().parent.parent / "trace" / "guardian"
#: The program that makes a lab's namespaces.
HOLDER: Final = Path(__file__).resolve().parent.parent / "lab" / "holder"


class _Reason(NamedTuple):
    refused_by: str
    allow: str = ""


def explain(probe: Probe, result: Result) -> Row:
    """The row of a probe: what refused it, what allows it, what works without."""
    refused = _refusal(probe.name, result)
    if result.works:
        return Row(probe.name, Status.WORKS, probe.purpose, result.detail, essential=probe.essential)
    if result.missing:
        install = _INSTALL.get(probe.name, "")
        return Row(
            probe.name,
            Status.MISSING,
            probe.purpose,
            result.detail,
            allow=install,
            without=_WITHOUT.get(probe.name, ""),
        )
    if refused is None:
        return Row(probe.name, Status.UNKNOWN, probe.purpose, result.detail, essential=probe.essential)
    return Row(
        probe.name,
        Status.REFUSED,
        probe.purpose,
        f"{result.step}: {errno.errorcode.get(result.code, result.code)}",
        refused.refused_by,
        refused.allow,
        _WITHOUT.get(probe.name, ""),
        probe.essential,
    )


def _refusal(name: str, result: Result) -> _Reason | None:
    if result.works or result.missing or not result.code:
        return None
    if result.code == errno.ENOSYS:
        return _filtered("this kernel was built without it, or a seccomp filter hides it")
    return _WHO.get(name, _anyone)(result)


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


def _filtered(otherwise: str = "unknown", *, calls: str = "it") -> _Reason:
    """A seccomp filter when there is one on this process, for then it is the only policy left that answers so."""
    if _status("Seccomp") == "2":
        return _Reason(
            "a seccomp filter of the container or sandbox that this runs in",
            f"docker run --security-opt seccomp=PROFILE.json …, a copy of the default profile that allows {calls}",
        )
    return _Reason(otherwise)


def _anyone(result: Result) -> _Reason:
    return _filtered()


def _setcap(capability: str) -> str:
    return f"sudo setcap {capability}+ep {shlex.quote(str(GUARDIAN))}"


def _ptrace(result: Result) -> _Reason:
    scope = _read("/proc/sys/kernel/yama/ptrace_scope")
    name = f"Yama: kernel.yama.ptrace_scope = {scope}"
    if scope == "3":
        return _Reason(
            f"{name}, no tracing at all until the next boot", "boot with kernel.yama.ptrace_scope = 2 or less"
        )
    if scope == "2":
        return _Reason(f"{name}, only with CAP_SYS_PTRACE", _setcap("cap_sys_ptrace"))
    return _filtered(calls="ptrace")


def _ptrace_others(result: Result) -> _Reason:
    scope = _read("/proc/sys/kernel/yama/ptrace_scope")
    if scope == "1":
        return _Reason(
            "Yama: kernel.yama.ptrace_scope = 1, only a program's own children may be traced", _setcap("cap_sys_ptrace")
        )
    return _ptrace(result)


def _memory(result: Result) -> _Reason:
    scope = _read("/proc/sys/kernel/yama/ptrace_scope")
    if scope in ("1", "2"):
        return _Reason(
            f"Yama: kernel.yama.ptrace_scope = {scope}, other programs' memory may not be read",
            "sudo wallsocket inspect …",
        )
    return _filtered(calls="process_vm_readv")


def _getfd(result: Result) -> _Reason:
    scope = _read("/proc/sys/kernel/yama/ptrace_scope")
    if scope in ("2", "3"):
        return _ptrace(result)
    return _filtered(calls="pidfd_getfd")


def _namespace(result: Result) -> _Reason:
    if result.code == errno.ENOSPC:
        limit = _read("/proc/sys/user/max_user_namespaces")
        return _Reason(
            f"user.max_user_namespaces = {limit or 'unknown'}" + ("" if limit == "0" else ", or as many exist already"),
            "sudo sysctl user.max_user_namespaces=15000   (no line for one program alone)",
        )
    if _read("/proc/sys/kernel/unprivileged_userns_clone") == "0":
        return _Reason(
            "kernel.unprivileged_userns_clone = 0 (Debian's kernels)",
            "sudo sysctl kernel.unprivileged_userns_clone=1   (no line for one program alone)",
        )
    if result.step == "unshare" and _in_chroot():
        return _Reason("a chroot: no user namespace can be made inside one: user_namespaces(7)")
    if _read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
        both = f"{{{GUARDIAN},{HOLDER}}}"
        profile = f"abi <abi/4.0>,\\nprofile wallsocket {both} flags=(unconfined) {{ userns, }}\\n"
        return _Reason(
            "AppArmor: kernel.apparmor_restrict_unprivileged_userns = 1 (Ubuntu)",
            f"printf {shlex.quote(profile)} | sudo tee /etc/apparmor.d/wallsocket && "
            "sudo apparmor_parser -r /etc/apparmor.d/wallsocket",
        )
    return _filtered(calls="unshare and clone with CLONE_NEWUSER")


def _in_chroot() -> bool:
    """Whether our root is not init's; only root can tell."""
    try:
        return not os.path.samefile("/", "/proc/1/root/")
    except OSError:
        return False


def _raw(result: Result) -> _Reason:
    if result.code == errno.EPERM and not _has_capability(13):
        return _Reason(
            "the kernel: capturing needs CAP_NET_RAW, which an ordinary user has not", _setcap("cap_net_raw")
        )
    return _filtered(calls="socket(AF_PACKET)")


def _has_capability(number: int) -> bool:
    effective = _status("CapEff")
    return bool(effective) and int(effective, 16) >> number & 1 == 1


def _diag(result: Result) -> _Reason:
    if result.code == errno.ENOENT:
        return _Reason("this kernel has no inet_diag", "sudo modprobe -a inet_diag tcp_diag udp_diag unix_diag")
    return _filtered(calls="socket(AF_NETLINK)")


def _nft(result: Result) -> _Reason:
    return _namespace(result) if result.step in ("unshare",) or "uid_map" in result.step else _filtered()


_WHO: Final[dict[str, Callable[[Result], _Reason]]] = {
    "ptrace": _ptrace,
    "ptrace of others": _ptrace_others,
    "pidfd_getfd": _getfd,
    "process_vm_readv": _memory,
    "sock_diag": _diag,
    "sock_diag destroy": _diag,
    "user namespace": _namespace,
    "uid_map": _namespace,
    "private network": _namespace,
    "CAP_NET_RAW": _raw,
    "nft": _nft,
}

_WITHOUT: Final = {
    "ptrace": "inspect, lab and the endpoints work without it",
    "ptrace of others": "start the program under wallsocket trace; inspect needs no ptrace",
    "seccomp filter": "wallsocket trace -p: attaching installs no filter",
    "pidfd_getfd": "calls and wire are recorded; findings that need the kernel's view say that they cannot tell",
    "process_vm_readv": "inspect shows calls, sockets and queues; Python lines stay unknown",
    "sock_diag": "calls are recorded; listeners nearby and peers stay unknown",
    "sock_diag destroy": "a socket's last values are those at its last call",
    "user namespace": "without --lab: calls and kernel; as root also the wire",
    "uid_map": "without --lab: calls and kernel; as root also the wire",
    "private network": "without --lab: calls and kernel; as root also the wire",
    "CAP_NET_RAW": "--lab has the wire: a private network, without root",
    "nft": "labs without firewalls and address translation",
    "libpcap": "captures without a filter, or filtered when they are shown",
}

_INSTALL: Final = {
    "nft": "sudo apt-get install nftables",
    "libpcap": "sudo apt-get install libpcap0.8",
}
