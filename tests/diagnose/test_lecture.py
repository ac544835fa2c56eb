"""Of the lecture's code samples as printed explain names the bug and the line, and of the corrected ones it says nothing."""

from __future__ import annotations

import importlib.util
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
try:
    server.wait(1)
except subprocess.TimeoutExpired:  # it serves on
    server.terminate()
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


MUCH = """
import socket, threading
from printed import send_all
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
server, _ = listener.accept()
def read():
    while server.recv(1 << 16):
        pass
    server.close()
reader = threading.Thread(target=read)
reader.start()
client.setblocking(False)
send_all(client, bytes(5_000_000))
client.close()
reader.join()
"""

SENT = """
import runpy, socket
made = runpy.run_path("printed.py")
eth, ip = made["eth"], made["ip"]
if isinstance(ip.src, str):  # as printed, its addresses cannot be packed
    eth.src, eth.dst = bytes(6), b"\\xff" * 6
    ip.src, ip.dst = socket.inet_aton(ip.src), socket.inet_aton(ip.dst)
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
s.bind(("eth0", 0))
s.send(bytes(eth))
"""

SEEN = """
import socket, subprocess, sys, time
heard = subprocess.Popen([sys.executable, "printed.py"], stdout=subprocess.PIPE)
knock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
knock.bind(("eth0", 0))
while heard.poll() is None:  # it may not listen yet
    knock.send(b"\\xff" * 12 + b"\\x88\\xb5" + bytes(46))
    time.sleep(0.05)
"""

EXPLAIN = [sys.executable, "-m", "wallsocket", "explain", "--json", "-o", "a.wsrec", "--"]


def findings(folder: Path, sample: str, program: str | None, name: str = "printed.py") -> list[dict[str, Any]]:
    """What explain says of a sample (as printed or corrected) that runs, or is played with, in a private host."""
    claim = named(sample)
    assert isinstance(claim, Claim)
    folder.chmod(0o755)
    # The programs that play with a sample know one name and one port.
    (folder / "printed.py").write_text(claim.files[name].replace("4568", "4567"))
    (folder / "play.py").write_text(program or "")
    (folder / "frame.py").write_text(claim.files.get("frame.py", ""))
    command = ["play.py"] if program else ["printed.py"]
    if sample == "K12":
        command = ["frame.py", "printed.py", "ping"]
    with lab.hosts("here", "there") as (here, _):
        if sample != "K02":
            here.add_address("eth0", "192.168.0.1/32")
        done = here.run(
            [*EXPLAIN, sys.executable, *command],
            capabilities=True,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=60,
        )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert lines, done.stderr
    return [line for line in lines if "rule" in line]


def of_dpkt(sample: str, *others: Any) -> Any:
    """A case that needs the package dpkt."""
    missing = importlib.util.find_spec("dpkt") is None
    return pytest.param(sample, *others, marks=pytest.mark.skipif(missing, reason="dpkt is not installed"))


@pytest.mark.parametrize(
    ("sample", "program", "rule", "file", "text"),
    [
        ("K02", None, "address-not-local", "printed.py", "s.bind("),
        ("K04", CLIENT, "dies-of-datagram", "printed.py", "s.recvfrom("),
        ("K05", CLIENT, "dies-of-datagram", "printed.py", "s.recvfrom("),
        ("K06", TWICE, "address-in-use-time-wait", "printed.py", "s.bind("),
        ("K08", BROKEN, "write-after-peer-closed", "printed.py", "s.send("),
        ("K09", None, "socket-not-kept", "printed.py", "socket.socket("),
        of_dpkt("K10", SENT, "crafted-without-protocol", "play.py", "s.send("),
        ("K11", None, "socket-not-kept", "printed.py", "socket.socket("),
        of_dpkt("K12", None, "dies-of-datagram", "printed.py", "s.recv("),
    ],
)
def test_sample(tmp_path: Path, sample: str, program: str | None, rule: str, file: str, text: str) -> None:
    found = findings(tmp_path, sample, program)
    assert found, "nothing was found"
    assert found[0]["rule"] == rule
    assert Path(found[0]["file"]).name == file
    line = (tmp_path / file).read_text().splitlines()[found[0]["line"] - 1]
    assert text in line


@pytest.mark.parametrize(
    ("sample", "program"),
    [
        ("K02", None),
        ("K04", CLIENT),
        ("K05", CLIENT),
        ("K06", TWICE),
        ("K08", MUCH),
        ("K09", None),
        of_dpkt("K10", SENT),
        ("K11", SEEN),
        of_dpkt("K12", None),
    ],
)
def test_corrected(tmp_path: Path, sample: str, program: str | None) -> None:
    assert findings(tmp_path, sample, program, "corrected.py") == []
