"""Where private networks are refused: what needs none is played all the same, the others say why they cannot."""

from __future__ import annotations

import json
import socket
import subprocess
import sys

import pytest

from tests.lessons.test_format import LESSON
from tests.support import deny
from wallsocket import lab

pytestmark = pytest.mark.skipif(not deny.available(), reason="the denial filters are for x86-64")

WALLSOCKET = [sys.executable, "-m", "wallsocket", "lesson"]
#: Plays the lesson of its argument four times at once.
FOUR = """
import pathlib, sys
from concurrent.futures import ThreadPoolExecutor
from wallsocket.lessons.lesson import parse
from wallsocket.lessons.play import play
(claim,) = parse(sys.argv[1], pathlib.Path("states/lesson.md")).claims
with ThreadPoolExecutor(4) as pool:
    for run in pool.map(play, [claim] * 4):
        print(run.verdict, run.failure)
"""


def test_what_needs_no_private_network_is_played_all_the_same() -> None:
    words = [*WALLSOCKET, "U24", "T02", "--json"]
    done = deny.run(["unshare"], words, capture_output=True, text=True, check=False)
    verdicts = [json.loads(line)["verdict"] for line in done.stdout.splitlines()]
    assert verdicts == ["true if", "true"], done.stdout + done.stderr
    assert done.returncode == 0


def test_experiments_that_want_the_same_port_do_not_meet() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = f"import socket, time\nserver = socket.create_server(('127.0.0.1', {port}))\ntime.sleep(0.3)\ntotal = 4"
    text = LESSON.replace("total = 2 + 2", program).replace('"true"\nstate', '"true"\nnetwork = "any"\nstate')
    done = deny.run(["unshare"], [sys.executable, "-c", FOUR, text], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["true None"] * 4, done.stdout + done.stderr


def test_the_others_say_who_refuses_and_what_allows_it() -> None:
    done: subprocess.CompletedProcess[str] = deny.run(
        ["unshare"], [*WALLSOCKET, "U22", "U54", "R01", "X30", "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    for line in done.stdout.splitlines():
        told = json.loads(line)
        assert told["verdict"] == "unknown"
        assert told["failure"].startswith("a lab needs a user and network namespace: ")
        assert len(told["failure"].splitlines()) == 1


def test_a_port_that_is_taken_on_the_machines_own_network_is_explained() -> None:
    with lab.Lab() as net:
        machine = net.host("machine")
        with machine.socket(socket.AF_INET, socket.SOCK_STREAM) as holder:
            holder.bind(("127.0.0.1", 4567))
            done = machine.run(
                deny.command(["unshare"], [*WALLSOCKET, "T11", "--json"]), capture_output=True, text=True, check=False
            )
    failure = json.loads(done.stdout)["failure"]
    assert "Address already in use" in failure
    assert "private networks are refused here, so it ran on the machine's own" in failure


def test_a_run_that_cannot_be_recorded_is_played_without_a_picture() -> None:
    done: subprocess.CompletedProcess[str] = deny.run(
        ["ptrace", "seccomp"], [*WALLSOCKET, "U19"], capture_output=True, text=True, check=False
    )
    assert "verdict    true\n" in done.stdout, done.stdout + done.stderr
    assert "no picture" in done.stdout
