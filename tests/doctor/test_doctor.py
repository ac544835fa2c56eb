"""Each feature is really tried: the real refusals of sandboxes and distributions give the row that names them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support import deny
from wallsocket.doctor import Status, machine, probes, reasons

DOCTOR = [sys.executable, "-m", "wallsocket", "doctor"]

# Without the folders where version managers keep interpreters: they are slow to ask, and not looked at in these tests.
FEW = {**os.environ, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}

pytestmark = pytest.mark.skipif(not deny.available(), reason="the denial filters are for x86-64")


def _rows(output: str) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    lines = [json.loads(line) for line in output.splitlines()]
    return {line["feature"]: line for line in lines[:-1]}, lines[-1]["summary"]


@pytest.fixture(scope="module")
def undisturbed() -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    shown = subprocess.run([*DOCTOR, "--json"], capture_output=True, text=True, check=False)
    assert shown.stderr == ""
    return _rows(shown.stdout)


def test_tells_the_truth_about_this_machine(undisturbed: tuple[dict[str, dict[str, Any]], dict[str, Any]]) -> None:
    rows, summary = undisturbed
    assert rows["kernel"]["detail"] == f"Linux {os.uname().release}"
    assert rows["guardian"]["status"] == "works"
    assert summary["rows"] == len(rows)
    # A second opinion where a tool of the distribution has one.
    made = subprocess.run(["unshare", "--map-current-user", "true"], capture_output=True, check=False).returncode == 0
    assert (rows["uid_map"]["status"] == "works") == made
    # Bit 13 is CAP_NET_RAW: capabilities(7).
    with open("/proc/self/status") as file:
        effective = next(int(line.split()[1], 16) for line in file if line.startswith("CapEff"))
    assert (rows["packet socket"]["status"] == "works") == bool(effective >> 13 & 1)
    version = ".".join(map(str, sys.version_info[:3]))
    if any(os.path.exists(f"{folder}/python3.{sys.version_info[1]}") for folder in os.environ["PATH"].split(":")):
        assert any(name.startswith("CPython 3.") for name in rows), f"{version} is on PATH"


# What is refused, the rows that it takes with it, and whether programs can still be traced.
REFUSALS = [
    ("unshare", {"user namespace": "EPERM", "uid_map": "EPERM", "private network": "EPERM", "nft": "EPERM"}, True),
    ("uid_map", {"uid_map": "EPERM", "private network": "EPERM", "nft": "EPERM"}, True),
    (
        "user_namespace_limit",
        {"user namespace": "ENOSPC", "uid_map": "ENOSPC", "private network": "ENOSPC", "nft": "ENOSPC"},
        True,
    ),
    ("ptrace", {"ptrace": "EPERM", "ptrace of others": "EPERM"}, False),
    ("process_vm_readv", {"process_vm_readv": "EPERM"}, True),
    ("pidfd_getfd", {"pidfd_getfd": "EPERM"}, True),
    ("sock_diag", {"sock_diag": "EPERM", "sock_diag destroy": "EPERM"}, True),
    ("packet", {"private network": "EPERM", "CAP_NET_RAW": "EPERM", "packet socket": "EPERM"}, True),
    ("seccomp", {"seccomp filter": "EPERM"}, False),
]


@pytest.mark.parametrize(("name", "expected", "traces"), REFUSALS, ids=[refusal[0] for refusal in REFUSALS])
def test_names_what_is_refused(
    name: str,
    expected: dict[str, str],
    traces: bool,
    undisturbed: tuple[dict[str, dict[str, Any]], dict[str, Any]],
) -> None:
    shown = deny.run([name], [*DOCTOR, "--json"], capture_output=True, text=True, check=False, env=FEW)
    assert shown.stderr == ""
    rows, summary = _rows(shown.stdout)
    before, _ = undisturbed
    for feature, code in expected.items():
        if before[feature]["status"] == "missing":
            continue
        assert rows[feature]["status"] == "refused", rows[feature]
        assert code in rows[feature]["detail"]
        assert rows[feature]["refused_by"]
        assert rows[feature]["without"]
    for feature, row in rows.items():
        if feature not in expected and before[feature]["status"] == "works":
            assert row["status"] == "works", row
    assert summary["can_trace"] is traces
    assert shown.returncode == (0 if traces else 1)


def test_a_seccomp_filter_is_named_with_what_to_allow() -> None:
    shown = deny.run(["unshare"], [*DOCTOR, "--json"], capture_output=True, text=True, check=False, env=FEW)
    row = _rows(shown.stdout)[0]["user namespace"]
    assert "seccomp filter" in row["refused_by"]
    assert "CLONE_NEWUSER" in row["allow"]
    assert "--privileged" not in row["allow"], "the line allows this and nothing more"


def test_the_real_limit_of_user_namespaces_is_named() -> None:
    # Inside a user namespace of its own everybody may lower the limit for what is made below it.
    lower = 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$0" "$@"'
    made = subprocess.run(["unshare", "--map-root-user", "true"], capture_output=True, check=False)
    if made.returncode != 0:
        pytest.skip("user namespaces are refused here")
    shown = subprocess.run(
        ["unshare", "--map-root-user", "sh", "-c", lower, *DOCTOR, "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    row = _rows(shown.stdout)[0]["user namespace"]
    assert row["detail"] == "unshare: ENOSPC"
    assert row["refused_by"] == "user.max_user_namespaces = 0"
    assert "sysctl user.max_user_namespaces" in row["allow"]


def test_the_table_says_each_reason_once() -> None:
    shown = deny.run(["unshare"], DOCTOR, capture_output=True, text=True, check=False, env={**FEW, "COLUMNS": "140"})
    assert shown.stdout.count("a seccomp filter of the container") == 1
    assert "the same as user namespace" in shown.stdout
    assert "Programs can be traced here." in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) < 200


def test_a_probe_that_hangs_ends_at_its_deadline() -> None:
    def hang() -> str:
        time.sleep(600)
        return "never"

    started = time.monotonic()
    result = probes.attempt(probes.Probe("hangs", "nothing", hang), 0.2)
    assert time.monotonic() - started < 5
    assert not result.works
    row = reasons.explain(probes.Probe("hangs", "nothing", hang), result)
    assert row.status is Status.UNKNOWN
    assert "0.2 s" in row.detail


def test_a_probe_that_crashes_is_unknown_not_works() -> None:
    def crash() -> str:
        os.kill(os.getpid(), signal.SIGTERM)
        return "never"

    result = probes.attempt(probes.Probe("crashes", "nothing", crash), 5.0)
    assert not result.works
    assert "SIGTERM" in result.detail


def test_probes_leave_no_process_behind() -> None:
    def children() -> set[str]:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:
            return set(file.read().split())

    before = children()
    for probe in probes.PROBES:
        probes.attempt(probe, 5.0)
    assert children() <= before


@pytest.mark.parametrize(("version", "status"), [("3.15.0", "works"), ("3.14.2t", "missing"), ("3.10.1", "missing")])
def test_whether_an_interpreters_frames_can_be_read(
    version: str, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"python3.{version.split('.')[1]}"
    path.write_text(f"#!/bin/sh\necho {version} cpython {path}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert [(row.feature, row.status.value) for row in machine.interpreters()] == [(f"CPython {version}", status)]
