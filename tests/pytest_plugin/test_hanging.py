"""``--wallsocket-hang`` in a project that has nothing else to do with Wallsocket."""

from __future__ import annotations

import time
from pathlib import Path

from tests.pytest_plugin.project import run, start

HANGS = """
import socket, subprocess, sys

import pytest


def test_before():
    pass


def test_hangs():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with socket.create_connection(listener.getsockname()) as client:
            accepted, _ = listener.accept()
            with accepted:
                client.settimeout(SECONDS)
                with pytest.raises(TimeoutError):
                    client.recv(100)  # nobody answers


def test_after():
    pass
"""


def test_a_hanging_test_says_thread_line_socket_and_queues_and_goes_on(tmp_path: Path) -> None:
    done = run(tmp_path, HANGS.replace("SECONDS", "8"), "--wallsocket-hang", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
    told = done.stdout + done.stderr
    assert "test_project.py::test_hangs has run for 1 s" in told
    assert told.count(" has run for ") == 1
    thread = " ".join(told.partition("test_project.py:18")[0].split())  # a row may take several lines
    assert "poll on 127.0.0.1:" in thread
    assert thread.endswith("timeout 8.0 s")
    assert "LISTEN" in told
    assert "ESTABLISHED  receive 0, send 0" in told


def test_a_hanging_test_may_fail_with_the_picture_as_its_text(tmp_path: Path) -> None:
    done = run(tmp_path, HANGS.replace("SECONDS", "None"), "--wallsocket-hang=1s", "--wallsocket-hang-fail")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 failed, 2 passed" in done.stdout
    assert "Failed: wallsocket: test_project.py::test_hangs has run for 1 s" in done.stdout
    assert "no timeout E test_project.py:18" in " ".join(done.stdout.split())


def test_in_workers_and_in_programs_that_the_test_started(tmp_path: Path) -> None:
    text = """
import subprocess, sys


def test_waits_for_its_child():
    code = "import socket; a, b = socket.socketpair(); a.settimeout(6); a.recv(1)"
    subprocess.run([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
"""
    done = run(tmp_path, text, "--wallsocket-hang", "1", "-n", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    told = done.stdout + done.stderr
    assert "test_waits_for_its_child has run for 1 s" in told
    assert "a Unix socket pair" in told
    assert "timeout 6.0 s" in told


def test_a_test_that_no_signal_interrupts_is_said_to_be(tmp_path: Path) -> None:
    # As of a library's read that takes up again after a signal: Python runs no handler meanwhile.
    text = f"""
import os, signal, time


def test_does_not_run_python_code():
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, set(range(signal.SIGRTMIN, signal.SIGRTMAX)))
    while not os.path.exists({str(tmp_path / "told")!r}):
        time.sleep(0.05)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
"""
    log = tmp_path / "log"
    with log.open("w") as output:
        process = start(tmp_path, text, "--wallsocket-hang", "1", "--wallsocket-hang-fail", output=output)
        with process:
            deadline = time.monotonic() + 90
            while "test_does_not_run_python_code cannot be interrupted" not in log.read_text():
                assert time.monotonic() < deadline, log.read_text()
                assert process.poll() is None, log.read_text()
                time.sleep(0.05)
            (tmp_path / "told").touch()
            assert process.wait(60) == 1
    assert "Failed: wallsocket: test_project.py::test_does_not_run" in log.read_text()


def test_seconds_are_seconds(tmp_path: Path) -> None:
    done = run(tmp_path, "", "--wallsocket-hang", "soon")
    assert done.returncode == 4
    assert "'soon': give seconds, such as 30" in done.stderr
    done = run(tmp_path, "", "--wallsocket-hang-fail")
    assert done.returncode == 4
    assert "goes with --wallsocket-hang" in done.stderr
