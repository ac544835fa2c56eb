"""What rules say does not depend on whose network the program is in: also in one that it, or a container, made itself."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from wallsocket.diagnose.play import EXAMPLES, Stage, command_of, example
from wallsocket.diagnose.rule import Rule
from wallsocket.diagnose.rules import all_rules, rule_of
from wallsocket.diagnose.tracker import Tracker
from wallsocket.diagnose.trackers.counters import Counters
from wallsocket.diagnose.trackers.host_answers import HostAnswers
from wallsocket.diagnose.trackers.memberships import Memberships
from wallsocket.diagnose.trackers.network import Networks
from wallsocket.diagnose.trackers.settings import Settings
from wallsocket.trace.containers import processes

from ..support.ways import findings
from ..trace.test_containers import LIMITS, RUNTIME, machine_in
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
#: What the kernel is asked about a host, by the trackers that keep it.
_ASKING = (HostAnswers, Counters, Settings, Networks, Memberships)
#: They play in networks that their programs cannot make: of a lab.
_STAGED = {path.parent.name for path in EXAMPLES.glob("*/lab.toml")}
#: Its program gives the host an address, for which it needs rights that are not handed on to a program that goes there.
_PRIVILEGED = {"tentative-address"}
#: They stand for the others, which are played by long runs.
_SAMPLE = {("nobody-listens", "unshare -rn"), ("limited-broadcast", "unshare -rn"), ("privileged-port", "nsenter")}
#: Rules that ask what the counters of a network counted.
_BY_COUNTERS = ("checksum-rejected", "fragments-lost", "reverse-path-filter")
#: Some for each kind of question, in networks that others made: listeners, addresses, routes, queues, counters, settings.
_OF_OTHERS = (
    "nobody-listens",
    "loopback-only",
    "address-in-use-listener",
    "address-in-use-time-wait",
    "address-not-local",
    "network-unreachable",
    "accept-queue-full",
    "receive-buffer-overflow",
    "close-with-unread-data",
    "datagrams-to-nobody",
    "port-in-local-range",
    "buffer-clamped",
)


def _needed(tracker: type[Tracker]) -> set[type[Tracker]]:
    return {tracker}.union(*(_needed(other) for other in tracker.needs))


def _asks(rule: Rule) -> bool:
    """Whether what the rule says rests on what the host was asked."""
    return any(tracker in _ASKING for needed in rule.needs for tracker in _needed(needed))


def _plain(text: str) -> str:
    """A proof without numbers, names of temporary files, states on their way, and who holds an address: which may come too late."""
    text = re.sub(r"unix:\S*/", "unix:", text)
    text = re.sub(r"(?:\d+ in \w+(?:, )?)+", "in their states", text)
    return re.sub(r"(?<=is held by ).*", "somebody", re.sub(r"\d+", "N", text))


def _findings(report: str, rule: Rule, said: bytes) -> list[Any]:
    """The findings of the rule: how sure, how grave, and what proves them, numbers left out."""
    lines = [json.loads(line) for line in report.splitlines() if line.startswith("{")]
    assert lines, said.decode()
    return [
        (
            one["certainty"],
            one["severity"],
            sorted({(proof["layer"], proof["table"], _plain(proof["text"])) for proof in one["proof"]}),
        )
        for one in lines
        if one.get("rule") == rule.id
    ]


def _words(rule: Rule, *more: str) -> list[str]:
    return [*WALLSOCKET, "explain", "--json", "--rule", rule.id, *more]


def _said(rule: Rule, around: Callable[[Stage], list[str]] | None, tmp_path: Path) -> list[Any]:
    """What is found where the recorder is in the network of the program, or in another one and the program goes to its own."""
    tmp_path.mkdir()
    path = example(rule)
    command = command_of(path, tmp_path)
    report = tmp_path / "report"
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}
    with Stage(path.parent) as stage, report.open("wb") as stdout:
        words = _words(
            rule, "-o", str(tmp_path / "run.wsrec"), *(["--lab"] if around is None and not stage.lab else [])
        )
        run = subprocess.run if around is not None else stage.run
        words += ["--", *(around(stage) if around is not None else []), *command]
        done = run(words, stdout=stdout, stderr=subprocess.PIPE, timeout=200, env=environment, check=False)
    return _findings(report.read_text(), rule, done.stderr)


CASES = [
    pytest.param(rule, way, id=f"{rule}, {way}", marks=() if (rule, way) in _SAMPLE else pytest.mark.soak)
    for rule in [
        rule.id
        for rule in all_rules()
        if rule.subject != "flow" and rule.pictures != "only" and rule.id not in _PRIVILEGED and _asks(rule)
    ]
    for way in (["nsenter"] if rule in _STAGED else _WAYS)
]


@contextmanager
def _entered(stage: Stage) -> Iterator[list[str]]:
    """The way into the network of a stage for a program that is started elsewhere."""
    with stage.popen(["cat"], stdin=subprocess.PIPE) as inside:
        yield ["nsenter", "--target", str(inside.pid), "--user", "--mount", "--net", "--preserve-credentials"]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("rule", "way"), CASES)
def test_the_same_is_said_in_a_network_of_the_program(rule: str, way: str, tmp_path: Path) -> None:
    asked = rule_of(rule)
    assert asked is not None
    if not lab_works():
        pytest.skip("no namespaces here")
    with ExitStack() as stack:

        def around(stage: Stage) -> list[str]:
            if way == "nsenter":
                return stack.enter_context(_entered(stage))
            return [*_WAYS[way], sys.executable, "-c", _UP]

        if way != "nsenter" and subprocess.run([*_WAYS[way], "true"], capture_output=True, check=False).returncode:
            pytest.skip("no such namespaces here")
        here = _said(asked, None, tmp_path / "lab")
        assert here
        assert _said(asked, around, tmp_path / "own") == here


@pytest.mark.root
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "rule", [pytest.param(rule, marks=() if rule == "nobody-listens" else pytest.mark.soak) for rule in _OF_OTHERS]
)
def test_the_same_is_said_of_a_program_run_by_ip_netns_exec(rule: str, tmp_path: Path) -> None:
    asked = rule_of(rule)
    assert asked is not None
    name = f"wallsocket-rule-{os.getpid()}"
    here = _said(asked, None, tmp_path / "lab")
    assert here
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        into = ["ip", "netns", "exec", name, sys.executable, "-c", _UP]
        assert _said(asked, lambda _: into, tmp_path / "own") == here
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


def _of_running(rule: Rule, start: list[str], pids: Callable[[int], tuple[int, ...]], tmp_path: Path) -> list[Any]:
    """What is found of a program that is attached to before it begins: it waits for a line on its standard input."""
    tmp_path.mkdir()
    report = tmp_path / "report"
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}
    with subprocess.Popen(start, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        try:
            if program.stdout.readline() != b"ready\n":
                pytest.skip("podman starts no container here")
            words = _words(rule, "-o", str(tmp_path / "run.wsrec"), "-p", str(pids(program.pid)[0]))
            with (
                report.open("wb") as stdout,
                subprocess.Popen(words, stdout=stdout, stderr=subprocess.PIPE, env=environment) as explain,
            ):
                assert explain.stderr is not None
                line = explain.stderr.readline()
                assert b"attached" in line, line
                program.stdin.write(b"go\n")
                program.stdin.close()
                program.stdout.read()
                said = explain.stderr.read()
        finally:
            program.kill()
    return _findings(report.read_text(), rule, line + said)


@pytest.mark.root
@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("rule", [rule for rule in _OF_OTHERS if rule not in ("buffer-clamped", "network-unreachable")])
def test_the_same_is_said_of_a_program_in_a_container(rule: str, tmp_path: Path) -> None:
    """On this machine's network and in a container's, both attached to."""
    if shutil.which("podman") is None or not Path("/usr/bin/python3").exists():
        pytest.skip("needs podman and /usr/bin/python3 (apt install podman)")
    asked = rule_of(rule)
    assert asked is not None
    path = example(asked)
    waiting = ["/bin/sh", "-c", 'echo ready; read -r go; exec /usr/bin/python3 "$0"']
    here = _of_running(asked, [*waiting, str(path)], lambda pid: (pid,), tmp_path / "here")
    assert here
    root, name = machine_in(tmp_path / "root"), f"wallsocket-rule-{os.getpid()}"
    shutil.copytree(path.parent, root / "app", dirs_exist_ok=True)
    words = ["podman", *RUNTIME, "run", "--rm", "-i", "--name", name, "--network", "none", *LIMITS]
    words += ["--rootfs", "-v", "/usr:/usr:ro", str(root), *waiting, f"/app/{path.name}"]
    try:
        assert _of_running(asked, words, lambda _: processes(name), tmp_path / "there") == here
    finally:
        subprocess.run(["podman", "rm", "-f", "-t", "0", name], capture_output=True, timeout=100, check=False)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "rule",
    [pytest.param(rule, marks=() if rule == "reverse-path-filter" else pytest.mark.soak) for rule in _BY_COUNTERS],
)
def test_a_network_that_an_attached_program_makes_is_its_own(rule: str, tmp_path: Path) -> None:
    """What its counters counted is as certain as where the program was run."""
    if not lab_works():
        pytest.skip("no namespaces here")
    told = {}
    for way in ("ptrace", "attach"):
        folder = tmp_path / way
        folder.mkdir()
        found, summary, _ = findings(EXAMPLES / rule / "broken.py", way, folder)
        told[way] = [(one["rule"], one["certainty"]) for one in found], summary["cannot_tell"]
    assert (rule, "certain") in told["ptrace"][0]
    assert told["attach"] == told["ptrace"]
