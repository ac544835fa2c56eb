"""The fixture ``wallsocket_lab`` in a project that has nothing else to do with Wallsocket."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.lab.apart import Apart, wait_until

PROJECT = """
import socket, threading

import pytest


def test_my_client_survives_loss(wallsocket_lab):
    client, server = wallsocket_lab.hosts("client", "server", loss="10%", delay="2ms")
    with server.socket() as listener, client.socket() as connection:
        listener.bind(("0.0.0.0", 80))
        listener.listen()
        connection.connect((server.address, 80))
        accepted, _ = listener.accept()
        thread = threading.Thread(target=connection.sendall, args=(b"x" * 20_000,))
        thread.start()
        got = 0
        while got < 20_000:
            got += len(accepted.recv(65536))
        thread.join()
        accepted.close()


@pytest.mark.parametrize("run", range(4))
def test_all_use_the_same_addresses_and_ports(wallsocket_lab, run):
    a, b = wallsocket_lab.pair()
    with b.socket() as listener, a.socket() as connection:
        listener.bind((b.address, 80))
        listener.listen()
        connection.connect(("10.0.1.2", 80))


def test_other_networks(wallsocket_lab):
    assert len(wallsocket_lab.star(3)) == 3
    assert len(wallsocket_lab.lab()) == 0
    assert len(wallsocket_lab.load({"hosts": {"a": {}}})) == 1
    with pytest.raises(AttributeError):
        wallsocket_lab.nonsense
"""


def run(tmp_path: Path, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "test_project.py").write_text(text)
    # Only what is looked at: the many plugins of the development tools take seconds to load. That the installed package
    # registers the plugin is seen by the test of the wheel.
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-W",
        "error",
        "-p",
        "wallsocket.pytest_plugin",
        "-p",
        "xdist.plugin",
    ]
    return subprocess.run(
        [*command, *arguments, "."],
        cwd=tmp_path,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=110,
    )


def test_five_lines_in_any_project_also_in_parallel(tmp_path: Path, apart: Apart) -> None:
    done = run(tmp_path, PROJECT, "-n", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 passed" in done.stdout
    wait_until(lambda: not apart.left(), "no process is left")


def test_a_failed_test_reports_seed_and_counters(tmp_path: Path) -> None:
    text = """
def test_it(wallsocket_lab):
    a, b = wallsocket_lab.hosts("a", "b", loss=1)
    assert a.run("ping -n -c 1 -W 1 b").returncode == 0
"""
    done = run(tmp_path, text, "--wallsocket-seed=12")
    assert done.returncode == 1
    assert "seed 12 (again with --wallsocket-seed=12)" in done.stdout
    assert "a-b to b: " in done.stdout
    assert "lost=" in done.stdout
