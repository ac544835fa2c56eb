"""The preloaded library records what the tracer would, and the program does not notice it."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import battery
from wallsocket.errors import UsageError
from wallsocket.events import Call
from wallsocket.trace.recording import Recording
from wallsocket.trace.run import RunResult, run
from wallsocket.trace.syscalls import names

Trace = Callable[..., tuple[RunResult, Recording]]
Build = Callable[[str], Path]
NAMES = names("x86_64")
#: Cases of ``preloaded.c`` in which everything happens in one order.
IN_ORDER = (
    "every wild vfork exec spawn clones clones-vm "
    "without closes blocked killed killed-waiting aborts cancelled handler jump overwritten"
).split()


def row(call: Call) -> tuple[Any, ...]:
    """All that does not depend on time."""
    # The C library makes select(2) of another call; the library does as asked.
    name = NAMES[call.number].replace("pselect6", "select")
    return (
        *(call.process, name, call.fd, call.socket, call.result, call.a, call.b, call.c, call.length, call.offset),
        *(call.flags, call.payload, call.value, call.address, call.sockets, call.made, call.took_ns is None),
    )


def rows(recording: Recording) -> list[tuple[Any, ...]]:
    calls = list(recording.calls())
    entries = [call.entry_ns for call in calls]
    assert entries == sorted(entries), "calls are numbered in the order in which they begin"
    return [row(call) for call in calls]


#: Says who it is and whether the loader must distrust its environment (getauxval(3), AT_SECURE), and talks.
OTHER_USER = """
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/socket.h>
#include <unistd.h>
int main(void) {
    int ends[2];
    char text[3];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends)) return 1;
    for (int i = 0; i < 3; i++)
        if (write(ends[0], "abc", 3) != 3 || read(ends[1], text, 3) != 3) return 2;
    printf("%d %d %d\\n", getuid(), geteuid(), (int) getauxval(AT_SECURE));
    return 0;
}
"""

#: Threads, files, and functions that come and go at the same addresses.
CALLS_OF_PYTHON = """
import socket, threading
def echo(a, b, n):
    for i in range(n):
        a.sendall(b"hello")
        b.recv(5)
        if i % 3 == 0:
            a.send(b"x"); b.recv(1)
a, b = socket.socketpair()
echo(a, b, 20)
with a.makefile("wb") as f, b.makefile("rb") as g:
    for _ in range(20):
        f.write(b"line\\n"); f.flush()
        g.readline()
for _ in range(3):
    thread = threading.Thread(target=lambda: echo(*socket.socketpair(), 10))
    thread.start(), thread.join()
for i in range(30):
    names = {}
    exec(compile("\\n" * i + "def f(a, b):\\n a.send(b'y')\\n b.recv(1)\\n", "<made>", "exec"), names)
    names["f"](a, b)
a.send(b"end")
b.recv(3)
"""
LOOP_OF_PYTHON = """
import asyncio
async def handle(reader, writer):
    while data := await reader.read(100):
        writer.write(data.upper())
        await writer.drain()
    writer.close()
async def main():
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    for _ in range(3):
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        for _ in range(20):
            writer.write(b"hello")
            await reader.readexactly(5)
        writer.close()
        await writer.wait_closed()
    server.close()
