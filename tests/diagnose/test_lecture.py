"""The lecture's code samples, exactly as printed: explain names what is wrong with them, and the line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from wallsocket import lab
from wallsocket.lessons.catalogue import named
from wallsocket.lessons.lesson import Claim

CLIENT = """
import socket, subprocess, sys, time
server = subprocess.Popen([sys.executable, "printed.py"], stderr=subprocess.DEVNULL)
while b"11D7" not in open("/proc/net/udp", "rb").read():  # port 4567 is bound
    time.sleep(0.01)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
    client.settimeout(0.5)
    client.sendto(b"hello", ("192.168.0.1", 4567))
    try:
        client.recv(100)
    except TimeoutError:
        pass
server.wait()
"""

TWICE = """
import socket, subprocess, sys, time
for _ in range(2):
    server = subprocess.Popen([sys.executable, "printed.py"], stderr=subprocess.DEVNULL)
    for _ in range(300):
        if b":11D7 00000000:0000 0A" in open("/proc/net/tcp", "rb").read() or server.poll() is not None:
            break
        time.sleep(0.01)
    with socket.socket() as client:
        if client.connect_ex(("127.0.0.1", 4567)) == 0:
            client.recv(1)
    server.wait()
"""

BROKEN = """
import socket, struct
from printed import send_all
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
server, _ = listener.accept()
client.sendall(b"hello")
server.recv(5)
server.close()
client.recv(1)  # the end
for _ in range(3):
    try:
        send_all(client, b"more")
    except OSError:
        break
"""


EXPLAIN = [sys.executable, "-m", "wallsocket", "explain", "--json", "-o", "a.wsrec", "--"]


def findings(folder: Path, sample: str, program: str | None) -> list[dict[str, Any]]:
    """What explain says of a sample that runs, or is played with, in a private host."""
    claim = named(sample)
    assert isinstance(claim, Claim)
    (folder / "printed.py").write_text(claim.files["printed.py"])
    (folder / "play.py").write_text(program or claim.files["printed.py"])
    with lab.hosts("here", "there") as (here, _):
        if sample != "K02":
            here.add_address("eth0", "192.168.0.1/32")
        done = here.run(
            [*EXPLAIN, sys.executable, "play.py" if program else "printed.py"],
            capabilities=True,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=60,
        )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return [line for line in lines if "rule" in line]


@pytest.mark.parametrize(
    ("sample", "program", "rule", "text"),
    [
        ("K02", None, "address-not-local", "s.bind("),
        ("K04", CLIENT, "dies-of-datagram", "s.recvfrom("),
        ("K05", CLIENT, "dies-of-datagram", "s.recvfrom("),
        ("K06", TWICE, "address-in-use-time-wait", "s.bind("),
        ("K08", BROKEN, "write-after-peer-closed", "s.send("),
        ("K09", None, "socket-not-kept", "socket.socket("),
        ("K11", None, "socket-not-kept", "socket.socket("),
    ],
)
def test_sample(tmp_path: Path, sample: str, program: str | None, rule: str, text: str) -> None:
    tmp_path.chmod(0o755)
    found = findings(tmp_path, sample, program)
    assert found, "nothing was found"
    assert found[0]["rule"] == rule
    assert Path(found[0]["file"]).name == "printed.py"
    line = (tmp_path / "printed.py").read_text().splitlines()[found[0]["line"] - 1]
    assert text in line
