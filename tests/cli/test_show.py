"""``wallsocket show``, as a program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tests.support.expected import expect
from tests.support.recordings import Script, lost_letter
from wallsocket.cli.show import command
from wallsocket.errors import UsageError
from wallsocket.trace.recording import Writer

EXPECTED = Path(__file__).parents[1] / "trace" / "expected"
A, B = "127.0.0.1:1000", "127.0.0.1:2000"


@pytest.fixture
def letter(tmp_path: Path) -> str:
    lost_letter(tmp_path / "a.wsrec").close()
    return str(tmp_path / "a.wsrec")


def show(*arguments: str, columns: int = 126, status: int = 0, **environment: str) -> str:
    clean = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR")}
    done = subprocess.run(
        [sys.executable, "-m", "wallsocket", "show", *arguments],
        capture_output=True,
        env={**clean, "COLUMNS": str(columns), "PYTHONUTF8": "1", **environment},
        timeout=60,
        check=False,
    )
    assert done.returncode == status, done.stderr.decode()
    return done.stdout.decode()


def test_the_ladder_is_the_default(letter: str) -> None:
    expect(EXPECTED, "lost_letter", show(letter))


def test_the_other_views(letter: str) -> None:
    expect(EXPECTED, "calls", show(letter, "--calls"))
    expect(EXPECTED, "states", show(letter, "--states"))
    expect(EXPECTED, "packets", show(letter, "--packets"))
    assert "recording" in json.loads(show(letter, "--json").splitlines()[0])


@pytest.mark.parametrize("view", ["--calls", "--states", "--packets", "--summary"])
def test_each_view_says_what_is_missing_at_the_end(view: str, tmp_path: Path) -> None:
    lost_letter(tmp_path / "a.wsrec", lost="7").close()
    assert show(str(tmp_path / "a.wsrec"), view).splitlines()[-1] == "7 events could not be recorded"
    script = Script(tmp_path / "b.wsrec")
    script.process(1, 70, "one")
    script.socket(1, 1, 0)
    script.call("socket", 5, 1, 3, socket=1)
    script.done().close()
    for span in ([], ["--from", "1s"]):
        assert show(str(tmp_path / "b.wsrec"), view, *span).splitlines()[-1] == "cut off at 6 µs"
    lost_letter(tmp_path / "c.wsrec").close()
    assert not [
        line for line in show(str(tmp_path / "c.wsrec"), view).splitlines() if "cut off" in line or "lost" in line
    ]


def test_colour_is_asked_for(letter: str) -> None:
    assert "\x1b[" not in show(letter)
    assert "\x1b[31m" in show(letter, FORCE_COLOR="1")
    assert "\x1b[" not in show(letter, FORCE_COLOR="1", NO_COLOR="1")


def test_one_socket_and_a_span_of_time(letter: str) -> None:
    text = show(letter, "--socket", "1")
    assert "tcp listener" in text
    assert "→" not in text
    text = show(letter, "--from", "1.2ms", "--to", "1.25ms")
    assert "send(1024)" in text
    assert "recv(1024)" not in text
    show(letter, "--socket", "9", status=2)


def test_what_matches_nothing_is_said(letter: str, tmp_path: Path) -> None:
    for view in ("--calls", "--summary"):
        assert show(letter, view, "--call", "EBADF") == "No such call was recorded.\n"
    assert show(letter, "--calls", "--from", "2.5us", "--to", "2.6us") == "No such call was recorded.\n"
    assert show(letter, "--packets", "--from", "2.5us", "--to", "2.6us") == "No such packet was recorded.\n"
    assert show(letter, "--from", "2.5us", "--to", "2.6us").splitlines()[1:] == ["Nothing happened in this span."]
    assert show(letter, "--from", "1h").startswith("Nothing was recorded then: the recording ends at ")
    empty = str(tmp_path / "b.wsrec")
    Script(tmp_path / "b.wsrec", wire="refused").done(1).close()
    said = {view: show(empty, view) for view in ("--calls", "--summary", "--states", "--packets")}
    assert said["--calls"] == said["--summary"] == "No call was recorded.\n"
    assert said["--states"] == "No socket was recorded.\n"
    assert said["--packets"] == "No packet was recorded: refused.\n"


def test_a_span_shows_what_happened_in_it_alone(letter: str) -> None:
    text = show(letter, "--from", "1.2ms", "--to", "1.25ms")
    assert "send(1024)" in text
    assert "tcp listener" not in text


@pytest.mark.parametrize(
    "words",
    [
        ("--calls", "--states"),
        ("--summary", "--packets"),
        ("--json", "--calls"),
        ("--from", "2s", "--to", "1s"),
        ("--summary", "--wall-clock"),
        ("--json", "--wall-clock"),
        ("--states", "--call", "connect"),
        ("--states", "--stack"),
        ("--call", "EFOO"),
        ("--call", "recieve"),
    ],
)
def test_what_has_no_meaning_together_is_refused(words: tuple[str, ...], letter: str) -> None:
    with pytest.raises((click.UsageError, UsageError)):
        command.main([letter, *words], standalone_mode=False)


def test_everything_includes_bare_acknowledgements(letter: str) -> None:
    assert " ACK " not in show(letter).replace("SYN ACK", "")
    assert " ACK " in show(letter, "--all").replace("SYN ACK", "")


def test_the_newest_is_taken(tmp_path: Path) -> None:
    state = tmp_path / "state"
    (state / "wallsocket").mkdir(mode=0o700, parents=True)
    for number, name in enumerate(("old", "new")):
        path = state / "wallsocket" / f"{name}.wsrec"
        Script(path, command=f'["{name}"]').done(1).close()
        os.utime(path, (1000 + number, 1000 + number))
    assert show(XDG_STATE_HOME=str(state)).startswith("new   ")
    assert show("--calls", XDG_STATE_HOME=str(tmp_path / "empty"), status=2) == ""


def test_nothing_recorded(tmp_path: Path) -> None:
    Script(tmp_path / "a.wsrec").done(1).close()
    assert show(str(tmp_path / "a.wsrec")).endswith("No socket was recorded.\n")


def test_many_conversations_are_shortened(tmp_path: Path) -> None:
    script = Script(tmp_path / "a.wsrec")
    script.process(1, 70, "one")
    for number in range(1, 101):
        script.socket(number, 1, number, local=f"127.0.0.1:{number}", remote=B)
        script.call("sendto", number, 0.1, 1, fd=3, socket=number, length=1)
    for number in range(101, 105):
        script.socket(number, 1, number, family=16, type=3, protocol=0)
    script.done(1000).close()
    text = show(str(tmp_path / "a.wsrec"))
    assert text.count("send(1)") == 12
    assert text.count("sent 1 byte") == 12 + 40
    assert text.endswith("… 49 more; --all draws everything, --socket N one of them\n")
    assert show(str(tmp_path / "a.wsrec"), "--all").count("send(1)") == 100


def test_sockets_to_which_the_same_happened_share_a_line(tmp_path: Path) -> None:
    script = Script(tmp_path / "a.wsrec")
    script.process(1, 70, "one")
    for number in range(1, 9):
        script.socket(number, 1, number, family=16, type=3, protocol=0)
    script.done(1000).close()
    last = show(str(tmp_path / "a.wsrec")).splitlines()[-1]
    assert last == "8 sockets (1, 2, 3, 4, 5, 6, …)  one (pid 70)  AF_NETLINK SOCK_RAW NETLINK_ROUTE: open to the end"


def test_following_a_recording_that_grows(tmp_path: Path) -> None:
    path = tmp_path / "a.wsrec"
    writer = Writer(path, meta={"machine": "x86_64"})
    writer.write("mark", [(1, 1, None, None, "exec", "first")])
    writer.commit()
    program = [sys.executable, "-m", "wallsocket", "show", str(path), "--json", "--follow"]
    with subprocess.Popen(program, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert "recording" in json.loads(child.stdout.readline())
        assert json.loads(child.stdout.readline())["mark"]["text"] == "first"
        writer.write("mark", [(2, 2, None, None, "exec", "second")])
        writer.commit()
        assert json.loads(child.stdout.readline())["mark"]["text"] == "second"
        writer.finish({"ended_ns": "3"})
        assert child.stdout.read() == b""
        assert child.wait(timeout=60) == 0


def test_a_failed_call_is_in_every_view(tmp_path: Path) -> None:
    """A setsockopt that was refused, and a socket() that got nothing, after 20 healthy connections."""
    script = Script(tmp_path / "a.wsrec")
    script.process(1, 70, "one")
    script.socket(1, 1, 0, type=2, protocol=17)
    script.call("setsockopt", 1, 1, -19, fd=3, socket=1, a=1, b=25, c=5, value=b"none\0")
    script.call("socket", 3, 1, -24, a=2, b=1, c=0)
    for number in range(2, 22):
        script.socket(number, 1, number, local=f"127.0.0.1:{number}", remote="127.0.0.1:80")
        script.call("connect", number, 0.1, fd=3, socket=number, address="127.0.0.1:80")
        script.call("sendto", number + 0.2, 0.1, 5, fd=3, socket=number, length=5, offset=0)
    script.done(1000).close()
    path = str(tmp_path / "a.wsrec")
    for option in ((), ("--all",), ("--calls",), ("--json",)):
        text = show(path, *option)
        assert "ENODEV" in text, option
        assert "EMFILE" in text, option
    assert "setsockopt failed with ENODEV" in show(path, "--states")


def test_what_is_chosen_is_shown(letter: str) -> None:
    assert show(letter, "--call", "failed").count("\n") == show(letter, "--call", "failed").count("ENOTCONN") == 1
    assert "tcp listener" not in show(letter, "--process", "nc")
    assert "tcp listener" not in show(letter, "--states", "--port", "51822")
    assert show(letter, "--packets", "--port", "51822") == show(letter, "--packets")
    assert show(letter, "--packets", "--socket", "1") == "No such packet was recorded.\n"
    assert '"title":"tcp listener' not in show(letter, "--json", "--port", "51822")


def test_the_summary(letter: str) -> None:
    text = show(letter, "--summary")
    assert text.startswith("% time ")
    assert "shutdown  ENOTCONN ×1" in text
    objects = [json.loads(line) for line in show(letter, "--summary", "--json").splitlines()]
    assert {next(iter(item)) for item in objects} == {"call", "socket"}
    assert [item["socket"]["sent"] for item in objects if "socket" in item] == [0, 3000, 1024]


def test_a_stack_that_was_recorded_and_one_that_was_not(tmp_path: Path) -> None:
    script = Script(tmp_path / "s.wsrec")
    script.process(1, 70, "one")
    script.socket(1, 1, 0)
    script._add("binary", (1, "/usr/bin/\x1bx", None))
    script._add("stack", (1, (1).to_bytes(4, "little") + (0x1234).to_bytes(8, "little") + bytes(12)))
    script.call("close", 1, fd=3, socket=1, stack=1)
    script.call("close", 2, fd=3, socket=1)
    script.done(10).close()
    assert show(str(tmp_path / "s.wsrec"), "--stack").splitlines()[1:] == [
        "               /usr/bin/\\x1bx +0x1234",
        "               memory without a file +0x0",
        "      0.002  70/101           close(3) = 0  <1 µs>",
        "               native stack not recorded",
    ]


def test_the_time_of_day_needs_a_day(letter: str, tmp_path: Path) -> None:
    show(letter, "--wall-clock", status=2)
    lost_letter(tmp_path / "b.wsrec", started_realtime_ns="1796021124000000000").close()
    for view in ("--calls", "--states", "--packets", "--all"):
        assert "24.001" in show(str(tmp_path / "b.wsrec"), "--wall-clock", view, TZ="UTC")


@pytest.mark.parametrize(
    "words",
    [
        ["--json", "--calls"],
        ["--stack", "--states"],
        ["--follow", "--states"],
        ["--follow", "--from", "1s"],
        ["--call", "x", "--states"],
        ["--call", "a b"],
        ["--follow", "--json", "--port", "1"],
        ["--wall-clock", "--json"],
        ["--port", "9"],
        ["--process", "nobody"],
    ],
)
def test_what_does_not_go_together(words: list[str], letter: str) -> None:
    assert show(letter, *words, status=2) == ""


def test_calls_are_followed_while_the_recording_grows(tmp_path: Path) -> None:
    path = tmp_path / "g.wsrec"
    script = Script(path)
    script.process(1, 70, "one")
    script.socket(1, 1, 0)
    script.call("accept4", 1, None, fd=3, socket=1)
    script.call("recvfrom", 2, 1, 5, fd=4, socket=1, line=("/srv/a.py", 1, "f"))
    for table, rows in script._rows.items():
        script.writer.write(table, rows)
    script.writer.write("source", [(1, "/srv/a.py", 1, "f")])
    script.writer.commit()
    words = [sys.executable, "-u", "-m", "wallsocket", "show", str(path), "--follow"]
    everything = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    chosen = subprocess.Popen([*words, "--port", "7"], stdout=subprocess.PIPE, text=True)
    try:
        assert everything.stdout is not None
        assert "recvfrom(4, ?) = 5  <1 µs>  /srv/a.py:1 f" in everything.stdout.readline()
        script._rows.clear()
        script.call("connect", 9, 1, -111, fd=5, socket=1, address="127.0.0.1:7", line=("/srv/b.py", 2, "g"))
        script.writer.write("source", [(2, "/srv/b.py", 2, "g")])
        script.writer.write("call", script._rows["call"])
        script.writer.commit()
        told = everything.stdout.readline()
        assert "ECONNREFUSED" in told
        assert told.endswith("/srv/b.py:2 g\n")
        script.writer.finish({"ended_ns": "20000"})
        assert "accept4(3, NULL) has not returned" in everything.stdout.read()
        said, _ = chosen.communicate(timeout=60)
        assert (everything.wait(60), chosen.returncode) == (0, 0)
    finally:
        for process in (everything, chosen):
            process.kill()
            process.communicate()
    assert {line.split()[2].partition("(")[0] for line in said.splitlines()} <= {"connect", "accept4", "recvfrom"}
    assert "connect(" in said
