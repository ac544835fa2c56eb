"""`explain`, `rule` and `demo` as they are run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.diagnose.test_examples import EXAMPLES, lab_works
from tests.support import deny
from wallsocket.diagnose import all_rules
from wallsocket.trace.recording import Recording

WALLSOCKET = [sys.executable, "-m", "wallsocket"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state"), "COLUMNS": "110"}


def run(*words: str, environment: dict[str, str], **more: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*WALLSOCKET, *words],
        capture_output=True,
        text=True,
        timeout=100,
        env=environment,
        **more,  # type: ignore[call-overload]
    )


def test_the_target_keeps_its_output_and_the_report_goes_to_stderr(environment: dict[str, str]) -> None:
    broken = str(EXAMPLES / "nobody-listens" / "broken.py")
    plain = subprocess.run([sys.executable, broken], capture_output=True, text=True)
    done = run("explain", "--", sys.executable, broken, environment=environment)
    assert done.stdout == plain.stdout
    assert done.returncode == 1
    assert "connection refused: nobody listens there" in done.stderr
    again = run("explain", environment=environment)
    assert again.returncode == 1
    assert "nobody-listens" in again.stdout
    assert re.fullmatch(r"newest recording: \S+\.wsrec, .*\n", again.stderr)


def test_fail_on_decides_the_status(environment: dict[str, str], tmp_path: Path) -> None:
    file = str(tmp_path / "run.wsrec")
    broken = str(EXAMPLES / "datagram-truncated" / "broken.py")
    assert run("explain", "-o", file, "--", sys.executable, broken, environment=environment).returncode == 1
    assert run("explain", "--fail-on", "never", file, environment=environment).returncode == 0
    assert run("explain", "--fail-on", "note", file, environment=environment).returncode == 1


def test_an_excerpt_of_the_ladder_stands_beside_the_proof(environment: dict[str, str], tmp_path: Path) -> None:
    file = str(tmp_path / "run.wsrec")
    broken = str(EXAMPLES / "tiny-calls" / "broken.py")
    environment["COLUMNS"] = "80"
    first = run("explain", "-o", file, "--", sys.executable, broken, environment=environment).stderr
    assert re.search(r"\n▸ +[\d.]+ .*recv\(1\) = 1", first), first
    assert re.search(r"\n +… \d{4} calls and segments …\n", first), first
    assert first.index("  proof ") < first.index("▸") < first.index("  usual fix")
    assert all(len(line) <= 80 for line in first.splitlines() if "recording:" not in line)
    plain, told = (run("explain", "--json", *more, file, environment=environment).stdout for more in ([], ["-v"]))
    findings = [json.loads(line) for line in told.splitlines()[:-1]]
    assert all(any(line.startswith("▸") for line in finding.pop("ladder")) for finding in findings)
    assert findings == [json.loads(line) for line in plain.splitlines()[:-1]]
    # A short conversation is drawn whole, above; with -v around each proof as well.
    broken = str(EXAMPLES / "nobody-listens" / "broken.py")
    run("explain", "-o", file, "--overwrite", "--", sys.executable, broken, environment=environment)
    plain, told = (run("explain", *more, file, environment=environment).stdout for more in ([], ["-v"]))
    assert "▸" not in plain
    assert plain.startswith("tcp ")
    assert "▸" in told
    assert [line for line in told.splitlines() if line in plain] == plain.splitlines()


def test_findings_are_kept_in_the_recording(environment: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "run.wsrec"
    broken = str(EXAMPLES / "datagram-truncated" / "broken.py")
    done = run("explain", "--json", "-o", str(file), "--", sys.executable, broken, environment=environment)
    printed = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")][:-1]
    with Recording.open(file) as recording:
        stored = list(recording.findings())
    assert [json.loads(finding.value) for finding in stored] == printed
    assert [len(finding.evidence) for finding in stored] == [len(finding["proof"]) for finding in printed]


def test_the_status_of_the_target_is_told(environment: dict[str, str]) -> None:
    done = run("explain", "--", "sh", "-c", "exit 7", environment=environment)
    assert done.returncode == 0
    assert "No finding" in done.stderr
    assert "the command ended with status 7" in done.stderr
    done = run("explain", "--json", "--", "sh", "-c", "exit 7", environment=environment)
    assert json.loads(done.stdout.splitlines()[-1])["summary"]["target_status"] == 7


def test_a_command_that_cannot_be_started(environment: dict[str, str]) -> None:
    done = run("explain", "--", "/no/such/program", environment=environment)
    assert done.returncode == 127
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "words",
    [
        ["explain", "/no/such/file"],
        ["explain", "/etc"],
        ["explain", "/etc/passwd"],
        ["explain"],
        ["explain", "--"],
        ["explain", "--lab"],
        ["explain", "x.wsrec", "--", "true"],
        ["explain", "--fail-on", "always"],
        ["rule", "no-such-rule"],
        ["rule", "play", "no-such-rule"],
    ],
    ids=" ".join,
)
def test_wrong_use_is_one_line_and_status_2(words: list[str], environment: dict[str, str]) -> None:
    done = run(*words, environment=environment)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stdout == ""


def test_rules_can_be_listed_read_and_searched(environment: dict[str, str]) -> None:
    listed = run("rule", "list", environment=environment).stdout.splitlines()
    assert {line.split()[0] for line in listed} == {rule.id for rule in all_rules()}
    assert run("rule", "both-wait", environment=environment).stdout.startswith(
        "both-wait  each end is waiting for the other"
    )
    assert run("rule", "#53", environment=environment).stdout.startswith("close-with-unread-data")
    found = run("rule", "search", "connection reset by peer", environment=environment)
    assert found.stdout.split()[0] == "close-with-unread-data"
    assert run("rule", "search", "xyzzy", environment=environment).returncode == 1


def test_an_example_can_be_played(environment: dict[str, str]) -> None:
    lab = [] if lab_works() else ["--no-lab"]
    broken = run("rule", "play", "datagram-truncated", *lab, environment=environment)
    assert "print(len(receiver.recv(1024))" in broken.stdout
    assert "datagram-truncated" in broken.stderr
    healthy = run("rule", "play", "datagram-truncated", "--healthy", *lab, environment=environment)
    assert "No finding" in healthy.stderr
    assert (broken.returncode, healthy.returncode) == (0, 0)


def test_the_demo_names_cause_counter_and_reset(environment: dict[str, str], tmp_path: Path) -> None:
    done = run("demo", environment=environment)
    assert done.returncode == 0, done.stderr
    text = " ".join(done.stdout.split())
    assert "1976 bytes are gone" in text
    assert "one-recv-per-message" in text
    assert "data = connection.recv(1024)" in text
    assert re.search(r"No finding: \d+ rules checked", text)
    if lab_works():
        assert "TCPAbortOnClose +1" in text
        assert "wire: RST from 127.0.0.1:4567" in text
    assert (tmp_path / "state" / "wallsocket" / "demo-1.wsrec").is_file()


def test_the_demo_where_namespaces_are_refused(environment: dict[str, str]) -> None:
    if not deny.available():
        pytest.skip("seccomp filters cannot be set here")
    done = deny.run(["unshare"], [*WALLSOCKET, "demo"], capture_output=True, text=True, timeout=100, env=environment)
    assert done.returncode == 0, done.stderr
    assert "no private network here" in done.stdout
    assert "one-recv-per-message" in done.stdout
