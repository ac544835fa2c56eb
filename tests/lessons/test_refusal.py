"""Where private networks are refused: what needs none is played all the same, the others say why they cannot."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support import deny

pytestmark = pytest.mark.skipif(not deny.available(), reason="the denial filters are for x86-64")

WALLSOCKET = [sys.executable, "-m", "wallsocket", "lesson"]


def test_what_needs_no_private_network_is_played_all_the_same() -> None:
    words = [*WALLSOCKET, "U24", "T02", "--json"]
    done = deny.run(["unshare"], words, capture_output=True, text=True, check=False)
    verdicts = [json.loads(line)["verdict"] for line in done.stdout.splitlines()]
    assert verdicts == ["true if", "true"], done.stdout + done.stderr
    assert done.returncode == 0


def test_the_others_say_who_refuses_and_what_allows_it() -> None:
    done: subprocess.CompletedProcess[str] = deny.run(
        ["unshare"], [*WALLSOCKET, "U22", "U54", "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    for line in done.stdout.splitlines():
        told = json.loads(line)
        assert told["verdict"] == "unknown"
        assert "namespace" in told["failure"]
        assert len(told["failure"].splitlines()) == 1


def test_a_run_that_cannot_be_recorded_is_played_without_a_picture() -> None:
    done: subprocess.CompletedProcess[str] = deny.run(
        ["ptrace", "seccomp"], [*WALLSOCKET, "U19"], capture_output=True, text=True, check=False
    )
    assert "verdict    true\n" in done.stdout, done.stdout + done.stderr
    assert "no picture" in done.stdout
