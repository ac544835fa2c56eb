"""Programs that are hard to trace do what they do untraced."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.support import battery
from wallsocket.trace.recording import Recording

#: The names in ``hostile.c``; a test compares.
NAMES = (
    "untraced_clone untraced_clone3 filter_kills filter_kills_later filter_fails filter_traps filter_wants_tracer "
    "filter_forbids_ours filter_logs filter_asks strict signals_in_order first_socket_in_handler jumps_out_of_a_call "
    "stop_and_continue ignored_signals dispositions rounds_only thread_executes ends_in_a_crowd first_thread_ends vforks "
    "parent_sees_stops registers_stay no_room closes_all in_a_namespace kills_itself aborts ends_with_255"
).split()
#: System-call number on x86-64.
WRITE = 1
#: For each way to be attached to: what is most unlike a plain program. The long runs have all.
ATTACHED = (
    "untraced_clone filter_kills strict signals_in_order stop_and_continue ends_in_a_crowd parent_sees_stops".split()
)


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return battery.build(tmp_path_factory.mktemp("hostile"))


def test_all_are_named(hostile: Path) -> None:
    assert battery.names(hostile) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_run(name: str, hostile: Path, tmp_path: Path) -> None:
    assert battery.run(hostile, name, tmp_path) == battery.untraced(hostile, name)


@pytest.mark.root
@pytest.mark.parametrize("name", ["untraced_clone3", "filter_kills", "filter_wants_tracer", "strict", "in_a_namespace"])
def test_run_by_root(name: str, hostile: Path, tmp_path: Path) -> None:
    assert battery.run(hostile, name, tmp_path) == battery.untraced(hostile, name)


@pytest.mark.parametrize("name", ATTACHED)
def test_attached_to(name: str, hostile: Path, tmp_path: Path) -> None:
    assert battery.attached(hostile, name, tmp_path) == battery.untraced(hostile, name)


@pytest.mark.parametrize("name", ["signals_in_order", "filter_kills", "strict"])
def test_let_go(name: str, hostile: Path, tmp_path: Path) -> None:
    expected = battery.untraced(hostile, name)
    assert battery.let_go(hostile, name, tmp_path) == expected
    assert battery.abandoned(hostile, name, tmp_path) == expected


def test_a_program_with_a_filter_of_its_own_is_recorded_nevertheless(hostile: Path, tmp_path: Path) -> None:
    battery.run(hostile, "filter_fails", tmp_path)
    with Recording.open(tmp_path / "filter_fails.wsrec") as recording:
        blind = [mark.text for mark in recording.marks() if mark.kind == "blind" and "filter" in mark.text]
        assert len(blind) == 1
        assert "has one of its own" in blind[0]
        assert "every call of it stops" in blind[0]
        assert sum(call.number == WRITE and call.socket is not None for call in recording.calls()) == 5


@pytest.mark.root
def test_a_set_uid_program_that_root_traces_keeps_its_rights(tmp_path: Path) -> None:
    """One that shows its user, set-uid to another one, run by a third."""
    program = tmp_path / "who"
    program.write_bytes(Path("/usr/bin/id").read_bytes())
    os.chown(program, 12345, 12345)
    program.chmod(0o4755)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_mode & 0o005 != 0o005:
            folder.chmod(folder.stat().st_mode | 0o005)
    for options in ([], ["-u", "nobody"]):
        words = [*battery.WALLSOCKET, "trace", "-q", *options, "-o", str(tmp_path / f"r{len(options)}.wsrec")]
        done = battery.outcome_of([*words, "--", str(program), "-u"])
        assert done == battery.Outcome(0, "12345\n")


#: Ignores and blocks signals, and becomes another program: IGNORED BLOCKED COMMAND…
WITH_SIGNALS = """
import os, signal, sys
for number in eval(sys.argv[1]):
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, eval(sys.argv[2]))
os.execvp(sys.argv[3], sys.argv[3:])
"""


@pytest.mark.parametrize("ignored", ["[17]", "[1, 2, 3, 15]", "[40]", "[]"])
def test_inherited_signals_arrive_unchanged(ignored: str, hostile: Path, tmp_path: Path) -> None:
    given = [sys.executable, "-c", WITH_SIGNALS, ignored, "[10, 37]"]
    program = [str(hostile), "dispositions"]
    traced = [*battery.WALLSOCKET, "trace", "-q", "-o", str(tmp_path / "r.wsrec"), "--", *program]
    # Python's own start changes SIGPIPE and SIGXFSZ.
    expected = battery.outcome_of([*given, *program])
    done = battery.outcome_of([*given, *traced])
    assert done.status == expected.status == 0
    assert without_python(done.output) == without_python(expected.output)


def without_python(output: str) -> list[int]:
    return [int(line.split()[1], 16) & ~(1 << 12 | 1 << 24) for line in output.splitlines()]


@pytest.mark.parametrize("trap", ["trap '' PIPE", "trap '' PIPE CHLD XFSZ", ":"])
def test_what_a_shell_ignores_arrives_ignored(trap: str, hostile: Path, tmp_path: Path) -> None:
    program = [str(hostile), "dispositions"]
    traced = [*battery.WALLSOCKET, "trace", "-q", "-o", str(tmp_path / "r.wsrec"), "--", *program]
    shell = ["sh", "-c", f'{trap}; "$@"; exit $?', "sh"]
    assert battery.outcome_of([*shell, *traced]) == battery.outcome_of([*shell, *program])