asyncio.run(main())
"""


@pytest.mark.parametrize("code", [CALLS_OF_PYTHON, LOOP_OF_PYTHON], ids=["threads", "loop"])
def test_the_same_lines(code: str, python: str, traced: Trace, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(code)
    found, stops = [], []
    for via in ("ptrace", "preload"):
        _, recording = traced(python, script, samples=False, via=via)
        sources = recording.sources
        found.append(
            [
                (NAMES[call.number], call.fd, call.result, call.payload, call.known)
                + ((sources[call.source].file, sources[call.source].line) if call.source else ())
                for call in recording.calls()
            ]
        )
        stops.append(int(recording.meta["stops"]))
    assert found[1] == found[0]
    assert stops[1] < stops[0] / 2
    assert any(known == 1 for *_, known in (item[:5] for item in found[1]))


def messages(recording: Recording) -> list[tuple[str, str]]:
    return [(fact.kind, fact.value) for fact in recording.facts() if fact.kind in ("http", "text")]


def both(traced: Trace, program: Path, case: str) -> tuple[Recording, Recording]:
    """The same by stops and by the library, which has every call that it can have: nobody samples."""
    stopped, by_ptrace = traced(program, case, samples=False, via="ptrace")
    recorded, by_library = traced(program, case, samples=False, via="preload")
    assert (recorded.exit_status, recorded.lost) == (stopped.exit_status, 0)
    return by_ptrace, by_library


@pytest.mark.parametrize("case", IN_ORDER)
def test_the_same_rows(case: str, built: Build, traced: Trace, capfd: pytest.CaptureFixture[str]) -> None:
    program = built("preloaded")
    untraced = subprocess.run([program, case], capture_output=True, text=True, check=False)
    by_ptrace, by_library = both(traced, program, case)
    seen = capfd.readouterr()
    assert seen.out == untraced.stdout * 2
    assert seen.err == ""
    assert rows(by_library) == rows(by_ptrace)
    assert {call.via for call in by_library.calls()} == {0, 1}
    if case == "every":
        # However many events there is room for.
        waits = {call.a: call.via for call in by_library.calls() if NAMES[call.number] in ("epoll_wait", "epoll_pwait")}
        assert waits == {4: 1, 1000: 1}
    assert messages(by_library) == messages(by_ptrace)
    assert by_library.meta["via"] == "preload"
    assert int(by_library.meta["via_preload"]) >= 1
    assert int(by_library.meta["stops"]) < int(by_ptrace.meta["stops"])
    for found in (by_library.sockets, by_library.descriptors):
        assert len(found) == len(by_ptrace.sockets if found is by_library.sockets else by_ptrace.descriptors)
    assert all(item.ended_ns is not None for item in by_library.sockets.values())


def test_a_call_that_a_signal_ended_is_one_and_the_next_another(built: Build, traced: Trace) -> None:
    _, recording = traced(built("preloaded"), "interrupted", samples=False, via="preload")
    received = [call.result for call in recording.calls() if NAMES[call.number] == "recvfrom"]
    assert received[-2:] == [-4, 6]


def test_a_call_that_ends_its_thread_has_a_result(python: str, traced: Trace) -> None:
    code = "import signal, socket; signal.signal(signal.SIGPIPE, signal.SIG_DFL); a, b = socket.socketpair()\n"
    code += "def f():\n a.send(b'x')\nf(), f(), b.recv(2), b.close(), f()"
    for via in ("ptrace", "preload"):
        _, recording = traced(python, "-c", code, via=via)
        sent = [call.result for call in recording.calls() if NAMES[call.number] == "sendto"]
        assert sent == [1, 1, -32], via


SPEAKS = """
#include <sys/socket.h>
void speaks(int one, int other) { char byte = 'y'; send(one, &byte, 1, 0); recv(other, &byte, 1, 0); }
"""


def test_a_library_that_is_loaded_later(built: Build, traced: Trace, tmp_path: Path) -> None:
    (tmp_path / "speaks.c").write_text(SPEAKS)
    library = tmp_path / "speaks.so"
    subprocess.run(["gcc", "-w", "-shared", "-fPIC", "-o", library, tmp_path / "speaks.c"], check=True)
    found = [traced(built("preloaded"), "loads", library, samples=False, via=via)[1] for via in ("ptrace", "preload")]
    assert rows(found[1]) == rows(found[0])


def test_a_static_child_is_seen_by_its_stops(built: Build, traced: Trace, tmp_path: Path) -> None:
    static = tmp_path / "static"
    subprocess.run(
        ["gcc", "-w", "-static", "-pthread", "-o", static, battery.SOURCE.with_name("preloaded.c")], check=True
    )
    shell = f"{built('preloaded')} blocked; {static} blocked; {built('preloaded')} blocked"
    found = [traced("sh", "-c", shell, samples=False, via=via)[1] for via in ("ptrace", "preload")]
    assert rows(found[1]) == rows(found[0])
    ways = {call.process: set[int]() for call in found[1].calls()}
    for call in found[1].calls():
        ways[call.process].add(call.via)
    assert list(ways.values()) == [{0, 1}, {0}, {0, 1}]


@pytest.mark.root
def test_a_set_uid_child_is_seen_by_its_stops(
    built: Build, traced: Trace, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    if os.statvfs(tmp_path).f_flag & os.ST_NOSUID:
        pytest.skip(f"{tmp_path} is mounted nosuid")
    (tmp_path / "other.c").write_text(OTHER_USER)
    other = tmp_path / "other"
    subprocess.run(["gcc", "-w", "-o", other, tmp_path / "other.c"], check=True)
    os.chown(other, 65534, -1)
    other.chmod(0o4755)
    shell = f"{built('preloaded')} blocked; {other}; {built('preloaded')} blocked"
    found = [traced("sh", "-c", shell, samples=False, via=via)[1] for via in ("ptrace", "preload")]
    # It is who it would be untraced, so the loader ignores LD_PRELOAD (ld.so(8), secure-execution mode) and says nothing.
    said = capfd.readouterr()
    assert (said.out.count("0 65534 1\n"), said.err) == (2, "")
    assert rows(found[1]) == rows(found[0])
    ways = {call.process: set[int]() for call in found[1].calls()}
    for call in found[1].calls():
        ways[call.process].add(call.via)
    assert list(ways.values()) == [{0, 1}, {0}, {0, 1}]
    (why,) = [mark for mark in found[1].marks() if mark.kind == "via"]
    assert (why.process, why.text) == (list(ways)[1], "ptrace: every call of it stops")


@pytest.mark.parametrize("case", ["fork", "split"])
def test_children_have_rings_of_their_own(case: str, built: Build, traced: Trace) -> None:
    by_ptrace, by_library = both(traced, built("preloaded"), case)
    assert int(by_library.meta["via_preload"]) == len(by_library.processes)
    if case == "fork":
        assert Counter(rows(by_library)) == Counter(rows(by_ptrace))
    assert not [mark for mark in by_library.marks() if mark.kind in ("gap", "via")]


def test_threads_come_and_go(built: Build, traced: Trace) -> None:
    by_ptrace, by_library = both(traced, built("preloaded"), "threads")
    kinds = [Counter(NAMES[call.number] for call in recording.calls()) for recording in (by_ptrace, by_library)]
    assert kinds[0] == kinds[1]
    reached: Counter[tuple[int, str]] = Counter()
    for call in by_library.calls():
        if call.offset is not None and call.socket is not None:
            key = call.socket, NAMES[call.number]
            assert call.offset == reached[key]
            reached[key] += call.result or 0
    assert sum(reached.values()) == 2 * (5 * 8 * 100 + 2)


def test_a_full_ring_costs_stops_and_no_rows(built: Build, traced: Trace) -> None:
    result, recording = traced(built("preloaded"), "many", samples=False, via="preload")
    assert result.lost == 0
    assert sum(1 for _ in recording.calls()) == 40_000 + 5
    assert result.stops < 4000


def test_what_a_program_does_to_its_ring_is_said(built: Build, traced: Trace) -> None:
    result, recording = traced(built("preloaded"), "overwritten", samples=False, via="preload")
    assert result.missing["calls"].endswith("a program has overwritten the memory that its calls were recorded in")
    assert [mark.text for mark in recording.marks() if mark.kind == "via"] == [
        "ptrace: its shared memory was overwritten"
    ]


def test_a_program_that_cannot_load_it_is_traced_as_ever(many_ways: Build, traced: Trace) -> None:
    _, recording = traced(many_ways("static"), "threads", via="preload")
    assert recording.meta["via_preload"] == "0"
    assert [mark.text for mark in recording.marks() if mark.kind == "via"] == [
        "ptrace: the library is not in it: a static or set-uid program, or one that was started without LD_PRELOAD"
    ]


def test_what_was_preloaded_before_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_PRELOAD", "libm.so.6")
    found = []
    for via in ("ptrace", "preload"):
        # No interpreter of ours in between: it would need no environment of its own, but it is what is compared.
        command = [*battery.WALLSOCKET, "trace", "-q", "--via", via, "-o", tmp_path / f"{via}.wsrec", "--", "env"]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found.append(dict(line.split("=", 1) for line in output.splitlines() if "=" in line))
    by_ptrace, by_library = found
    assert by_ptrace.pop("LD_PRELOAD") == "libm.so.6"
    library, _, rest = by_library.pop("LD_PRELOAD").partition(":")
    assert (os.path.basename(library), rest) == ("preload.so", "libm.so.6")
    assert by_library == by_ptrace


def test_a_cancelled_thread_destroys_what_its_stack_holds(
    traced: Trace, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "cancelled"
    source = battery.SOURCE.with_name("cancelled.cc")
    subprocess.run(["g++", "-w", "-O1", "-pthread", "-o", program, source], check=True)
    _, recording = traced(program, samples=False, via="preload")
    assert capfd.readouterr().out == "destroyed\ncancelled 1\n"
    last = [call for call in recording.calls() if NAMES[call.number] == "recvfrom"][-1]
    assert (last.result, last.via) == (None, 1)


def test_all_payload_is_for_ptrace(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at most 4096 bytes"):
        run(["true"], output=tmp_path / "r.wsrec", payload=None, via="preload")


@pytest.mark.parametrize(
    "name",
    "strict filter_kills_later jumps_out_of_a_call first_socket_in_handler thread_executes vforks ends_in_a_crowd".split(),
)
def test_programs_that_are_hard_to_trace(name: str, tmp_path: Path) -> None:
    program = battery.build(tmp_path)
    traced = battery.run(program, name, tmp_path, "--via", "preload", "--no-kernel")
    assert traced == battery.untraced(program, name)


def test_an_ordinary_user_who_is_nice_already_stays_so(tmp_path: Path) -> None:
    words = [
        "nice",
        "-n",
        "19",
        *battery.WALLSOCKET,
        "trace",
        "-q",
        "--via",
        "preload",
        "-o",
        str(tmp_path / "r.wsrec"),
    ]
    assert battery.outcome_of([*words, "--", "echo", "done"]) == battery.Outcome(0, "done\n")
