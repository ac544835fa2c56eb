"""Every example of ``docs/lab.md`` runs, as an ordinary user of the installed package has it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.lab.apart import Apart, wait_until
from tests.lab.test_command import MAIN
from tests.lab.test_pytest_plugin import run as run_pytest

PAGE = Path(__file__).parents[2] / "docs" / "lab.md"


class Block(NamedTuple):
    line: int
    language: str
    text: str

    @property
    def name(self) -> str:
        return f"line-{self.line}"


def blocks() -> list[Block]:
    page = PAGE.read_text(encoding="utf-8")
    found = re.finditer(r"^```(\w*)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return [Block(page.count("\n", 0, match.start()) + 1, match[1], match[2]) for match in found]


BLOCKS = blocks()
PYTHON = [block for block in BLOCKS if block.language == "python" and "def test_" not in block.text]
CONSOLE = [block for block in BLOCKS if block.language == "console"]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Where ``wallsocket`` is a command, and ``python3`` the interpreter of the tests."""
    programs = tmp_path_factory.mktemp("programs")
    for name, text in {
        "wallsocket": f'exec {sys.executable} -c "{MAIN}" "$@"',
        "python3": f'exec {sys.executable} "$@"',
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{programs}:/usr/sbin:/usr/bin:/sbin:/bin",
        "SHELL": "/bin/sh",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def test_nothing_is_left_out() -> None:
    known = {"python", "console", "toml"}
    assert {block.language for block in BLOCKS} == known
    assert len(PYTHON) >= 8
    assert len(CONSOLE) == 5


@pytest.mark.parametrize("block", PYTHON, ids=[block.name for block in PYTHON])
def test_python(block: Block, environment: dict[str, str], tmp_path: Path) -> None:
    # A port of the machine that may be taken by another run of this test.
    text = block.text.replace("port=8080", "port=0")
    done = subprocess.run(
        [sys.executable, "-c", text],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_project_that_has_nothing_else_to_do_with_it(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (block,) = [block for block in BLOCKS if "def test_" in block.text]
    assert len(block.text.splitlines()) <= 5
    monkeypatch.setenv("PATH", environment["PATH"])
    done = run_pytest(tmp_path, block.text)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


@pytest.mark.parametrize("block", CONSOLE[:-1], ids=[block.name for block in CONSOLE[:-1]])
def test_commands(block: Block, environment: dict[str, str], tmp_path: Path) -> None:
    (file,) = [block for block in BLOCKS if block.language == "toml"]
    (tmp_path / "network.toml").write_text(file.text.replace("8080:", "0:"))
    for line in block.text.splitlines():
        run(line.replace("8080:", "0:"), {**environment, "XDG_STATE_HOME": str(tmp_path)}, tmp_path)


def run(line: str, environment: dict[str, str], folder: Path) -> None:
    assert line.startswith("$ ")
    done = subprocess.run(
        ["sh", "-c", line[2:]], cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"


def test_the_file_and_the_commands_about_it(environment: dict[str, str], tmp_path: Path, apart: Apart) -> None:
    (block,) = [block for block in BLOCKS if block.language == "toml"]
    name = f"network-{os.getpid()}"
    (tmp_path / f"{name}.toml").write_text(block.text.replace("8080:", "0:"))
    process = apart.start(MAIN, "lab", "up", f"{name}.toml", cwd=tmp_path)
    assert process.stderr is not None
    wait_until(lambda: "up as" in process.stderr.readline(), "the lab is up")
    lines = CONSOLE[-1].text.splitlines()
    for line in lines:
        # Other labs of this user may be up: the tests run in parallel.
        once = re.sub(r"(?<=wallsocket lab )(exec|link|status|shell|down)\b", rf"\1 --name {name}", line)
        run(once, environment, tmp_path)
    assert process.wait(timeout=60) == 0
    wait_until(lambda: not apart.left(), "no process is left")
    assert {line.split()[3] for line in lines} == {"exec", "link", "status", "list", "shell", "down"}
