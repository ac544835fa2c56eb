"""Containers, looked at from outside."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.repository import ROOT
from wallsocket.errors import NotAvailable, UsageError
from wallsocket.trace.containers import container_in, processes

ID = "0123456789abcdef" * 4
WALLSOCKET = [sys.executable, "-m", "wallsocket"]


@pytest.mark.parametrize(
    ("cgroups", "told"),
    [
        (f"0::/system.slice/docker-{ID}.scope", ID),
        (f"0::/docker/{ID}", ID),
        (f"12:pids:/libpod_parent/libpod-{ID}\n0::/libpod_parent/libpod-{ID}", ID),
        (f"0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope/container", ID),
        (f"0::/kubepods.slice/kubepods-pod5a.slice/cri-containerd-{ID}.scope", ID),
        (f"0::/kubepods/besteffort/pod5a/crio-{ID}", ID),
        (f"0::/kubelet.slice/kubelet-kubepods-pod5a.slice:cri-containerd:{ID}", ID),
        (f"0::/machine.slice/libpod-conmon-{ID}.scope", None),
        (f"0::/user.slice/x{ID}", None),
        ("0::/user.slice/user-1000.slice/session-2.scope", None),
        ("0::/", None),
        ("", None),
    ],
)
def test_a_control_group_names_its_container(cgroups: str, told: str | None) -> None:
    assert container_in(cgroups) == told


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where the engines are looked for; ``docker`` there answers what the file ``answer`` beside it does."""
    (tmp_path / "docker").write_text(f"#!/bin/sh\n. {tmp_path}/answer\n")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_an_engine_says_who_the_first_process_is(engine: Path) -> None:
    (engine / "answer").write_text(f'[ "$1 $7" = "inspect web" ] && echo "{ID} {os.getpid()}"\n')
    assert processes("web") == (os.getpid(),)


def test_one_that_does_not_run_is_told(engine: Path) -> None:
    (engine / "answer").write_text(f"echo {ID} 0\n")
    with pytest.raises(UsageError, match=r"^--container web: it does not run$"):
        processes("web")


def test_what_the_engine_refuses_is_one_line(engine: Path) -> None:
    (engine / "answer").write_text("echo; echo 'no \033[2J such container' >&2; exit 1\n")
    with pytest.raises(UsageError, match=r"^--container web: docker: no .* such container$") as raised:
        processes("web")
    assert "\x1b" not in str(raised.value)


def test_without_an_engine_a_name_cannot_be_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("web", ID[:12]):
        with pytest.raises(NotAvailable, match=rf"^--container {name}: no podman, docker or nerdctl is here"):
            processes(name)


def test_it_is_instead_of_a_command(engine: Path) -> None:
    (engine / "answer").write_text(f"echo {ID} {os.getpid()}\n")
    for words, said in (
        (["trace", "--container", "web", "--", "true"], "not both"),
        (["explain", "--container", "web", "--lab"], "--lab is for a command"),
        (["inspect", "--container", "web", "4711"], "--container stands alone"),
    ):
        done = subprocess.run([*WALLSOCKET, *words], capture_output=True, text=True, timeout=100)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert said in done.stderr


SERVER = """
import os, socket
listener = socket.create_server(("127.0.0.1", 8080))
if os.fork() == 0:
    client = socket.create_connection(("127.0.0.1", 8080))
    client.sendall(b"hello")
    client.recv(10)
    os._exit(0)
connection, _ = listener.accept()
message = connection.recv(5)
print("ready", flush=True)
while len(message) < 10:
    message += connection.recv(10 - len(message))
"""


#: crun, which podman prefers, refuses machines with both versions of control groups.
RUNTIME = ["--runtime", "runc"] if shutil.which("runc") is not None else []
LIMITS = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"]


def machine_in(root: Path) -> Path:
    """A root folder for a container that takes /usr from this machine."""
    for folder in ("usr", "etc", "proc", "sys", "dev", "tmp", "run", "app"):
        (root / folder).mkdir(parents=True)
    for link in ("bin", "lib", "lib64", "sbin"):
        (root / link).symlink_to(f"usr/{link}")
    return root


