"""Which setting is named for a refusal: settings that this machine does not have are put in place of its files."""

from __future__ import annotations

import errno
import os
import shlex
from pathlib import Path

import pytest

from wallsocket.kernel import refusal

YAMA = "/proc/sys/kernel/yama/ptrace_scope"
STATUS = "/proc/self/status"


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the files of the machine say; all others are absent. An ordinary user, no filter, no chroot."""
    files = {STATUS: "CapEff:\t0000000000000000\nSeccomp:\t0"}
    monkeypatch.setattr(refusal, "_read", lambda path: files.get(path, ""))
    monkeypatch.setattr(refusal, "_in_chroot", lambda: False)
    return files


@pytest.mark.parametrize(
    ("path", "value", "code", "step", "by", "allow"),
    [
        (
            "user/max_user_namespaces",
            "0",
            errno.ENOSPC,
            "unshare(CLONE_NEWUSER)",
            "user.max_user_namespaces = 0",
            "sudo sysctl user.max_user_namespaces=",
        ),
        (
            "user/max_user_namespaces",
            "5",
            errno.ENOSPC,
            "unshare",
            "user.max_user_namespaces = 5, or as many",
            "sudo sysctl",
        ),
        (
            "user/max_net_namespaces",
            "3",
            errno.ENOSPC,
            "unshare(CLONE_NEWNET)",
            "user.max_net_namespaces = 3",
            "sysctl user.max_net_namespaces=",
        ),
        (
            "kernel/unprivileged_userns_clone",
            "0",
            errno.EPERM,
            "unshare",
            "kernel.unprivileged_userns_clone = 0",
            "unprivileged_userns_clone=1",
        ),
        (
            "kernel/apparmor_restrict_unprivileged_userns",
            "1",
            errno.EPERM,
            "write /proc/self/uid_map",
            "AppArmor",
            "/etc/apparmor.d/wallsocket",
        ),
    ],
)
def test_settings_that_refuse_namespaces(
    settings: dict[str, str], path: str, value: str, code: int, step: str, by: str, allow: str
) -> None:
    settings[f"/proc/sys/{path}"] = value
    found = refusal.namespace(code, step)
    assert found.by.startswith(by)
    assert allow in found.allow
    assert str(found) == f"{found.by}; allow it with: {found.allow}"


def test_one_profile_allows_both_programs(settings: dict[str, str]) -> None:
    settings["/proc/sys/kernel/apparmor_restrict_unprivileged_userns"] = "1"
    allow = refusal.namespace(errno.EACCES).allow
    assert f"{{{refusal.GUARDIAN},{refusal.HOLDER}}} flags=(unconfined) {{ userns, }}" in allow


@pytest.mark.parametrize("setting", ["unprivileged_userns_clone", "apparmor_restrict_unprivileged_userns"])
def test_what_concerns_ordinary_users_is_no_reason_for_root(settings: dict[str, str], setting: str) -> None:
    settings[f"/proc/sys/kernel/{setting}"] = "0" if "clone" in setting else "1"
    settings[STATUS] = "CapEff:\t000001ffffffffff\nSeccomp:\t0"
    assert refusal.namespace(errno.EPERM).by == refusal.UNKNOWN


@pytest.mark.parametrize(
    ("scope", "function", "by", "allow"),
    [
        ("1", refusal.ptrace, refusal.UNKNOWN, ""),
        ("1", refusal.ptrace_of_others, "Yama: kernel.yama.ptrace_scope = 1", "/wallsocket trace -p PID"),
        ("1", refusal.memory, "Yama: kernel.yama.ptrace_scope = 1", "/wallsocket inspect PID"),
        ("1", refusal.pidfd_getfd, refusal.UNKNOWN, ""),
        ("2", refusal.ptrace, "Yama: kernel.yama.ptrace_scope = 2", "/wallsocket trace -u "),
        ("2", refusal.ptrace_of_others, "Yama: kernel.yama.ptrace_scope = 2", "/wallsocket trace -p PID"),
        ("2", refusal.pidfd_getfd, "Yama: kernel.yama.ptrace_scope = 2", "/wallsocket trace -u "),
        ("3", refusal.ptrace_of_others, "Yama: kernel.yama.ptrace_scope = 3", "boot with"),
        ("3", refusal.memory, "Yama: kernel.yama.ptrace_scope = 3", "boot with"),
    ],
)
def test_yama(settings: dict[str, str], scope: str, function: object, by: str, allow: str) -> None:
    settings[YAMA] = scope
    found = function()  # type: ignore[operator]
    assert found.by.startswith(by)
    assert allow in found.allow


def test_a_filter_is_named_only_where_there_is_one(settings: dict[str, str]) -> None:
    assert refusal.ptrace() == refusal.Refusal(refusal.UNKNOWN)
    assert str(refusal.ptrace()) == "no setting that is known to refuse it is on"
    assert "seccomp filter hides it" in refusal.ptrace(errno.ENOSYS).by
    settings[STATUS] = "CapEff:\t0\nSeccomp:\t2"
    for found in (refusal.ptrace(), refusal.namespace(errno.EPERM), refusal.sock_diag(), refusal.seccomp_filter()):
        assert found.by.startswith("a seccomp filter of the container")
        assert found.allow.startswith("docker run --security-opt seccomp=PROFILE.json")


def test_frames_want_a_capability(settings: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusal, "GUARDIAN", Path("/opt/some where/guardian"))
    assert refusal.guardian_capture().allow == "sudo setcap cap_net_raw+ep '/opt/some where/guardian'"
    assert refusal.frames().allow == refusal.as_root("capture …")
    settings[STATUS] = "CapEff:\t0000000000002000\nSeccomp:\t2"
    assert "socket(AF_PACKET)" in refusal.frames().allow
    assert "socket(AF_PACKET)" in refusal.guardian_capture().allow


def test_root_needs_the_full_path() -> None:
    sudo, program, *arguments = shlex.split(refusal.as_root("trace -p PID"))
    assert (sudo, arguments) == ("sudo", ["trace", "-p", "PID"])
    assert os.path.isabs(program)
    assert os.access(program, os.X_OK)


def test_no_advice_gives_an_interpreter_or_a_tracer_a_capability(settings: dict[str, str]) -> None:
    for scope in "0123":
        settings[YAMA] = scope
        for function in (
            refusal.frames,
            refusal.guardian_capture,
            refusal.memory,
            refusal.pidfd_getfd,
            refusal.ptrace,
            refusal.ptrace_of_others,
        ):
            allow = function().allow
            assert "cap_sys_ptrace" not in allow
            assert "setcap" not in allow or allow == f"sudo setcap cap_net_raw+ep {refusal.GUARDIAN}"
