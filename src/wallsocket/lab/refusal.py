"""Why this machine allows no namespaces, and what would: the text of :class:`NotPermitted`."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

from ..errors import NotAvailable, NotPermitted
from .program import helper

__all__ = ["explain"]


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""


def _reason() -> str:
    """The setting that refuses, and the line that allows a lab. In the order in which they would hit."""
    if _read("/proc/sys/user/max_user_namespaces") == "0":
        return "the setting user.max_user_namespaces is 0; allow them with: sudo sysctl user.max_user_namespaces=10000"
    if _read("/proc/sys/kernel/unprivileged_userns_clone") == "0" and os.geteuid() != 0:
        return (
            "the setting kernel.unprivileged_userns_clone is 0; "
            "allow them with: sudo sysctl kernel.unprivileged_userns_clone=1"
        )
    if _read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1" and os.geteuid() != 0:
        profile = f"abi <abi/4.0>, profile wallsocket {helper()} flags=(unconfined) {{ userns, }}"
        return (
            "AppArmor (kernel.apparmor_restrict_unprivileged_userns is 1) gives user namespaces no rights; "
            f"allow this one program with: echo '{profile}' | sudo tee /etc/apparmor.d/wallsocket && "
            "sudo apparmor_parser -r /etc/apparmor.d/wallsocket"
        )
    status = _read("/proc/self/status")
    if "\nSeccomp:\t2" in status:
        return (
            "a seccomp filter of this container or service refuses it; allow it with: "
            "docker run --security-opt seccomp=unconfined (podman: the same), or run outside the container"
        )
    return "no setting that is known to refuse it is on; run as root, or see docs/lab.md, 'Refused'"


@contextlib.contextmanager
def explain() -> Iterator[None]:
    """Turn a refusal of namespaces into :class:`NotPermitted` with its reason, a missing helper into :class:`NotAvailable`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EACCES, errno.ENOEXEC) and not os.access(helper(), os.X_OK):
            raise NotAvailable(f"the lab's helper program is missing: {helper()}; install the package again") from error
        if error.errno in (errno.EPERM, errno.EACCES, errno.ENOSPC, errno.EUSERS):
            raise NotPermitted(f"a lab needs a user and network namespace: {error.strerror}; {_reason()}") from error
        raise
