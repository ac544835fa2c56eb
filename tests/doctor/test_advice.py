"""Each line that doctor offers is followed as it stands, and then the feature works for an ordinary user and nothing else broke."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import wallsocket
from wallsocket.diagnose import rule_of

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


def follow(advice: str, *prefix: str) -> None:
    """Run a line as its reader would: sudo is what this test has already."""
    sudo, *words = shlex.split(advice)
    assert sudo == "sudo"
    subprocess.run([*prefix, *words], env={"PATH": SECURE_PATH}, check=True, timeout=60)


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


@pytest.fixture
def another_network() -> Iterator[tuple[str, ...]]:
    """The words before a command that runs it in a network of its own, with nothing but loopback."""
    with subprocess.Popen(["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec sleep 600"],
                          stdout=subprocess.PIPE) as holder:  # fmt: skip
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"up\n"
        try:
            yield ("nsenter", f"--net=/proc/{holder.pid}/ns/net")
        finally:
            holder.kill()


def test_the_setting_that_lets_an_ordinary_user_ping(
    as_nobody: tuple[Run, Path], another_network: tuple[str, ...]
) -> None:
    run, _ = as_nobody
    ping = ("ping", "127.0.0.1", "-c", "1")
    refused = run(*ping, prefix=(*another_network, *NOBODY))
    assert refused.returncode == 2
    advice = re.search(r"\((sudo [^)]+)\)", refused.stderr)
    assert advice is not None, refused.stderr
    follow(advice[1], *another_network)
    done = run(*ping, prefix=(*another_network, *NOBODY))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("rule", "call"),
    [
        ("raw-socket-forbidden", "socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)"),
        ("privileged-port", "bind(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&here, sizeof here)"),
    ],
)
def test_the_capability_of_a_compiled_program(
    rule: str, call: str, tmp_path: Path, another_network: tuple[str, ...]
) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is missing")
    source = tmp_path / "program.c"
    source.write_text(
        "#include <netinet/in.h>\n#include <stdio.h>\n#include <sys/socket.h>\nint main(void) {\n"
        "struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(80)};\n"
        f'if ({call} < 0) {{ perror("refused"); return 1; }}\nreturn 0; }}\n'
    )
    # A folder that everybody may enter, and whose file system keeps capabilities.
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o755)
        program = Path(name) / "program"
        subprocess.run(["gcc", "-o", program, source], check=True, timeout=60)
        words = [*another_network, *PLAIN, str(program)]
        assert subprocess.run(words, capture_output=True, cwd="/", timeout=60).returncode == 1
        advice = re.search(r"setcap \S+ FILE", rule_of(rule).fix)
        assert advice is not None
        follow(f"sudo {advice[0]}".replace("FILE", str(program)))
        done = subprocess.run(words, capture_output=True, cwd="/", timeout=60)
        assert done.returncode == 0, done.stderr


def test_the_setting_that_lets_an_ordinary_user_bind(another_network: tuple[str, ...]) -> None:
    setting = re.search(r"net\.ipv4\.\w+", rule_of("privileged-port").fix)
    assert setting is not None
    bind = [
        *another_network,
        *PLAIN,
        "/usr/bin/python3",
        "-c",
        "import socket; socket.socket().bind(('127.0.0.1', 80))",
    ]
    assert subprocess.run(bind, capture_output=True, cwd="/", timeout=60).returncode == 1
    follow(f"sudo sysctl {setting[0]}=80", *another_network)
    assert subprocess.run(bind, capture_output=True, cwd="/", timeout=60).returncode == 0
