"""From a probe's result to its row: who refused it, the line that allows it, and what works without."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Final

from ..kernel import refusal
from .probes import Probe, Result
from .row import Row, Status

__all__ = ["explain"]


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
        refused.by,
        refused.allow,
        _WITHOUT.get(probe.name, ""),
        probe.essential,
    )


def _refusal(name: str, result: Result) -> refusal.Refusal | None:
    if result.works or result.missing or not result.code:
        return None
    if result.code == errno.ENOSYS:
        return refusal.seccomp_filter(result.code)
    return _WHO.get(name, _anyone)(result)


def _anyone(result: Result) -> refusal.Refusal:
    return refusal.seccomp_filter(result.code)


def _namespace(result: Result) -> refusal.Refusal:
    return refusal.namespace(result.code, result.step)


def _nft(result: Result) -> refusal.Refusal:
    inside = result.step == "unshare" or "uid_map" in result.step
    return _namespace(result) if inside else refusal.seccomp_filter(result.code)


_WHO: Final[dict[str, Callable[[Result], refusal.Refusal]]] = {
    "ptrace": lambda result: refusal.ptrace(result.code),
    "ptrace of others": lambda result: refusal.ptrace_of_others(result.code),
    "pidfd_getfd": lambda result: refusal.pidfd_getfd(result.code),
    "process_vm_readv": lambda result: refusal.memory(result.code),
    "sock_diag": lambda result: refusal.sock_diag(result.code),
    "sock_diag destroy": lambda result: refusal.sock_diag(result.code),
    "user namespace": _namespace,
    "uid_map": _namespace,
    "private network": _namespace,
    "CAP_NET_RAW": lambda result: refusal.guardian_capture(result.code),
    "packet socket": lambda result: refusal.frames(result.code),
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
    "packet socket": "in a lab all of them work, without root",
    "nft": "labs without firewalls and address translation",
    "libpcap": "captures without a filter, or filtered when they are shown",
}

_INSTALL: Final = {
    "nft": "sudo apt-get install nftables",
    "libpcap": "sudo apt-get install libpcap0.8",
}
