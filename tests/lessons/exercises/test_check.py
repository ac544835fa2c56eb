"""What is said of a program: on the terminal, as JSON, by the exit status; and of files that cannot be run."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from wallsocket.diagnose import rule_of
from wallsocket.errors import UsageError
from wallsocket.lessons.catalogue import all_lessons
from wallsocket.lessons.exercises import all_exercises, exercise_named
from wallsocket.lessons.exercises.hints import HINTS
from wallsocket.lessons.exercises.mistakes import MISTAKES
from wallsocket.lessons.exercises.source import command_of
from wallsocket.lessons.exercises.text import verdict_lines
from wallsocket.lessons.exercises.verdict import Cause, Outcome, Verdict
from wallsocket.trace.recording import Recording

from ...support import deny

PROGRAMS = Path(__file__).parent
DOCS = Path(__file__).parents[3] / "docs" / "exercises.md"


def lesson(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "wallsocket", "lesson", *words],
        capture_output=True,
        text=True,
        timeout=110,
        cwd=cwd,
        env={**os.environ, "COLUMNS": "110", "NO_COLOR": "1"},
        check=False,
    )


def test_a_wrong_program_is_told_on_a_screen(tmp_path: Path) -> None:
    path = PROGRAMS / "wrong" / "length_one_recv.py"
    recording = tmp_path / "run.wsrec"
    done = lesson("check", str(path), "-e", "length-prefixed", "--first", "-o", str(recording))
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (1, "")
    assert lines[0] == "length_one_recv.py for length-prefixed: wrong, 1 of 13 scenarios passed"
    assert lines[2] == "FAILED  a message that comes in parts"
    assert lines[3].startswith("  expected    ")
    assert "  the peer    connected to 192.0.2.1:4568" in lines
    # The end of the ladder, with the student's lines and none of ours; how far back it goes depends on the machine's pace.
    assert re.search(r"^tcp 192\.0\.2\.1:\d+ → 192\.0\.2\.1:4568$", done.stdout, re.MULTILINE)
    assert re.search(r"line (9|15|16|19)  (recv|send|close)\(", done.stdout)
    assert "stage.py" not in done.stdout
    cause = next(line for line in lines if line.startswith("LIKELY CAUSE"))
    assert cause.endswith("short-read (strong)")
    assert lines[lines.index(cause) + 1] == "  length_one_recv.py:15      text = connection.recv(length)  # HERE"
    assert lines[-2:] == ["11 not played", f"recording: {recording}"]
    assert len(lines) <= 50
    assert [line for line in lines[:-1] if len(line) > 110] == []
    with Recording.open(recording) as opened:
        assert opened.meta["wire"] == "yes"


def test_json_is_one_object_and_the_status_says_the_verdict(tmp_path: Path) -> None:
    right = lesson("check", str(PROGRAMS / "right" / "uppercase_udp_plain.py"), "-e", "uppercase-udp", "--json")
    assert (right.returncode, right.stderr) == (0, "")
    found = json.loads(right.stdout)
    assert (found["verdict"], found["failed"], found["cause"], found["reason"]) == ("right", None, None, None)
    assert found["passed"] == found["scenarios"] == len(found["outcomes"]) == 7
    assert found["outcomes"][0]["peer"] == [
        "sent 12 bytes 'hello, world'",
        "received a datagram of 12 bytes 'HELLO, WORLD'",
    ]

    (tmp_path / "none.py").write_text("import sys\nsys.exit('I do not know how')\n")
    none = lesson("check", "none.py", "-e", "uppercase-udp", "--json", cwd=tmp_path)
    assert none.returncode == 2
    found = json.loads(none.stdout)
    assert (found["verdict"], found["passed"], found["scenarios"]) == ("could not run", 0, 7)
    assert found["cause"]["id"] == "crashed"
    assert found["reason"].startswith("it does not bind UDP port 4567: the program ended with I do not know how")
    assert [outcome["passed"] for outcome in found["outcomes"]] == [False] + [None] * 6


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("cut.py", "def f(:\n", "cut.py:1: SyntaxError: invalid syntax"),
        ("zero.py", "a = 1\0\n", "zero.py: SyntaxError: source code string cannot contain null bytes"),
        ("notes.txt", "notes", "notes.txt: nothing tells how to run it; give it a first line"),
        ("odd", "#!/no/such/thing\n", "odd: its first line names /no/such/thing, which is not installed"),
        ("empty", "#!\n", "empty: its first line names no interpreter"),
        ("cut.c", "int main() { return x; }\n", "cut.c does not compile: cut.c:1:21: error:"),
    ],
)
def test_what_cannot_be_started_is_one_line(tmp_path: Path, name: str, text: str, reason: str) -> None:
    (tmp_path / name).write_text(text)
    done = lesson("check", name, "-e", "lines", "-q", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"wallsocket lesson check: {reason}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("refused", ["unshare", "ptrace"])
def test_where_it_is_refused_one_line_says_by_whom(refused: str) -> None:
    if not deny.available():
        pytest.skip("no seccomp filter here")
    command = [sys.executable, "-m", "wallsocket", "lesson", "check", str(PROGRAMS / "right" / "fixed_plain.py")]
    done = deny.run([refused], [*command, "-e", "fixed", "--json"], capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "a seccomp filter" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_check_that_is_interrupted_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    program, alive, scratch = tmp_path / "stays.py", tmp_path / "alive", tmp_path / "scratch"
    os.mkfifo(alive)
    scratch.mkdir()
    program.write_text(
        "import signal, socket, sys\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        f"alive = open({str(alive)!r}, 'w')\n"
        "socket.create_server(('', int(sys.argv[1]))).accept()\n"
        "signal.pause()\n"
    )
    command = [sys.executable, "-m", "wallsocket", "lesson", "check", str(program), "-e", "uppercase-tcp"]
    env = {**os.environ, "TMPDIR": str(scratch)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as process:
        with alive.open() as reader:
            # It was opened by the program: that runs.
            process.send_signal(number)
            out, err = process.communicate(timeout=60)
            assert (process.returncode, out, err.strip()) == (130, "", "wallsocket: interrupted")
            assert reader.read() == ""
    assert list(scratch.iterdir()) == []


def test_a_narrow_terminal_has_the_cause_in_its_lines(tmp_path: Path) -> None:
    words = ["a", "cause", "that", "is", "longer", "than", "the", "line"]
    cause = Cause(
        "some-mistake",
        "mistake",
        "certain",
        " ".join(words),
        "why",
        "hint",
        str(tmp_path / "a.py"),
        3,
        "x = " + "1" * 60,
    )
    outcome = Outcome("one", "a title", False, "no answer", "this", "that")
    verdict = Verdict("wrong", "fixed", "a.py", 0, 1, failed="one", cause=cause, outcomes=(outcome,))
    lines = list(verdict_lines(verdict, width=40, colour=False))
    assert [line for line in lines if len(line) > 40] == []
    assert "  some-mistake (certain)" in lines
    assert any(line.startswith("  a.py:3      x = 111") and line.endswith("…") for line in lines)


def test_wrong_names_are_one_line(tmp_path: Path) -> None:
    done = lesson("check", "missing.py", "-e", "lines", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (
        2,
        "missing.py for lines: could not run: missing.py: No such file or directory\n",
    )
    done = lesson("check", "missing.py", "-e", "linse", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "wallsocket: no exercise 'linse'; did you mean lines?\n"
    done = lesson("check", "/", "-e", "lines")
    assert done.stdout == " for lines: could not run: / is a directory; name the file of the program\n"
    os.mkfifo(tmp_path / "pipe.py")
    done = lesson("check", "pipe.py", "-e", "lines", cwd=tmp_path)
    assert done.stdout.startswith("pipe.py for lines: could not run: pipe.py is a device, a FIFO or a socket;")
    closed = tmp_path / "closed.py"
    closed.touch(0o000)
    try:
        closed.read_bytes()
    except PermissionError:
        done = lesson("check", "closed.py", "-e", "lines", "--json", cwd=tmp_path)
        assert (done.returncode, json.loads(done.stdout)["reason"]) == (2, "closed.py: Permission denied")


def test_a_shebang_line_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "service"
    path.write_text("#!/usr/bin/env -S sh -e\n")
    assert command_of(path, tmp_path) == ["/usr/bin/env", "-S", "sh", "-e", str(path)]
    path.write_text("#!/bin/sh -e -u\n")
    assert command_of(path, tmp_path) == ["/bin/sh", "-e -u", str(path)]  # execve(2): one argument
    with pytest.raises(UsageError, match="did you mean one-thread"):
        exercise_named("one-tread")


def test_tasks_are_printed() -> None:
    listed = lesson("exercise")
    assert listed.returncode == 0
    for exercise in all_exercises():
        assert f"  {exercise.name} " in listed.stdout
    task = lesson("exercise", "chat").stdout
    assert task.startswith("chat: clients that hear each other  (level 3)\n")
    assert "It is started as: FILE PORT\n" in task
    assert "Lessons before it: framing, four-ways (wallsocket lesson framing)\n" in task
    objects = [json.loads(line) for line in lesson("exercise", "--json").stdout.splitlines()]
    assert [one["exercise"] for one in objects] == [exercise.name for exercise in all_exercises()]


def test_every_mistake_has_a_name_a_hint_and_a_line_in_the_documents() -> None:
    ids = [mistake.id for mistake in MISTAKES]
    assert len(ids) == len(set(ids))
    assert all(mistake.hint.endswith((".", "?", "socket(7).")) and mistake.title for mistake in MISTAKES)
    told = set(
        re.findall(r"^\| `([a-z-]+)` \|", DOCS.read_text(encoding="utf-8").split("### Mistakes")[1], re.MULTILINE)
    )
    assert told == {name for name in ids if rule_of(name) is None} | {"unknown"}
    scenarios = [scenario for exercise in all_exercises() for scenario in exercise.scenarios]
    assert {scenario.mistake for scenario in scenarios if scenario.mistake} <= set(ids)


def test_hints_are_for_rules_that_exist() -> None:
    assert [name for name in HINTS if rule_of(name) is None] == []


def test_exercises_have_names_of_their_own() -> None:
    for exercise in all_exercises():
        names = [scenario.name for scenario in exercise.scenarios]
        assert len(names) == len(set(names))
        assert exercise.usage.startswith("FILE ")
        assert exercise.task.isascii()
        assert exercise.lessons
        assert {lesson.id for lesson in all_lessons()} >= set(exercise.lessons)
