"""What rules say does not depend on whose network the program is in: also in one that it, or a container, made itself."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from wallsocket.diagnose.play import Stage, command_of, example
from wallsocket.diagnose.rule import Rule
from wallsocket.diagnose.rules import rule_of

from .test_examples import WALLSOCKET, lab_works

#: Starts a program where the loopback interface is up (netdevice(7), SIOCSIFFLAGS).
_UP = """
import fcntl, os, socket, struct, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any:
    fcntl.ioctl(any, 0x8914, struct.pack("16sh", b"lo", 0x49))
os.execvp(sys.argv[1], sys.argv[1:])
"""
#: Ways into a network of one's own: the last is what a container is made of (namespaces(7)).
_WAYS = {
    "unshare -rn": ["unshare", "--map-root-user", "--net"],
    "container": [
        "unshare",
        "--map-root-user",
        "--net",
        "--uts",
        "--ipc",
        "--pid",
        "--fork",
        "--mount",
        "--mount-proc",
    ],
}
#: Rules that ask the host what was there when a call failed, or what it counted.
_RULES = (
    "nobody-listens",
    "address-in-use-listener",
    "address-in-use-time-wait",
    "address-not-local",
    "network-unreachable",
    "receive-buffer-overflow",
    "close-with-unread-data",
    "datagrams-to-nobody",
)
#: It stands for the others, which are played by long runs.
_SAMPLE = ("nobody-listens", "unshare -rn")


def _plain(text: str) -> str:
    """A proof without numbers, and without who holds an address: on a loaded machine that is not found out in time."""
    return re.sub(r"(?<=is held by ).*", "somebody", re.sub(r"\d+", "N", text))


def _said(rule: Rule, around: list[str], tmp_path: Path) -> list[Any]:
    """The findings of the rule: how sure, how grave, and what proves them, numbers left out."""
    tmp_path.mkdir()
    path = example(rule)
    command = command_of(path, tmp_path)
    report = tmp_path / "report"
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}
    words = [*WALLSOCKET, "explain", "--json", "--rule", rule.id, "-o", str(tmp_path / "run.wsrec")]
    if not around:
        words.append("--lab")
    with Stage(path.parent) as stage, report.open("wb") as stdout:
        done = stage.run(
            [*words, "--", *around, *command], stdout=stdout, stderr=subprocess.PIPE, timeout=200, env=environment
        )
    lines = [json.loads(line) for line in report.read_text().splitlines() if line.startswith("{")]
    assert lines, done.stderr.decode()
    found = [line for line in lines if line.get("rule") == rule.id]
    return [
        (
            one["certainty"],
            one["severity"],
            sorted({(proof["layer"], proof["table"], _plain(proof["text"])) for proof in one["proof"]}),
        )
        for one in found
    ]


CASES = [
    pytest.param(rule, way, id=f"{rule}, {way}", marks=() if (rule, way) == _SAMPLE else pytest.mark.soak)
    for rule in _RULES
    for way in _WAYS
]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("rule", "way"), CASES)
def test_the_same_is_said_in_a_network_of_the_program(rule: str, way: str, tmp_path: Path) -> None:
    asked = rule_of(rule)
    assert asked is not None
    around = _WAYS[way]
    if not lab_works() or subprocess.run([*around, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no namespaces here")
    here = _said(asked, [], tmp_path / "lab")
    assert here
    assert _said(asked, [*around, sys.executable, "-c", _UP], tmp_path / "own") == here
