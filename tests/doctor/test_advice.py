"""Each line that doctor offers is followed as it stands, and then the feature works for an ordinary user and nothing else broke."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import wallsocket

pytestmark = pytest.mark.root

#: An ordinary user; the one capability is to enter the folders that this Python may stand in.
NOBODY = (
    *("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"),
    *("--inh-caps", "-all,+dac_read_search", "--ambient-caps", "-all,+dac_read_search"),
)
PLAIN = (*NOBODY[:6], "--inh-caps", "-all", "--ambient-caps", "-all")
#: What sudo gives for PATH: sudoers(5), secure_path.
SECURE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

TALK = """
import socket
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
server = listener.accept()[0]
client.sendall(b"question")
assert server.recv(100) == b"question"
with open("/proc/self/status") as file:
    capabilities = [int(line.split()[1], 16) for line in file if line.startswith(("CapPrm", "CapEff", "CapAmb", "CapInh"))]
print(any(number >> 13 & 1 for number in capabilities))
"""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def as_nobody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Run, Path]]:
    """Runs this Wallsocket as an ordinary user, from a copy whose files may be changed; with the folder of the copy."""
    folder = Path("/tmp") / f"wallsocket-advice-{os.getpid()}"
    folder.mkdir(mode=0o755)
    try:
        shutil.copytree(
            Path(wallsocket.__file__).parent,
            folder / "wallsocket",
            ignore=shutil.ignore_patterns("__pycache__", "*.pyc"),
        )
        home = folder / "home"
        home.mkdir()
        os.chown(home, 65534, 65534)
        environment = {
            "HOME": str(home),
            "XDG_STATE_HOME": str(home),
            "TMPDIR": str(home),
            "PYTHONPATH": str(folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PATH": SECURE_PATH,
            "COLUMNS": "200",
        }

        def run(*arguments: str, prefix: tuple[str, ...] = NOBODY) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [*prefix, sys.executable, "-m", "wallsocket", *arguments],
                env=environment,
                cwd=home,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )

        yield run, folder
    finally:
        shutil.rmtree(folder)


def rows(run: Run) -> dict[str, dict[str, Any]]:
    done = run("doctor", "--json")
    assert done.stderr == ""
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {line["feature"]: line for line in lines[:-1]}


def wire(run: Run, *options: str) -> tuple[str, str]:
    """What a trace of a small program says of its wire, and what the program printed: whether it has CAP_NET_RAW (13)."""
    done = run("trace", "-q", "-o", "run.wsrec", "--overwrite", *options, "--", "/usr/bin/python3", "-c", TALK)
    assert (done.returncode, done.stderr) == (0, ""), done
    shown = run("show", "run.wsrec", "--json")
    recording = json.loads(shown.stdout.splitlines()[0])["recording"]
    return recording["wire"], done.stdout


def follow(advice: str) -> None:
    """Run a line as its reader would: sudo is what this test has already."""
    sudo, *words = shlex.split(advice)
    assert sudo == "sudo"
    subprocess.run(words, env={"PATH": SECURE_PATH}, check=True, timeout=60)


def test_the_wire_of_the_machine_for_an_ordinary_user(as_nobody: tuple[Run, Path]) -> None:
    run, folder = as_nobody
    before = rows(run)
    assert before["CAP_NET_RAW"]["status"] == "refused"
    advice = before["CAP_NET_RAW"]["allow"]
    assert str(folder) in advice
    assert wire(run) == ("needs CAP_NET_RAW; --lab has it", "False\n")

    follow(advice)

    after = rows(run)
    assert after["CAP_NET_RAW"]["status"] == "works"
    assert {name: row["status"] for name, row in after.items() if name != "CAP_NET_RAW"} == {
        name: row["status"] for name, row in before.items() if name != "CAP_NET_RAW"
    }
    # The wire is there, and the traced program has got nothing.
    assert wire(run) == ("yes", "False\n")
    # What else the guardian does works as before.
    if before["private network"]["status"] == "works":
        assert wire(run, "--lab") == ("yes", "False\n")
    if before["ptrace of others"]["status"] == "works":
        with subprocess.Popen([*PLAIN, "sleep", "600"], cwd="/") as sleeper:
            try:
                attached = run("trace", "-p", str(sleeper.pid), "--for", "200ms", "-o", "p.wsrec")
                assert attached.returncode == 0, attached.stderr
                assert "attached to pid" in attached.stderr
            finally:
                sleeper.kill()
    explained = run("explain", "--", "/usr/bin/python3", "-c", TALK)
    assert explained.returncode in (0, 1), explained.stderr


def test_root_by_the_full_path(as_nobody: tuple[Run, Path]) -> None:
    """What is offered where Yama forbids: root attaches to an ordinary user's program, with sudo's environment."""
    from wallsocket.kernel import refusal

    with subprocess.Popen([*NOBODY, "sleep", "600"], cwd="/") as sleeper:
        try:
            for arguments in (
                f"trace -p {sleeper.pid} --for 100ms",
                f"inspect {sleeper.pid}",
                "trace -u nobody -- true",
            ):
                _, *words = shlex.split(refusal.as_root(arguments))
                environment = {"PATH": SECURE_PATH, "XDG_STATE_HOME": str(as_nobody[1] / "home")}
                done = subprocess.run(
                    words, env=environment, capture_output=True, text=True, timeout=60, check=False, cwd="/"
                )
                assert done.returncode == 0, done.stderr
        finally:
            sleeper.kill()
