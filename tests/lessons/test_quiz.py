"""The quiz: the kernel decides, and a wrong answer is refuted by its experiment."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wallsocket.errors import UsageError
from wallsocket.lessons import progress, quiz
from wallsocket.lessons.catalogue import all_claims, all_lessons, named
from wallsocket.lessons.lesson import Claim, Lesson

WALLSOCKET = [sys.executable, "-m", "wallsocket", "lesson"]


def _claim(name: str) -> Claim:
    found = named(name)
    assert isinstance(found, Claim)
    return found


def run(*words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([*WALLSOCKET, *words], input=given, capture_output=True, text=True, timeout=100, check=False)


def test_the_lectures_quiz_has_exact_counts_for_both_queues() -> None:
    said = {"T34": "3", "T31": "5", "T35": "3", "T32": "B"}
    done = run("quiz", "--answers", "-", "--json", given=json.dumps(said))
    *answers, summary = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stdout + done.stderr
    assert summary == {"summary": {"asked": 4, "right": 4}}
    assert {answer["answer"]["id"]: answer["answer"]["right"] for answer in answers} == dict.fromkeys(said, True)
    assert answers[1]["answer"]["seen"]["further"] == 5


def test_a_wrong_answer_is_refuted_within_5_s() -> None:
    done = run("quiz", "--answers", "-", given='{"u24": "a"}')
    assert done.returncode == 1
    assert "Not so. This is what happens:" in done.stdout
    assert "you said   It moves to the new port: not so\nanswer     EINVAL, and it keeps its port\n" in done.stdout
    assert "second bind()" in done.stdout
    assert "EINVAL" in done.stdout
    assert "0 of 1 right" in done.stdout
    # A machine that needs longer for an interpreter that does nothing needs longer for an experiment, too.
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    nothing_s = time.monotonic() - started
    judged = run("quiz", "--answers", "-", "--json", given='{"u24": "a"}')
    assert json.loads(judged.stdout.splitlines()[0])["answer"]["took_s"] < max(5, 50 * nothing_s)


def test_questions_are_listed_without_their_answers() -> None:
    done = run("quiz", "--json", "--seed", "1", "--count", "6")
    questions = [json.loads(line)["question"] for line in done.stdout.splitlines()]
    assert [question["id"] for question in questions[:4]] == list(quiz.LECTURE)
    assert len(questions) == 6
    assert all(set(question) == {"id", "ask", "reason", "choices"} for question in questions)
    again = run("quiz", "--json", "--seed", "1", "--count", "6")
    assert again.stdout == done.stdout


def test_there_are_more_than_thirty_questions_besides_the_lectures() -> None:
    assert len(quiz.choose(count=1000)) > len(quiz.LECTURE) + 30


@pytest.mark.parametrize(
    ("words", "given", "says"),
    [
        (("quiz",), "", "give --answers FILE"),
        (("quiz", "--answers", "-"), "[", "answers are one JSON object"),
        (("quiz", "--answers", "-"), '{"U24": "Z"}', "'Z' is no answer; type a letter from A to C"),
        (("quiz", "U24", "--answers", "-"), "{}", "there is no answer for U24"),
        (("quiz", "U999", "--json"), "", "no lesson or claim 'U999'"),
        (("quiz", "--door", "roof"), "", "'roof' is not one of"),
    ],
)
def test_wrong_use_is_one_line(words: tuple[str, ...], given: str, says: str) -> None:
    done = run(*words, given=given)
    assert done.returncode == 2
    assert done.stdout == ""
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_letters_and_texts_are_understood() -> None:
    question = _claim("U24").question
    assert question is not None
    assert quiz.understand(question, " b ") == quiz.understand(question, "einval, and it keeps its PORT")
    assert quiz.understand(question, "D") is None
    assert quiz.understand(question, "") is None
    with pytest.raises(UsageError):
        quiz.ask(_claim("U24"), "D")


class _Terminal:
    """The quiz on a terminal of its own."""

    def __init__(self, *words: str) -> None:
        self.process, self.terminal = pty.fork()
        if self.process == 0:
            os.execv(sys.executable, [*WALLSOCKET, *words])
        self.said = ""
        self._read = 0

    def read_until(self, text: str, within_s: float = 60.0) -> None:
        deadline = time.monotonic() + within_s
        while text not in self.said[self._read :]:
            left = deadline - time.monotonic()
            assert left > 0, self.said
            if select.select([self.terminal], [], [], left)[0]:
                self._take()
        self._read = self.said.index(text, self._read) + len(text)

    def _take(self) -> None:
        try:
            self.said += os.read(self.terminal, 4096).decode(errors="replace")
        except OSError:  # EIO: the program has ended
            assert os.waitid(os.P_PID, self.process, os.WEXITED | os.WNOWAIT), self.said

    def has_said(self, text: str, within_s: float) -> bool:
        """Whether that comes in time."""
        deadline = time.monotonic() + within_s
        while text not in self.said:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.terminal], [], [], left)[0]:
                return False
            self._take()
        return True

    def type(self, text: str) -> None:
        os.write(self.terminal, text.encode())

    def interrupt(self, key: str = "\x03") -> None:
        """Ctrl-C, or Ctrl-D, until it is heard: before the line is read, it can be missed (readline)."""
        for _ in range(5):
            self.type(key)
            if self.has_said("interrupted\r\n", within_s=5):
                return
        pytest.fail(self.said)

    def status(self) -> int:
        status = os.waitpid(self.process, 0)[1]
        os.close(self.terminal)
        return os.waitstatus_to_exitcode(status)


def test_it_asks_for_the_answer_and_the_reason_on_a_terminal() -> None:
    terminal = _Terminal("quiz", "U24", "U23")
    terminal.read_until("your answer")
    terminal.type("x\n")
    terminal.read_until("type a letter from A to C")
    terminal.read_until("your answer")
    terminal.type("b\n")
    terminal.read_until("Why?")
    terminal.type("it has a place in the table\n")
    terminal.read_until("EINVAL, and it keeps its port. A bound socket")
    terminal.read_until("your answer")
    terminal.type("4\n")
    terminal.read_until("Why?")
    terminal.type("\n")
    terminal.read_until("Not so. This is what happens:")
    terminal.read_until("you said   4: not so")
    terminal.read_until("1 of 2 right")
    assert terminal.status() == 1


def test_who_does_not_know_is_shown_and_ctrl_c_tells_the_score_so_far() -> None:
    terminal = _Terminal("quiz", "T34", "U24", "U23")
    terminal.read_until("your answer")
    terminal.type("\n")
    terminal.read_until("This is what happens:")
    # What the program of this claim imports stands in its lesson, which was not shown.
    terminal.read_until("sequence.py")
    terminal.read_until("def half_open")
    terminal.read_until("your answer")
    terminal.type("b\n")
    terminal.read_until("Why?")
    terminal.type("\n")
    terminal.read_until("EINVAL, and it keeps its port. A bound socket")
    terminal.read_until("your answer (Enter: show me)  ")
    terminal.interrupt()
    assert "1 of 2 right so far" in terminal.said
    assert terminal.status() == 130


def test_a_claim_asks_for_a_prediction_first_and_says_whether_it_was_right() -> None:
    terminal = _Terminal("--no-picture", "U24")
    terminal.read_until("your prediction")
    terminal.type("b\n")
    terminal.read_until("Why?")
    terminal.type("\n")
    terminal.read_until("you said   EINVAL, and it keeps its port: right")
    assert terminal.status() == 0


def test_what_comes_next_is_remembered_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    file = tmp_path / "wallsocket" / progress.FILE
    lesson = named("udp-binding")
    assert isinstance(lesson, Lesson)
    first, second, third = (claim.id for claim in lesson.claims[:3])
    after = all_lessons()[all_lessons().index(lesson) + 1]
    listed = run()
    assert f"wallsocket lesson next begins with {all_lessons()[0].id}" in listed.stdout
    assert not list(tmp_path.iterdir())

    terminal = _Terminal("--no-picture", "udp-binding")
    for following in (second, third):
        terminal.read_until("your prediction")
        terminal.type("\n")
        terminal.read_until(f"(Enter: {following}, ")
        terminal.type("\n")
    terminal.read_until("your prediction (Enter: just show me)  ")
    terminal.interrupt()
    assert f"wallsocket lesson next: {lesson.title}, from {third} ({lesson.minutes} min)" in terminal.said
    assert terminal.status() == 130
    assert file.read_text() == f"{first}\n{second}\n"
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)

    listed = run()
    assert "2 played)" in listed.stdout
    assert f"wallsocket lesson next goes on with {third}, in udp-binding" in listed.stdout
    # What is not read on a terminal was not learned.
    assert run(third, "--no-picture").returncode == 0
    assert json.loads(run("next", "--json").stdout.splitlines()[0])["id"] == third
    for claim in lesson.claims[2:]:
        progress.note(claim)
    assert f"wallsocket lesson next goes on with {after.claims[0].id}, in {after.id}" in run().stdout
    for claim in all_claims():
        progress.note(claim)
    assert "everything was played" in run().stdout
    assert "everything was played" in run("next").stderr
    # A file that is damaged, or that nobody can write, is no reason not to learn.
    file.write_bytes(b"\xff\x00 nonsense U18\n")
    assert progress.played() == ("U18",)
    file.unlink()
    file.mkdir()
    progress.note(lesson.claims[0])
    assert progress.played() == ()


def test_ctrl_c_ends_it() -> None:
    terminal = _Terminal("quiz", "U24")
    terminal.read_until("your answer (Enter: show me)  ")
    terminal.interrupt()
    assert "right so far" not in terminal.said
    assert terminal.status() == 130


@pytest.mark.parametrize("asked", [(), ("a\n",)], ids=["prediction", "reason"])
def test_the_end_of_the_input_ends_it(asked: tuple[str, ...]) -> None:
    terminal = _Terminal("--no-picture", "U24")
    terminal.read_until("your prediction (Enter: just show me)  ")
    for typed in asked:
        terminal.type(typed)
        terminal.read_until("Why?  ")
    terminal.interrupt("\x04")
    assert terminal.said.endswith("\r\nwallsocket: interrupted\r\n")
    assert terminal.status() == 130
