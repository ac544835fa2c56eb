"""``wallsocket show``, as a program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.expected import expect
from tests.support.recordings import Script, lost_letter
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
    assert show(str(tmp_path / "a.wsrec")).endswith("No sockets were recorded.\n")


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
