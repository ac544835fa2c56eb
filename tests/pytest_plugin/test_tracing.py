"""``--wallsocket`` in a project that has nothing else to do with Wallsocket."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pytest_plugin.project import run

PROJECT = """
import os, socket, threading

kept = []


def serve(listener):
    connection, _ = listener.accept()
    connection.recv(10)
    connection.close()  # line 10


def test_healthy():
    assert not [name for name in os.environ if name.startswith("WALLSOCKET")]
    one, other = socket.socketpair()
    with one, other:
        one.sendall(b"x")
        assert other.recv(10) == b"x"


def test_leaves_a_socket_open():
    one, other = socket.socketpair()  # line 22
    one.close()
    kept.append(other)


def test_loses_data():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        with socket.create_connection(listener.getsockname()) as client:
            client.sendall(b"x" * 3000)
            try:
                client.recv(10)
            except ConnectionResetError:
                pass
        thread.join()
"""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_findings_are_told_with_the_test_that_caused_them(tmp_path: Path, workers: str) -> None:
    done = run(tmp_path, PROJECT, "--wallsocket", "-n", workers)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "3 passed, 1 error" in done.stdout
    assert "ERROR at teardown of test_loses_data" in done.stdout
    assert "test_project.py:10 " in done.stdout
    told = done.stdout[done.stdout.index("= wallsocket =") :]
    assert re.search(r"error +test_project.py::test_loses_data: .*\[close-with-unread-data\]", told)
    assert re.search(
        r"warning +test_project.py::test_leaves_a_socket_open: a socket was left open.*\n.*:22, never", told
    )
    assert "test_healthy" not in told
    assert re.search(r"recording: \S+\.wsrec", told)


def test_what_fails_and_what_is_ignored_is_chosen_by_path(tmp_path: Path) -> None:
    lines = "\n".join(
        [
            "wallsocket_paths =",
            "    *::test_loses_data: ignore close-with-unread-data one-recv-per-message",
            "    test_project.py::test_leaves*: fail warning",
        ]
    )
    done = run(tmp_path, PROJECT, "--wallsocket", settings=lines)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "ERROR at teardown of test_leaves_a_socket_open" in done.stdout
    assert "close-with-unread-data" not in done.stdout
    done = run(tmp_path, PROJECT, "--wallsocket", "--wallsocket-fail", "never")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[close-with-unread-data]" in done.stdout


@pytest.mark.parametrize("line", ["tests", "tests: forbid x", "tests: fail everything"])
def test_wrong_settings_are_one_line(tmp_path: Path, line: str) -> None:
    done = run(tmp_path, "def test_it(): pass", "--wallsocket", settings=f"wallsocket_paths = {line}")
    assert done.returncode == 4, done.stdout + done.stderr
    assert "wallsocket_paths" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_the_status_and_the_arguments_of_pytest_stay(tmp_path: Path) -> None:
    text = "def test_it(capfd):\n    print('seen')\n    assert capfd.readouterr().out == 'seen\\n'\n"
    assert run(tmp_path, text, "--wallsocket").returncode == 0
    assert run(tmp_path, text, "--wallsocket", "-k", "nothing").returncode == 5
    assert run(tmp_path, "def test_it(): assert False", "--wallsocket").returncode == 1


def test_a_program_that_calls_pytest_is_refused(tmp_path: Path) -> None:
    (tmp_path / "test_project.py").write_text("def test_it(): pass")
    code = "import pytest, sys; sys.exit(pytest.main(['-q', '-p', 'wallsocket.pytest_plugin', '--wallsocket']))"
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**own, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 4
    assert "pytest has to be the command" in done.stderr


def test_without_the_flag_nothing_of_it_is_loaded(tmp_path: Path) -> None:
    text = """
import sys


def test_it():
    loaded = [name for name in sys.modules if name.startswith("wallsocket.")]
    assert loaded == ["wallsocket.pytest_plugin"]
"""
    done = run(tmp_path, text)
    assert done.returncode == 0, done.stdout


def test_whose_code_is_whose_stands_in_the_settings(tmp_path: Path) -> None:
    (tmp_path / "vendored.py").write_text(
        "import socket\nkept = []\n"
        "def leave_open():\n    one, other = socket.socketpair()\n    one.close()\n    kept.append(other)\n"
    )
    text = "import vendored\ndef test_it():\n    vendored.leave_open()\n"
    told = run(tmp_path, text, "--wallsocket", "--wallsocket-fail", "never").stdout
    assert "vendored.py:4" in told
    settings = "wallsocket_library = vendored.py"
    told = run(tmp_path, text, "--wallsocket", "--wallsocket-fail", "never", settings=settings).stdout
    assert "test_project.py:3" in told
    assert "vendored.py:4" not in told