@pytest.fixture
def container(tmp_path: Path) -> Iterator[str]:
    """A container made of the machine's own /usr, in which two programs wait for each other."""
    if shutil.which("podman") is None or not Path("/usr/bin/python3").exists():
        pytest.skip("needs podman and /usr/bin/python3 (apt install podman)")
    root, name = machine_in(tmp_path / "root"), f"wallsocket-{os.getpid()}"
    (root / "app/server.py").write_text(SERVER)
    words = ["run", "-d", "--name", name, "--network", "none", *LIMITS, "--rootfs", "-v", "/usr:/usr:ro"]
    words += [str(root), "/usr/bin/python3", "/app/server.py"]
    done = subprocess.run(["podman", *RUNTIME, *words], capture_output=True, text=True, timeout=100)
    try:
        if done.returncode:
            pytest.skip(f"podman starts no container here: {done.stderr.strip()[-200:]}")
        with subprocess.Popen(["podman", "logs", "-f", name], stdout=subprocess.PIPE, text=True) as logs:
            assert logs.stdout is not None
            said = logs.stdout.readline()
            logs.terminate()
        assert said == "ready\n"
        yield name
    finally:
        with suppress(subprocess.TimeoutExpired):
            subprocess.run(["podman", "rm", "-f", "-t", "0", name], capture_output=True, timeout=100)


def findings(*words: str) -> list[dict[str, Any]]:
    done = subprocess.run([*WALLSOCKET, *words, "--json"], capture_output=True, text=True, timeout=100)
    return [line for line in map(json.loads, done.stdout.splitlines()) if "rule" in line]


@pytest.mark.root
def test_a_container_is_inspected_and_explained_from_outside(container: str, tmp_path: Path) -> None:
    recording = tmp_path / "r.wsrec"
    inspected: list[dict[str, Any]] = []
    deadline = time.monotonic() + 60
    # Who has just begun to wait may be answered yet.
    while not inspected and time.monotonic() < deadline:
        inspected = findings("inspect", "--container", container)
    explained = findings("explain", "--container", container, "--for", "2s", "-o", str(recording))
    for found in (inspected, explained):
        assert [finding["rule"] for finding in found] == ["both-wait"]
        # The file as it is called in there; its processes by their numbers out here.
        assert (found[0]["file"], found[0]["process"]["command"]) == ("/app/server.py", "server.py")
        assert found[0]["line"] in (7, 13)
        assert found[0]["process"]["pid"] in processes(container)
    done = subprocess.run([*WALLSOCKET, "show", "--calls", str(recording)], capture_output=True, text=True, check=True)
    assert re.search(r"recvfrom\(.*server\.py:13", done.stdout), done.stdout


@pytest.mark.root
def test_a_container_beside_it_that_shares_its_namespaces_sees_the_same(container: str, tmp_path: Path) -> None:
    told = subprocess.run(["/usr/bin/python3", "-V"], capture_output=True, text=True, check=True).stdout.split()[1]
    if told.split(".")[:2] != [str(number) for number in sys.version_info[:2]]:
        pytest.skip("/usr/bin/python3 is of another version than this one")
    path = [str(ROOT / "src"), *(entry for entry in sys.path if entry.endswith("site-packages"))]
    words = ["run", "--rm", "--pid", f"container:{container}", "--network", f"container:{container}"]
    words += [
        "--cap-add",
        "SYS_PTRACE",
        *LIMITS,
        "-e",
        f"PYTHONPATH={':'.join(path)}",
        "--rootfs",
        "-v",
        "/usr:/usr:ro",
    ]
    words += [word for place in path for word in ("-v", f"{place}:{place}:ro")]
    root = machine_in(tmp_path / "beside")
    for place in path:
        (root / place.removeprefix("/")).mkdir(parents=True, exist_ok=True)
    words += [str(root), "/usr/bin/python3", "-m", "wallsocket", "inspect", "1", "--json"]
    found: list[dict[str, Any]] = []
    deadline = time.monotonic() + 60
    while not found and time.monotonic() < deadline:
        done = subprocess.run(["podman", *RUNTIME, *words], capture_output=True, text=True, timeout=100)
        found = [line for line in map(json.loads, done.stdout.splitlines()) if "rule" in line]
    assert [finding["rule"] for finding in found] == ["both-wait"], done.stderr
    assert (found[0]["file"], found[0]["process"]["pid"]) == ("/app/server.py", 1)
