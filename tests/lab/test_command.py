"""``wallsocket lab`` as a user has it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from tests.lab.apart import Apart, wait_until

MAIN = "import sys; from wallsocket.cli import main; sys.exit(main(sys.argv[1:]))"


def command(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", MAIN, "lab", *arguments], capture_output=True, text=True, timeout=60, **options
    )  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize(
    ("programs", "status"),
    [
        (["a=true", "b=true"], 0),
        (["a=true", "b=sh -c 'exit 7'"], 7),
        (["a=sh -c 'exit 5'", "b=true"], 5),
        (["a=true", "b=sh -c 'kill -9 $$'"], 137),
        (["a=true", "b=no-such-program-here"], 127),
        (["a=/etc/hosts", "b=true"], 126),
        (["a=true"], 0),
    ],
)
def test_run_ends_with_the_status_of_its_programs(programs: list[str], status: int) -> None:
    environment = {**os.environ, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    assert command("run", *programs, env=environment).returncode == status


def test_run_starts_the_next_program_when_the_one_before_listens() -> None:
    done = command(
        "run", "--delay", "1ms", "server=sh -c 'sleep 0.3; exec iperf3 -s -1'", "client=iperf3 -c server -n 1M"
    )
    assert done.returncode == 0, done.stderr
    assert "iperf Done" in done.stdout


def test_run_ends_the_other_programs(apart: Apart) -> None:
    process = apart.start(MAIN, "lab", "run", "a=sleep 1000", "b=true")
    assert process.wait(timeout=60) == 0
    wait_until(lambda: not apart.left(), "no process is left")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_run_can_be_ended(apart: Apart, number: signal.Signals) -> None:
    process = apart.start(MAIN, "lab", "run", "--loss", "1%", "a=true", "b=sh -c 'echo up; exec sleep 1000'")
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.send_signal(number)
    status = process.wait(timeout=30)
    assert status == (-9 if number == signal.SIGKILL else 128 + number)
    wait_until(lambda: not apart.left(), "no process is left")


def test_the_seed_repeats_what_ping_sees() -> None:
    def lost(seed: int) -> list[int]:
        done = command("run", "--loss", "30%", "--seed", str(seed), "b=true", "a=ping -n -c 60 -i 0.002 -W 1 b")
        return [int(text) for text in re.findall(r"icmp_seq=(\d+)", done.stdout)]

    first = lost(3)
    assert 5 < len(first) < 60
    assert first == lost(3)
    assert first != lost(4)


def test_publish_reaches_a_host_from_outside(apart: Apart) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = apart.start(
        MAIN, "lab", "run", "--publish", f"{port}:server:5201", "server=iperf3 -s --forceflush", "other=sleep 1000"
    )
    assert process.stdout is not None
    wait_until(lambda: "listening" in process.stdout.readline(), "the server listens")
    done = subprocess.run(
        ["iperf3", "-c", "127.0.0.1", "-p", str(port), "-n", "1M"], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=30)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["run"], "Missing argument|missing argument"),
        (["run", "true"], "'true' is not HOST=COMMAND"),
        (["run", "a="], "'a=' is not HOST=COMMAND"),
        (["run", "a=true", "a=true"], "named twice"),
        (["run", "--loss", "105%", "a=true", "b=true"], "loss '105%'"),
        (["run", "--loss", "5%", "a=true"], "no link that could be set"),
        (["run", "--topology", "ring", "a=true"], "no topology 'ring': line:N, star:N, router, nat"),
        (["run", "--topology", "line:2", "c=true"], "there is no host 'c' in this lab"),
        (["draw", "missing.toml"], "missing.toml: No such file or directory"),
        (["run", "--publish", "80", "a=true", "b=true"], "write it like 8080:server:80"),
        (["run", "--publish", "0:c:80", "a=true", "b=true"], "no host 'c'"),
        (["run", "a='", "b=true"], "No closing quotation"),
        (["up", "/no/such/file"], "No such file"),
        (["shell", "--name", "no-such-lab", "a"], "no lab 'no-such-lab' is up"),
    ],
)
def test_wrong_use_is_one_line_and_status_2(arguments: list[str], text: str) -> None:
    done = command(*arguments)
    assert done.returncode == 2
    assert re.search(text, done.stderr), done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_a_lab_that_is_up_can_be_used_and_changed(tmp_path: Path, apart: Apart) -> None:
    name = f"test-{uuid.uuid4().hex[:8]}"
    path = tmp_path / "net.toml"
    path.write_text("[hosts.a]\n[hosts.b-c]\n[[links]]\nbetween = ['a', 'b-c']\n")
    process = apart.start(MAIN, "lab", "up", "--name", name, str(path))
    assert process.stdout is not None
    assert process.stdout.readline() == "a  10.0.1.1/24\n"
    assert process.stdout.readline() == "b-c  10.0.1.2/24\n"
    wait_until(lambda: name in command("list").stdout.split(), "the lab is up")
    again = command("up", "--name", name, str(path))
    assert again.returncode == 2
    assert "is up already" in again.stderr
    ping = ["exec", "--name", name, "a", "ping", "-n", "-c", "1", "-W", "1", "b-c"]
    assert command(*ping).returncode == 0
    changed = command("link", "--name", name, "b-c-a", "--loss", "100%", "--toward", "b-c")
    assert changed.returncode == 0, changed.stderr
    assert "to b-c: loss=100%" in changed.stdout
    assert command(*ping).returncode == 1
    assert command("link", "--name", name, "a-b-c", "--clear").returncode == 0
    assert command(*ping).returncode == 0
    status = json.loads(command("status", "--name", name, "--json").stdout)
    way = next(way for way in status["links"][0]["ways"] if way["toward"] == "b-c")
    assert way["counters"]["lost"] >= 1
    assert command("exec", "--name", name, "a", "sh", "-c", "exit 9").returncode == 9
    assert command("exec", "--name", name, "a", "/no/such").returncode == 127
    wrong = command("link", "--name", name, "a-z", "--loss", "1%")
    assert wrong.returncode == 2
    assert "there is no link 'a-z'" in wrong.stderr
    wrong = command("link", "--name", name, "a-b-c", "--loss", "lots")
    assert wrong.returncode == 2
    assert "loss 'lots'" in wrong.stderr
    shell = command(
        "shell", "--name", name, "a", input="echo $WALLSOCKET_HOST\n", env={**os.environ, "SHELL": "/bin/sh"}
    )
    assert shell.stdout == "a\n"
    assert command("down", "--name", name).returncode == 0
    assert process.wait(timeout=30) == 0
    assert name not in command("list").stdout.split()
    wait_until(lambda: not apart.left(), "no process is left")


def test_a_killed_lab_leaves_no_name_behind(tmp_path: Path, apart: Apart) -> None:
    name = f"test-{uuid.uuid4().hex[:8]}"
    path = tmp_path / "net.toml"
    path.write_text("[hosts.a]\n")
    process = apart.start(MAIN, "lab", "up", "--name", name, str(path))
    assert process.stdout is not None
    process.stdout.readline()
    wait_until(lambda: name in command("list").stdout.split(), "the lab is up")
    process.kill()
    process.wait()
    assert name not in command("list").stdout.split()
    wait_until(lambda: not apart.left(), "no process is left")


def test_a_lab_whose_holder_is_killed_is_not_up(tmp_path: Path, apart: Apart) -> None:
    name = f"test-{uuid.uuid4().hex[:8]}"
    path = tmp_path / "net.toml"
    path.write_text("[hosts.a]\n")
    process = apart.start(MAIN, "lab", "up", "--name", name, str(path))
    assert process.stdout is not None
    process.stdout.readline()
    wait_until(lambda: name in command("list").stdout.split(), "the lab is up")
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    (holder,) = [pid for pid in children if os.readlink(f"/proc/{pid}/exe").endswith("/lab/holder")]
    os.kill(int(holder), signal.SIGKILL)
    _, complaints = process.communicate(timeout=60)
    assert process.returncode == 2
    assert complaints.splitlines()[-1] == (
        "wallsocket: the program that held the lab's networks has been killed: the lab is gone"
    )
    assert name not in command("list").stdout.split()


def test_a_name_that_another_program_has_taken(tmp_path: Path) -> None:
    """Names of abstract sockets are free for all; one that is no lab's is not listed, and said to be taken."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    path = tmp_path / "net.toml"
    path.write_text("[hosts.a]\n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as squatter:
        squatter.bind(f"\0wallsocket-lab-{os.geteuid()}-{name}")
        assert name not in command("list").stdout.split()
        done = command("up", "--name", name, str(path))
        assert (done.returncode, done.stderr) == (
            2,
            f"wallsocket: the name {name!r} is taken by another program; give this one another --name\n",
        )
