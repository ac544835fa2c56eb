"""``wallsocket web`` as a command: what it prints, how it ends, and what it says to wrong use."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.recordings import lost_letter
from tests.web.conftest import PROGRAMS

WALLSOCKET = [sys.executable, "-m", "wallsocket", "web"]


@contextlib.contextmanager
def web(*arguments: str, **how: Any) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*WALLSOCKET, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **how
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def url_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    return str(json.loads(line)["url"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_recording_is_shown_until_somebody_ends_it(tmp_path: Path, number: signal.Signals) -> None:
    lost_letter(tmp_path / "run.wsrec").close()
    with web("--json", str(tmp_path / "run.wsrec")) as process:
        url = url_of(process)
        assert url.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(url, timeout=30) as answer:
            assert b"Continue" in answer.read()
        process.send_signal(number)
        out, errors = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "")
    assert errors == "wallsocket: the page is closed\n"


def test_a_command_is_recorded_and_gives_the_exit_status(tmp_path: Path) -> None:
    path = tmp_path / "run.wsrec"
    program = "import socket, sys; socket.socketpair(); print('done', file=sys.stderr); sys.exit(7)"
    with web("--json", "-o", str(path), "--", sys.executable, "-c", program) as process:
        url_of(process)
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if "the page stays" in line:
                break
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=60)
    assert process.returncode == 7
    assert said[0] == "done\n"
    assert "exit status 7" in "".join(said)
    assert "the page is closed" in rest
    assert path.exists()


def test_a_running_program_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "run.wsrec"
    ticking = [sys.executable, str(PROGRAMS / "ticking.py")]
    with subprocess.Popen(ticking, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdin is not None
        try:
            program.stdin.write("go\n")
            program.stdin.flush()
            assert program.stdout is not None
            assert program.stdout.readline() == "tick 0\n"
            with web("--json", "-o", str(path), "-p", str(program.pid)) as process:
                url_of(process)
                assert process.stderr is not None
                assert "attached to pid" in process.stderr.readline()
                program.stdin.close()  # it ends, and with it the recording
                for line in process.stderr:
                    if "the page stays" in line:
                        break
                process.send_signal(signal.SIGINT)
                _, rest = process.communicate(timeout=60)
            assert (process.returncode, "the page is closed" in rest) == (0, True)
        finally:
            program.kill()
    assert path.exists()


def test_a_command_that_cannot_be_started(tmp_path: Path) -> None:
    with web("-q", "--", str(tmp_path / "nothing")) as process:
        out, errors = process.communicate(timeout=60)
    assert process.returncode == 127
    assert out == ""
    assert errors.count("\n") == 1
    assert "no such file" in errors


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--lab", "run.wsrec"], "--lab goes with a command"),
        (["run.wsrec", "--", "true"], "give a recording or a command, not both"),
        (["--"], "no command after --"),
        (["-p", "1", "--", "true"], "only one of them"),
        (["missing.wsrec"], "no such file"),
        (["--port", "99999", "run.wsrec"], "port"),
    ],
)
def test_wrong_use_is_one_line(tmp_path: Path, arguments: list[str], said: str) -> None:
    done = subprocess.run(
        [*WALLSOCKET, *arguments], capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False
    )
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    lost_letter(tmp_path / "run.wsrec").close()
    with web("--json", str(tmp_path / "run.wsrec")) as first:
        port = url_of(first).partition("/?")[0].rpartition(":")[2]
        done = subprocess.run(
            [*WALLSOCKET, "--port", port, str(tmp_path / "run.wsrec")],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 2
    assert "the port is taken" in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_the_extra_one_line_says_what_to_do(tmp_path: Path) -> None:
    lost_letter(tmp_path / "run.wsrec").close()
    (tmp_path / "uvicorn.py").write_text("raise ImportError('not here')\n")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run(
        [*WALLSOCKET, str(tmp_path / "run.wsrec")],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == 'wallsocket: the page needs an extra: pip install "wallsocket[web]"\n'
