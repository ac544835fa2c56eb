"""Source lines of native programs: what the call's own mark in the source says, whatever the compiler made of it."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from wallsocket.cli import main
from wallsocket.diagnose import diagnose
from wallsocket.events import Known
from wallsocket.trace.calls import CallText
from wallsocket.trace.inspect import inspect
from wallsocket.trace.recording import Recording
from wallsocket.trace.run import RunResult

from .conftest import PROGRAMS

Traced = Callable[..., tuple[RunResult, Recording]]
WAITS = """
#include <sys/socket.h>
#include <unistd.h>
__attribute__((noinline)) static int next(int listener) {
    write(1, "!", 1);
    int got = accept(listener, 0, 0);
    return got + 1;
}
int main(void) {
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    listen(listener, 1);
    return next(listener) + 1;
}
"""


def marks(*names: str) -> dict[str, tuple[str, int]]:
    """Call -> file and line of its mark."""
    found = {}
    for name in names:
        for number, line in enumerate((PROGRAMS / name).read_text().splitlines(), 1):
            if mark := re.search(r"HERE (\S+)", line):
                found.update(dict.fromkeys(mark[1].split("|"), (name, number)))
    return found


def lines(recording: Recording) -> dict[str, set[tuple[str, int | None]]]:
    """Call -> file and line of each that the recording says directly."""
    text = CallText(recording.meta["machine"])
    said: dict[str, set[tuple[str, int | None]]] = {}
    for call in recording.calls():
        source = recording.sources.get(call.source or 0)
        if source is not None and call.known == Known.DIRECT:
            said.setdefault(text.name(call), set()).add((Path(source.file or "").name, source.line))
    return said


def compiled(folder: Path, flags: str, *, shared: bool = True) -> Path:
    """``lines.c`` with its library."""
    program, library = folder / "lines", folder / "liblines.so"
    source, other = PROGRAMS / "lines.c", PROGRAMS / "lines_library.c"
    if shared:
        subprocess.run(["gcc", "-w", *flags.split(), "-shared", "-fPIC", "-o", library, other], check=True)
        with_library: list[object] = [source, library, f"-Wl,-rpath,{folder}"]
    else:
        with_library = [source, other]
    subprocess.run(["gcc", "-w", *flags.split(), "-o", program, *with_library], check=True)
    return program


@pytest.mark.parametrize(
    "flags",
    [
        "-g -O0",
        "-g -O2",
        "-g -O2 -fomit-frame-pointer -no-pie",
        "-g -O3 -flto -gdwarf-4",
        "-g -O2 -gz -ffunction-sections",
        "-g -O2 -gsplit-dwarf",
    ],
)
def test_c_names_the_line_of_each_call(tmp_path: Path, traced: Traced, flags: str) -> None:
    result, recording = traced(compiled(tmp_path, flags))
    assert result.exit_status == 0
    said = lines(recording)
    for call, (file, line) in marks("lines.c", "lines_library.c").items():
        assert said.get(call) == {(file, line)}, (call, said)


def test_a_static_program_has_lines_too(tmp_path: Path, traced: Traced) -> None:
    result, recording = traced(compiled(tmp_path, "-g -O2 -static", shared=False))
    assert result.exit_status == 0
    said = lines(recording)
    for call, (file, line) in marks("lines.c", "lines_library.c").items():
        assert said.get(call) == {(file, line)}, (call, said)


def test_without_debug_information_the_function_is_named(tmp_path: Path, traced: Traced) -> None:
    _, recording = traced(compiled(tmp_path, "-O2"))
    functions = {}
    for call in recording.calls():
        source = recording.sources.get(call.source or 0)
        assert source is not None
        assert call.known == Known.DIRECT, call
        functions[CallText(recording.meta["machine"]).name(call)] = source
    for call, function in [("sendto", "lines`deep"), ("sendmsg", "liblines.so`relay"), ("shutdown", "lines`main")]:
        source = functions[call]
        assert source.file is source.line is None
        assert re.fullmatch(rf"{function}(\.\w+)*\+0x[0-9a-f]+", source.function or ""), source


REFUSED = """
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>
__attribute__((noinline)) int dial(int port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int s = socket(AF_INET, SOCK_STREAM, 0), failed = connect(s, (struct sockaddr *) &to, sizeof to);
    close(s);
    return failed != 0;
}
int main(void) { return dial(9) + 1; }
"""


def test_a_finding_names_the_function_where_no_line_is_known(
    tmp_path: Path, traced: Traced, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "refused.c").write_text(REFUSED)
    subprocess.run(["gcc", "-O1", "-o", tmp_path / "refused", tmp_path / "refused.c"], check=True)
    _, recording = traced(tmp_path / "refused")
    [finding] = [found for found in diagnose(recording).findings if found.rule == "nobody-listens"]
    assert finding.file is finding.line is None
    assert re.fullmatch(r"refused`dial\+0x[0-9a-f]+", finding.function or "")
    assert not finding.begins
    assert main(["explain", str(recording.path)]) == 1
    assert f"  {finding.function}, line unknown\n" in capsys.readouterr().out


def test_a_stripped_program_has_no_lines_but_its_stacks(tmp_path: Path, traced: Traced) -> None:
    _, recording = traced(compiled(tmp_path, "-O2 -s -static", shared=False))
    calls = [call for call in recording.calls() if call.stack is not None]
    assert calls
    assert all(call.known == Known.UNKNOWN and call.source is None for call in calls)
    frames = list(recording.stacks[calls[0].stack or 0])
    assert Path(recording.binaries[frames[0][0]].path or "").name == "lines"


def test_a_stack_is_what_addr2line_reads(tmp_path: Path, traced: Traced) -> None:
    _, recording = traced(compiled(tmp_path, "-g -O0"))
    [deepest] = [call for call in recording.calls() if CallText(recording.meta["machine"]).name(call) == "sendto"]
    frames = [
        (binary.path, offset)
        for number, offset in recording.stacks[deepest.stack or 0]
        if (binary := recording.binaries.get(number)) is not None
    ]
    functions = []
    for path, offset in frames:
        told = subprocess.run(["addr2line", "-f", "-e", path, hex(offset)], capture_output=True, text=True, check=True)
        functions.append(told.stdout.split()[0])
    at = functions.index("deep")
    assert functions[at : at + 7] == ["deep"] * 6 + ["main"]
    assert recording.binaries[1].build_id


def test_cpp_names_the_line_in_templates_closures_and_destructors(tmp_path: Path, traced: Traced) -> None:
    program = tmp_path / "lines"
    subprocess.run(["g++", "-w", "-g", "-O2", "-o", program, PROGRAMS / "lines.cc"], check=True)
    result, recording = traced(program)
    assert result.exit_status == 0
    said = lines(recording)
    for call, place in marks("lines.cc").items():
        assert said.get(call) == {place}, (call, said)
    functions = {source.function for source in recording.sources.values()}
    assert any((function or "").startswith("wires::Sender<") for function in functions), functions


@pytest.mark.skipif(shutil.which("rustc") is None, reason="needs rustc")
@pytest.mark.parametrize("flags", ["-g", "-g -O"])
def test_rust_names_the_users_line_behind_the_standard_library(tmp_path: Path, traced: Traced, flags: str) -> None:
    program = tmp_path / "lines"
    subprocess.run(["rustc", *flags.split(), "-o", program, PROGRAMS / "lines.rs"], check=True)
    result, recording = traced(program)
    assert result.exit_status == 0
    said = lines(recording)
    wanted = marks("lines.rs")
    for call in ("socketpair", "shutdown"):
        assert said.get(call) == {wanted[call]}, (call, said)
    for way in (("write", "sendto"), ("read", "recvfrom")):
        assert {wanted[call] for call in way} == set().union(*(said.get(call, set()) for call in way)), said


@pytest.mark.skipif(shutil.which("go") is None, reason="needs go")
def test_go_names_the_users_line_behind_its_packages(tmp_path: Path, traced: Traced) -> None:
    program = tmp_path / "lines"
    environment = {
        "HOME": str(tmp_path),
        "GOCACHE": str(tmp_path / "cache"),
        "PATH": "/usr/bin:/bin",
        "GOFLAGS": "-mod=mod",
    }
    subprocess.run(["go", "build", "-o", program, PROGRAMS / "lines.go"], check=True, env=environment)
    result, recording = traced(program)
    assert result.exit_status == 0
    said = lines(recording)
    for call, place in marks("lines.go").items():
        assert place in said.get(call, set()), (call, said)


def test_no_lines_means_no_stacks(tmp_path: Path, traced: Traced) -> None:
    _, recording = traced(compiled(tmp_path, "-g -O0"), lines=False)
    assert not recording.stacks
    assert not recording.sources


def test_preloading_names_the_same_lines(tmp_path: Path, traced: Traced) -> None:
    _, recording = traced(compiled(tmp_path, "-g -O2"), via="preload")
    assert recording.meta["via"] == "preload"
    said = lines(recording)
    for call, place in marks("lines.c", "lines_library.c").items():
        assert said.get(call) == {place}, (call, said)


@pytest.mark.parametrize(
    "section",
    [".eh_frame", ".eh_frame_hdr", ".debug_frame", ".debug_info", ".debug_line", ".debug_abbrev", ".debug_str"],
)
def test_damaged_tables_and_debug_information_harm_nobody(tmp_path: Path, traced: Traced, section: str) -> None:
    unloaded = " -fno-asynchronous-unwind-tables" if section == ".debug_frame" else ""
    program = compiled(tmp_path, f"-g -O2{unloaded}", shared=False)
    whole = program.read_bytes()
    header = subprocess.run(["readelf", "-SW", program], capture_output=True, text=True, check=True).stdout
    found = re.search(rf"\] {re.escape(section)}\s+\S+\s+\S+ (\w+) (\w+)", header)
    assert found is not None
    offset, size = (int(word, 16) for word in found.groups())
    chance = random.Random(section)
    for _ in range(4):
        damaged = bytearray(whole)
        for at in chance.sample(range(offset, offset + size), max(4, size // 16)):
            damaged[at] = chance.randrange(256)
        other = tmp_path / "damaged"
        other.unlink(missing_ok=True)
        other.write_bytes(damaged)
        other.chmod(0o755)
        result, recording = traced(other)
        assert result.exit_status == 0
        assert result.calls == 7
        if section.endswith(("frame", "frame_hdr")):
            # Fewer lines, but none that is wrong.
            for call, places in lines(recording).items():
                assert places <= {marks("lines.c", "lines_library.c")[call]}, call


def test_an_endless_answer_is_no_answer(tmp_path: Path) -> None:
    """What answers about symbols may hang, die, or talk nonsense: the recorder goes on."""
    from wallsocket._core.trace import NativeLines

    answers = tmp_path / "symbols"
    for body in ("exit 1", "head -c 65536 /dev/zero | tr '\\\\0' '\\\\377'", "kill -9 $$"):
        answers.write_text(f"#!/bin/sh\n{body}\n")
        answers.chmod(0o755)
        with waiting(tmp_path) as (pid, instruction, stack):
            assert NativeLines(answers, [], []).at(pid, instruction, stack) is None


@contextmanager
def waiting(folder: Path, flags: str = "-g -O1") -> Iterator[tuple[int, int, int]]:
    """A program that waits in accept, and where."""
    program = folder / "waits"
    source = folder / "waits.c"
    source.write_text(WAITS)
    subprocess.run(["gcc", "-w", *flags.split(), "-o", program, source], check=True)
    with subprocess.Popen([program], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.read(1) == b"!"
            while (words := Path(f"/proc/{process.pid}/syscall").read_text().split())[0] != "43":
                time.sleep(0.001)
            yield process.pid, int(words[8], 16), int(words[7], 16)
        finally:
            process.kill()


@pytest.mark.parametrize("flags", ["-g -O0", "-g -O1", "-g -O2 -fomit-frame-pointer"])
def test_inspect_names_the_line_of_a_waiting_thread(tmp_path: Path, flags: str) -> None:
    with waiting(tmp_path, flags) as (pid, _, _):
        before = Path(f"/proc/{pid}/status").read_text()
        [thread] = [thread for thread in inspect(str(pid)).threads if thread.tid == pid]
        after = Path(f"/proc/{pid}/status").read_text()
    assert (thread.call, Path(thread.file or "").name, thread.line) == ("accept", "waits.c", 6)
    assert (thread.function, thread.place) == ("next", "user")
    switches = re.compile(r"^\w+ctxt_switches:.*$", re.MULTILINE)
    assert switches.findall(before) == switches.findall(after)
