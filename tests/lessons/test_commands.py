"""``wallsocket lesson``: the list, one lesson, JSON, the page."""

from __future__ import annotations

import html.parser
import importlib.metadata
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from wallsocket.lessons import play, text
from wallsocket.lessons.catalogue import all_lessons, files_beside, named
from wallsocket.lessons.lesson import Claim, Lesson
from wallsocket.lessons.play import Run
from wallsocket.lessons.report import page

WALLSOCKET = [sys.executable, "-m", "wallsocket", "lesson"]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*WALLSOCKET, *words], capture_output=True, text=True, timeout=100, check=False)


def test_the_list_has_every_lesson_with_its_minutes() -> None:
    done = run()
    assert done.returncode == 0
    for lesson in all_lessons():
        assert re.search(rf"^  {lesson.id} +{lesson.minutes} min", done.stdout, re.MULTILINE), lesson.id


def test_the_list_is_there_as_json() -> None:
    listed = [json.loads(line) for line in run("--json").stdout.splitlines()]
    assert [row["id"] for row in listed] == [lesson.id for lesson in all_lessons()]
    assert set(listed[0]) == {"id", "door", "title", "minutes", "builds_on", "claims"}
    done = run("--no-ask")
    assert (done.returncode, done.stdout) == (2, "")
    assert "which lesson or claim?" in done.stderr


def test_a_lesson_is_played_for_a_reader() -> None:
    done = run("u23", "U25", "--no-picture")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "predict    Five sockets bind port 0." in done.stdout
    assert "   1  import socket" in done.stdout
    assert "verdict    true\n" in done.stdout
    assert "verdict    outdated\n" in done.stdout
    assert "port 1023 with it" in done.stdout


def test_a_picture_is_drawn_from_the_recording() -> None:
    done = run("U19")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "sendto(5" in done.stdout
    assert "U19.py:" in done.stdout


def test_json_is_an_object_per_claim() -> None:
    done = run("U25", "U23", "--json")
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert done.returncode == 0
    assert {"id", "slide", "verdict", "expected", "seen", "statement"} <= set(first)
    assert (first["id"], first["verdict"], first["expected"]) == ("U25", "outdated", "outdated")
    assert (second["id"], len(second["seen"]["ports"])) == ("U23", 5)


def test_a_setting_is_taken_and_turns_the_verdict() -> None:
    done = run("U25", "--sysctl", "net.ipv4.ip_unprivileged_port_start=80", "--no-picture")
    assert "verdict    wrong, net.ipv4.ip_unprivileged_port_start = 80" in done.stdout
    assert "Linux 6.18 as it comes: outdated" in done.stdout


def test_a_setting_that_does_not_exist_is_said() -> None:
    done = run("U25", "--sysctl", "net.ipv4.no_such_thing=1", "--no-picture")
    assert done.returncode == 1
    assert "this experiment sets net.ipv4.no_such_thing, which does not exist in private networks" in " ".join(
        done.stdout.split()
    )
    assert "verdict    unknown" in done.stdout
    done = run("X30", "--sysctl", "net.ipv4.ip_default_ttl=3", "--no-picture")
    assert done.returncode == 1
    assert "does not run in a private network of its own" in done.stdout
    done = run("U25", "--sysctl", "nonsense")
    assert done.returncode == 2
    assert "write NAME=VALUE" in done.stderr


def test_options_may_stand_before_the_name_and_help_says_how_to_call_it() -> None:
    done = run("--json", "U23")
    assert json.loads(done.stdout)["id"] == "U23"
    told = run("U23", "--help").stdout
    assert told.startswith("Usage: wallsocket lesson [OPTIONS] ID...\n") or "python" in told.splitlines()[0]
    assert "--sysctl NAME=VALUE" in told


