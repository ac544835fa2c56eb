"""Lines of functions that were made while a program ran, as far as its perf map names them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from wallsocket.events import Known
from wallsocket.trace.calls import CallText
from wallsocket.trace.recording import Recording
from wallsocket.trace.run import RunResult, attach
from wallsocket.trace.summary import describe

from .conftest import PROGRAMS

Traced = Callable[..., tuple[RunResult, Recording]]
NODE, JAVAC, JCMD = (shutil.which(name) for name in ("node", "javac", "jcmd"))
OPTIONS = ("--perf-basic-prof", "--interpreted-frames-native-stack")
#: Without these V8 leaves its log in the current folder.
NO_LOG = ("--no-logfile-per-isolate", "--logfile=+")
needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed here")


def functions() -> dict[str, int]:
    """Function -> line of its mark."""
    lines = (PROGRAMS / "lines.js").read_text().splitlines()
    return {mark[1]: number for number, line in enumerate(lines, 1) if (mark := re.search(r"HERE (\w+)", line))}


@needs_node
def test_javascript_names_the_function_of_a_call_and_where_it_begins(traced: Traced) -> None:
    result, recording = traced(NODE, *OPTIONS, *NO_LOG, PROGRAMS / "lines.js")
    assert result.exit_status == 0
    assert result.lines_missing is None
    text = CallText(recording.meta["machine"])
    said = set()
    for call in recording.calls():
        source = recording.sources.get(call.source or 0)
        if source is not None and call.known == Known.DIRECT and source.begins:
            said.add((text.name(call), source.name, Path(source.file or "").name, source.line))
    marks = functions()
    assert ("write", "answer", "lines.js", marks["answer"]) in said
    # Nothing but what a program wrote is said to be its own.
    assert {file for _, _, file, _ in said} == {"lines.js"}


@needs_node
def test_without_a_map_it_is_said_once_how_to_get_one(traced: Traced) -> None:
    result, recording = traced(NODE, PROGRAMS / "lines.js")
    assert result.exit_status == 0
    told = [mark.text for mark in recording.marks() if mark.kind == "lines"]
    assert len(told) == 1
    assert " ".join(OPTIONS) in told[0]
    assert told[0] in describe(result)
    assert not any(source.begins for source in recording.sources.values())


@pytest.mark.skipif(JAVAC is None or JCMD is None, reason="no JDK is installed here")
def test_java_names_the_method_of_a_call_once_its_map_is_written(tmp_path: Path) -> None:
    subprocess.run([str(JAVAC), "-d", tmp_path, PROGRAMS / "Lines.java"], check=True, timeout=120)
    # Every method is compiled when it is called first, once, and on its own.
    options = [
        "-Xcomp",
        "-XX:TieredStopAtLevel=1",
        "-XX:+PreserveFramePointer",
        "-XX:CompileCommand=quiet",
        "-XX:CompileCommand=dontinline,Lines::*",
    ]
    words = ["java", *options, "-cp", str(tmp_path), "Lines"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            subprocess.run(
                [str(JCMD), str(process.pid), "Compiler.perfmap"], check=True, capture_output=True, timeout=120
            )
            stdin = process.stdin

            def go() -> None:
                stdin.write("\n")
                stdin.flush()

            attach([process.pid], output=tmp_path / "java.wsrec", on_attached=go)
        finally:
            process.kill()
            Path(f"/tmp/perf-{process.pid}.map").unlink(missing_ok=True)
    with Recording.open(tmp_path / "java.wsrec") as recording:
        text = CallText(recording.meta["machine"])
        said = {
            (text.name(call), recording.sources[call.source].function)
            for call in recording.calls()
            if call.source is not None and call.known == Known.DIRECT
        }
    print(said)
    assert ("write", "perf map`Lines.answer") in said
