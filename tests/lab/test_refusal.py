"""Machines that allow no namespaces, by denial filters that behave as they do."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.lab.apart import Apart, wait_until

#: Installs a seccomp filter in this process (seccomp(2)): classic BPF over struct seccomp_data, nr at 0, arguments from 16.
FILTER = """
import ctypes, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
def install(instructions):
    program = b"".join(struct.pack("HBBI", *instruction) for instruction in instructions)
    buffer = ctypes.create_string_buffer(program)
    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
    wanted = Program(len(instructions), ctypes.addressof(buffer))
    assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
    assert libc.prctl(22, 2, ctypes.byref(wanted), 0, 0) == 0  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
LOAD, EQUAL, MASK, GREATER, RETURN = 0x20, 0x15, 0x45, 0x25, 0x06
ALLOW, EPERM = 0x7FFF0000, 0x00050001
UNSHARE, WRITE = 272, 1
"""

#: Docker's default profile: unshare gives EPERM.
NO_UNSHARE = (
    FILTER
    + """
install([(LOAD, 0, 0, 0), (EQUAL, 0, 1, UNSHARE), (RETURN, 0, 0, EPERM), (RETURN, 0, 0, ALLOW)])
"""
)

#: Ubuntu's AppArmor: unshare works, but the new namespace has no rights, so that the write of uid_map gives EPERM. Nothing
#: else in the programs concerned writes 2 to 20 bytes to a descriptor above 2; a map of one id is that short.
NO_MAP = (
    FILTER
    + """
install([
    (LOAD, 0, 0, 0), (EQUAL, 0, 5, WRITE),
    (LOAD, 0, 0, 16), (GREATER, 0, 3, 2),
    (LOAD, 0, 0, 32), (GREATER, 1, 0, 20),
    (RETURN, 0, 0, EPERM), (RETURN, 0, 0, ALLOW),
])
"""
)

#: Root's own way out: only user namespaces are refused (CLONE_NEWUSER is 0x10000000).
NO_USER = (
    FILTER
    + """
install([
    (LOAD, 0, 0, 0), (EQUAL, 0, 3, UNSHARE),
    (LOAD, 0, 0, 16), (MASK, 0, 1, 0x10000000),
    (RETURN, 0, 0, EPERM), (RETURN, 0, 0, ALLOW),
])
"""
)

TRY = """
from wallsocket import lab, errors
try:
    lab.hosts("a", "b")
except errors.NotPermitted as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("denial", "what"),
    [(NO_UNSHARE, "unshare(CLONE_NEWUSER)"), (NO_MAP, "write /proc/self/")],
    ids=["docker", "ubuntu"],
)
def test_a_refusal_names_what_was_refused_by_whom_and_what_allows_it(apart: Apart, denial: str, what: str) -> None:
    process = apart.start(denial + TRY)
    output, errors = process.communicate(timeout=60)
    assert errors == ""
    assert output.startswith(f"a lab needs a user and network namespace: cannot {what}")
    assert "Operation not permitted" in output
    # The filter of the test is a seccomp filter, so that is the setting that is found.
    assert "; a seccomp filter of the container or sandbox that this runs in; allow it with: docker run" in output
    wait_until(lambda: not apart.left(), "no process is left")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can do without user namespaces")
def test_root_without_user_namespaces_gets_plain_ones(apart: Apart) -> None:
    program = (
        NO_USER
        + """
from wallsocket import lab
with lab.hosts("a", "b", loss="10%") as (a, b):
    link = a.lab.link_between(a, b)
    link.clear()
    print(a.run("ping -n -c 1 -W 5 b", capture_output=True).returncode, link.counters(b)["sent"] > 0)
"""
    )
    process = apart.start(program)
    output, errors = process.communicate(timeout=60)
    assert (output, errors) == ("0 True\n", "")
    wait_until(lambda: not apart.left(), "no process is left")


@pytest.mark.parametrize(
    ("limit", "value", "what"),
    [
        ("max_user_namespaces", 0, "unshare(CLONE_NEWUSER)"),
        ("max_net_namespaces", 1, "unshare(CLONE_NEWNET)"),
        ("max_mnt_namespaces", 1, "unshare(CLONE_NEWNS)"),
        ("max_pid_namespaces", 0, "unshare(CLONE_NEWPID)"),
    ],
)
def test_the_real_limits_of_namespaces_are_named(apart: Apart, limit: str, value: int, what: str) -> None:
    # Inside a user namespace of its own everybody may lower the limits for what is made below it.
    if subprocess.run(["unshare", "--map-root-user", "true"], capture_output=True, check=False).returncode:
        pytest.skip("user namespaces are refused here")
    program = f"""
open("/proc/sys/user/{limit}", "w").write("{value}")
from wallsocket import lab, errors
try:
    with lab.hosts("a", "b") as (a, b):
        a.run("true")
except errors.NotPermitted as error:
    print(error)
"""
    process = apart.start(program, under=("unshare", "--map-root-user"))
    output, errors = process.communicate(timeout=60)
    if limit == "max_user_namespaces":
        # The caller is root there, and root does without.
        assert (output, errors) == ("", "")
    else:
        assert errors == ""
        assert output.startswith(
            f"a lab needs a user and network namespace: cannot {what}: No space left on device; user.{limit} = {value}"
        )
        assert f"allow it with: sudo sysctl user.{limit}=15000" in output
    wait_until(lambda: not apart.left(), "no process is left")


def test_a_missing_helper_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from wallsocket import lab
    from wallsocket.errors import NotAvailable
    from wallsocket.lab import network, refusal

    monkeypatch.setattr(network, "helper", lambda: "/no/such/holder")
    monkeypatch.setattr(refusal, "helper", lambda: "/no/such/holder")
    with pytest.raises(NotAvailable, match="/no/such/holder; install the package again"):
        lab.hosts("a", "b")