def test_names_are_completed() -> None:
    environment = {
        **os.environ,
        "_WALLSOCKET_COMPLETE": "bash_complete",
        "COMP_WORDS": "wallsocket lesson udp-",
        "COMP_CWORD": "2",
    }
    words = [sys.executable, "-c", "from wallsocket.cli import main; main()"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert "udp-binding" in done.stdout


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("udp-bindin", "did you mean udp-binding?"),
        ("u244", "did you mean U44?"),
        ("quizz", "did you mean quiz?"),
        ("exercises", "did you mean exercise?"),
        ("raw", "did you mean raw-sending or raw-receiving?"),
        ("xyz", "wallsocket lesson lists them"),
    ],
)
def test_an_unknown_name_is_one_line(typed: str, meant: str) -> None:
    done = run(typed)
    assert done.returncode == 2
    assert done.stderr == f"wallsocket: no lesson or claim '{typed}'; {meant}\n"


def test_a_claim_is_found_in_any_spelling_of_its_id() -> None:
    assert {named(name).id for name in ("U02", "u02", "U2", "u2")} == {"U02"}


def test_wrong_use_names_the_command() -> None:
    assert "wallsocket lesson: " in run("--no-such").stderr
    assert "wallsocket lesson: which lesson or claim?" in run("").stderr


def test_quiet_says_only_what_failed() -> None:
    done = run("U23", "U25", "-q")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = run("U23", "U25", "-q", "--sysctl", "net.ipv4.no_such_thing=1")
    assert (done.returncode, done.stdout) == (1, "")
    assert [line.split(": ")[:2] for line in done.stderr.splitlines()] == [
        ["wallsocket lesson", "U23"],
        ["wallsocket lesson", "U25"],
    ]


def test_a_claim_alone_shows_the_files_that_its_program_imports() -> None:
    lesson, claim, other = named("udp-receiving"), named("U27"), named("U28")
    assert isinstance(lesson, Lesson)
    assert isinstance(claim, Claim)
    assert isinstance(other, Claim)
    assert [block.name for block in files_beside(claim)] == ["ends.py"]
    assert files_beside(other) == ()
    alone = run("U27", "--no-picture").stdout
    assert "    ends.py\n   1  " in alone
    assert run("udp-receiving", "--no-picture").stdout.count("    ends.py\n") == 1


def test_a_package_that_is_missing_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    claim = named("W15")
    assert isinstance(claim, Claim)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert play.missing(claim) == ('this experiment needs dpkt, which is not installed: pip install "wallsocket[dpkt]"')
    extras = importlib.metadata.metadata("wallsocket").get_all("Provides-Extra") or []
    assert "dpkt" in extras


class _Page(html.parser.HTMLParser):
    """Which elements there are, and whether each is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_stands_alone(tmp_path: Path) -> None:
    output = tmp_path / "lessons.html"
    done = run("report", "U19", "U26", "-o", str(output))
    assert done.returncode == 0, done.stderr
    written = output.read_text()
    parsed = _Page()
    parsed.feed(written)
    assert parsed.open == []
    assert not [tag for tag, _ in parsed.tags if tag in ("script", "link", "img", "iframe")]
    assert "default-src 'none'" in written
    names = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    targets = {attributes["href"] for tag, attributes in parsed.tags if tag == "a"}
    assert targets <= {f"#{name}" for name in names}
    assert "sendto(5, 127.0.0.1:4567)" in written
    again = run("report", "U19", "-o", str(output))
    assert again.returncode == 2
    assert "replace it with --overwrite" in again.stderr


def test_a_page_that_cannot_be_written_is_said_before_anything_is_played(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    for folder, reason in ((closed, "Permission denied"), (tmp_path / "none", "No such file or directory")):
        done = run("report", "U23", "-o", str(folder / "lessons.html"))
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"wallsocket: {folder / 'lessons.html'}: {reason}\n"


def test_what_was_seen_is_inert_in_the_page_and_on_the_terminal() -> None:
    claim, lesson = named("U26"), named("udp-binding")
    assert isinstance(claim, Claim)
    assert isinstance(lesson, Lesson)
    hostile = "<script>x</script>\x1b[31m\u202e"
    played = Run(claim=claim, verdict="true", seen={"printed": hostile, "own": [{"<b>": hostile}], "free": hostile})
    written = page([(lesson, [played])], {"U26": hostile}, version="1")
    shown = "\n".join(text.run_lines(played, width=100, colour=False))
    assert "<script" not in written
    for output in (written, shown):
        assert "\x1b" not in output
        assert "\u202e" not in output
