"""Every line of docs/one-liners.md runs as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from wallsocket import lab, wire
from wallsocket.errors import WallsocketError
from wallsocket.wire import TCP, UDP, Ethernet, IPv4

PAGE = Path(__file__).parents[2] / "docs/one-liners.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
COMMANDS = [
    line.removeprefix("$ ") for language, block in BLOCKS if language == "console" for line in block.splitlines()
]
LIBRARIES = {block.split()[1]: block for language, block in BLOCKS if block.startswith("import ")}
PROGRAM = [block for language, block in BLOCKS if language == "python" and block not in LIBRARIES.values()]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    there, back = IPv4("10.0.0.1", "10.0.0.2"), IPv4("10.0.0.2", "10.0.0.1")
    question = bytes.fromhex("000101000001000000000000") + b"\7example\3org\0" + bytes.fromhex("00010001")
    packets = [
        there / TCP(40000, 80, 100, 0, "S"),
        back / TCP(80, 40000, 900, 101, "S."),
        there / TCP(40000, 80, 101, 901, "P.") / "hello",
        there / UDP(5000, 53) / question,
    ]
    wire.write(tmp_path / "day.pcapng", [Ethernet() / packet for packet in packets])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_has_what_is_run_here():
    assert len(COMMANDS) == 8
    assert len(PROGRAM) == 1
    assert sorted(LIBRARIES) == ["duckdb", "pandas", "polars", "pyarrow"]
    assert {language for language, _ in BLOCKS} == {"console", "python"}


@pytest.mark.parametrize("line", COMMANDS)
def test_commands(line: str, folder: Path):
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-c", line], capture_output=True, text=True, timeout=100, env={**os.environ, "PATH": path}
    )
    assert done.returncode == 0, done
    assert done.stdout or "frames written" in done.stderr


def test_the_program(folder: Path):
    try:
        lab.hosts("a", "b").close()
    except (WallsocketError, OSError) as error:
        pytest.skip(f"no lab here: {error}")
    done = subprocess.run([sys.executable, "-c", PROGRAM[0]], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("UDP, length 0") == 5
    assert {frame.ip.source for frame in wire.read("other.pcapng")} == {"192.0.2.1", "10.0.0.2"}


@pytest.mark.parametrize("name", sorted(LIBRARIES))
def test_libraries_take_the_columns(name: str, folder: Path):
    pytest.importorskip(name, reason=f"needs {name} (pip install {name})")
    code = f"from wallsocket import wire\n{LIBRARIES[name]}"
    last = code.rstrip().splitlines()[-1]
    done = subprocess.run(
        [sys.executable, "-c", code.replace(last, f"print({last})")], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    assert "10.0.0.1" in done.stdout
