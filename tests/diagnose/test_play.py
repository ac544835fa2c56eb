"""The stage on which examples are played."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.diagnose.test_examples import lab_works
from wallsocket.diagnose.play import Stage
from wallsocket.errors import UsageError

SERVER = """
import socket
listener = socket.create_server(("0.0.0.0", 4567))
print("ready", flush=True)
while True:
    connection, _ = listener.accept()
    connection.sendall(b"from the other host")
    connection.close()
"""
CLIENT = """
import socket
print(socket.create_connection(("server", 4567)).recv(100).decode())
"""
LAB = """
[hosts.client]
[hosts.server]
[[links]]
between = ["client", "server"]
[example]
host = "client"
peers = { server = "peer.py" }
"""


@pytest.mark.skipif(not lab_works(), reason="no namespaces here")
def test_a_lab_has_its_peers_ready_before_the_program_starts(tmp_path: Path) -> None:
    (tmp_path / "lab.toml").write_text(LAB)
    (tmp_path / "peer.py").write_text(SERVER)
    with Stage(tmp_path) as stage:
        assert stage.lab
        done = stage.run([sys.executable, "-c", CLIENT], capture_output=True, timeout=60, check=True)
    assert done.stdout.decode().strip() == "from the other host"


@pytest.mark.skipif(not lab_works(), reason="no namespaces here")
def test_a_peer_that_ends_at_once_is_told(tmp_path: Path) -> None:
    (tmp_path / "lab.toml").write_text(LAB)
    (tmp_path / "peer.py").write_text("print('no')")
    with pytest.raises(UsageError, match=r"peer\.py ended before it was ready"), Stage(tmp_path):
        pass


def test_without_a_lab_programs_run_here(tmp_path: Path) -> None:
    with Stage(tmp_path) as stage:
        assert not stage.lab
        done = stage.run([sys.executable, "-c", "print(1)"], stdout=subprocess.PIPE, timeout=60)
    assert done.stdout == b"1\n"
