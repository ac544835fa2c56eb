"""`wallsocket capture` and the probes while something goes wrong, on real interfaces of a private namespace.

The command and what happens to it run in one script inside `unshare`, because interfaces are taken away there.
"""

from __future__ import annotations

import inspect
import json
import os
import pty
import re
import select
import shutil
import socket
import subprocess
import sys
import textwrap
import time
from typing import Any

import pytest

from wallsocket.wire import Ethernet, IPv4
from wallsocket.wire.craft import UDP
from wallsocket.wire.pcap import read, write

from .test_cli import permitted, run

#: What each script starts with: a capture that is known to run, frames for it, and how it ended.
_HEAD = """
import json, os, socket, subprocess, sys, time

def sh(text):
    subprocess.run(text, shell=True, check=True)

class Capture:
    def __init__(self, interface, output, *options, limit=None):
        command = [sys.executable, "-m", "wallsocket", "capture", "-i", interface, "-w", output, *options]
        if limit is not None:
            command = ["sh", "-c", f"ulimit -f {limit}; exec \\"$@\\"", "sh", *command]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.first = self.process.stderr.readline()
        assert self.first.startswith("capturing on"), self.first

    def end(self):
        rest = self.process.communicate(timeout=60)[1]
        print(json.dumps({"status": self.process.returncode, "lines": rest.splitlines()}))

def datagrams(address, count, size):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for number in range(count):
            sock.sendto(bytes(size), (address, 9))

def wait_for(path, size):
    end = time.monotonic() + 30
    while not os.path.exists(path) or os.path.getsize(path) < size:
        assert time.monotonic() < end, "nothing was written"
        time.sleep(0.01)
"""


def in_namespace(script: str, *arguments: str, before: str = "") -> dict[str, Any]:
    """Run a script as root of private user, network and mount namespaces; the JSON object it prints."""
    unshare = ["unshare", "--user", "--map-root-user", "--net", "--mount"]
    if shutil.which("unshare") is None or subprocess.run([*unshare, "true"], capture_output=True).returncode:
        pytest.skip("needs unshare and user namespaces")
    if shutil.which("ip") is None:
        pytest.skip("needs iproute2 (apt install iproute2)")
    command = [*unshare, sys.executable, "-c", _HEAD + before + textwrap.dedent(script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def frames_of(path, status: int = 0) -> int:
    return len(run("capture", "-r", str(path), status=status).stdout.splitlines())


@pytest.mark.parametrize(
    ("what", "expected"),
    [("ip link delete near", "near was removed while"), ("ip link set near down", "near went down while")],
)
def test_an_interface_that_goes_ends_the_capture_with_a_whole_file(tmp_path, what, expected):
    path = tmp_path / "a.pcapng"
    script = """
        sh("ip link add near type veth peer name far; ip address add 10.9.0.1/24 dev near; "
           "ip link set near up; ip link set far up; ip neighbour add 10.9.0.2 lladdr 02:00:00:00:00:02 dev near")
        capture = Capture("near", sys.argv[1])
        datagrams("10.9.0.2", 20, 100)
        wait_for(sys.argv[1], 20 * 142)
        sh(sys.argv[2])
        capture.end()
    """
    found = in_namespace(script, str(path), what)
    assert found["status"] == 2
    assert len(found["lines"]) == 2, found
    assert re.search(expected, found["lines"][0]), found
    assert "what came before was kept" in found["lines"][0]
    assert found["lines"][1].endswith("0 dropped")
    count = frames_of(path)
    assert count >= 20
    assert found["lines"][1].startswith(f"{count} frames written to {path}; ")


def test_a_full_disk_ends_the_capture_and_what_was_written_is_readable(tmp_path):
    # The file is copied out, because the small file system ends with the namespace.
    script = """
        sh(f"mount -t tmpfs -o size=64k none {sys.argv[1]}; ip link set lo up")
        path = f"{sys.argv[1]}/a.pcapng"
        capture = Capture("lo", path)
        datagrams("127.0.0.1", 300, 1000)
        capture.end()
        with open(path, "rb") as file, open(sys.argv[2], "wb") as copy:
            copy.write(file.read())
    """
    small, copy = tmp_path / "small", tmp_path / "copy"
    small.mkdir()
    found = in_namespace(script, str(small), str(copy))
    assert found["status"] == 2
    assert found["lines"][0] == f"{small}/a.pcapng: No space left on device; what was written before stays readable"
    count = frames_of(copy, status=1)
    assert count >= 20
    assert found["lines"][1].startswith(f"{count} frames written to {small}/a.pcapng; ")


def test_a_file_at_its_size_limit_is_the_same(tmp_path):
    path = tmp_path / "a.pcapng"
    script = """
        sh("ip link set lo up")
        capture = Capture("lo", sys.argv[1], limit=64)
        datagrams("127.0.0.1", 300, 1000)
        capture.end()
    """
    found = in_namespace(script, str(path))
    assert found["status"] == 2
    assert found["lines"][0] == f"{path}: File too large; what was written before stays readable"
    count = frames_of(path, status=1)
    assert count >= 20
    assert found["lines"][1].startswith(f"{count} frames written to {path}; ")


def test_a_full_disk_ends_a_copy_too(tmp_path):
    source = tmp_path / "a.pcap"
    write(source, [bytes(Ethernet() / IPv4("10.0.0.1", "10.0.0.2") / UDP(1, 2))] * 1000)
    small = tmp_path / "small"
    small.mkdir()
    script = """
        import subprocess
        sh(f"mount -t tmpfs -o size=4k none {sys.argv[2]}")
        words = [sys.executable, "-m", "wallsocket", "capture", "-r", sys.argv[1], "-w", f"{sys.argv[2]}/b.pcap"]
        done = subprocess.run(words, capture_output=True, text=True)
        print(json.dumps({"status": done.returncode, "lines": done.stderr.splitlines()}))
    """
    found = in_namespace(script, str(source), str(small))
    assert found["status"] == 2
    assert found["lines"][0] == f"{small}/b.pcap: No space left on device; what was written before stays readable"


def test_without_permission_one_line_says_which(tmp_path):
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    except PermissionError:
        pass
    else:
        pytest.skip("this user may capture")
    for arguments in (
        ["capture", "-i", "lo"],
        ["inject", "-i", "lo", 'Ethernet()/IPv4("10.0.0.1","10.0.0.2")/UDP(1,2)'],
        ["traceroute", "-M", "tcp", "127.0.0.1"],
    ):
        done = run(*arguments, status=2)
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert "CAP_NET_RAW" in done.stderr


def on_a_terminal(*arguments: str) -> tuple[int, str]:
    """Run a command on a terminal of 80 columns; its status and all that it wrote."""
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
    process = subprocess.Popen(
        [sys.executable, "-m", "wallsocket", *arguments], stdout=slave, stderr=slave, stdin=slave, env=environment
    )
    os.close(slave)
    written = b""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if select.select([master], [], [], 0.1)[0]:
            try:
                data = os.read(master, 65536)
            except OSError:
                break
            if not data:
                break
            written += data
    os.close(master)
    return process.wait(10), written.decode()


def last_screen(written: str) -> list[str]:
    """The lines that stay on the screen, where rows were written anew over those before."""
    lines: list[str] = []
    for piece in re.split(r"(\x1b\[\d+F\x1b\[J)", written.replace("\r\n", "\n")):
        if again := re.fullmatch(r"\x1b\[(\d+)F\x1b\[J", piece):
            del lines[len(lines) - int(again[1]) :]
        else:
            lines += piece.split("\n")[:-1]
    return lines


def test_traceroute_needs_no_privilege_and_fills_a_table_on_a_terminal():
    status, written = on_a_terminal("traceroute", "127.0.0.1")
    assert status == 0, written
    lines = last_screen(written)
    assert lines[0] == "traceroute to 127.0.0.1 by UDP"
    assert len(lines) == 2, lines
    assert re.fullmatch(r"  1  127\.0\.0\.1(  \d+\.\d{3} ms){3}", lines[1]), lines
    # The same as plain lines where nobody can be shown a row twice.
    plain = run("traceroute", "127.0.0.1").stdout
    assert "\x1b" not in plain
    assert len(plain.splitlines()) == 2


def test_ping_fills_a_table_on_a_terminal():
    if not permitted():
        pytest.skip("this user may not ping")
    status, written = on_a_terminal("ping", "127.0.0.1", "-c", "3", "-n", "10ms")
    assert status == 0, written
    lines = last_screen(written)
    assert lines[0] == "PING 127.0.0.1: 56 bytes of data"
    assert lines[1].split() == ["sent", "received", "lost", "last", "least", "average", "most"]
    assert lines[2].split()[:3] == ["3", "3", "0%"]
    assert lines[3] == "!!!"
    assert lines[4] == "3 sent, 3 received, 0% lost"
    assert "\x1b" not in run("ping", "127.0.0.1", "-c", "1").stdout


def test_arp_shows_on_a_terminal_how_far_it_is():
    script = """
        sh("ip link add near type veth peer name far; ip address add 10.9.0.2/24 dev far; "
           "ip address add 10.9.0.3/24 dev far; ip link set near up; ip link set far up")
        status, written = on_a_terminal("arp", "-i", "near", "-W", "300ms", "10.9.0.0/29")
        print(json.dumps({"status": status, "written": written}))
    """
    found = in_namespace(script, before="import pty, select\n" + inspect.getsource(on_a_terminal))
    assert found["status"] == 0, found
    lines = last_screen(found["written"])
    assert len(lines) == 3, lines
    for line, address in zip(sorted(lines[:2]), ("10.9.0.2", "10.9.0.3"), strict=True):
        assert re.fullmatch(rf"{re.escape(address)} +([0-9a-f]{{2}}:){{5}}[0-9a-f]{{2}}  \d+\.\d{{3}} ms", line), lines
    assert lines[2] == "2 of 6 addresses answered"
    # The second attempt asks the four again that did not answer the first.
    assert "attempt 1: " in found["written"]
    assert "attempt 2: 10 asked, 2 of 6 addresses answered" in found["written"]


def test_what_was_captured_before_a_wrong_end_is_whole(tmp_path):
    path = tmp_path / "a.pcapng"
    script = """
        import signal
        sh("ip link set lo up")
        capture = Capture("lo", sys.argv[1])
        datagrams("127.0.0.1", 50, 100)
        wait_for(sys.argv[1], 50 * 142)
        capture.process.send_signal(signal.SIGKILL)
        capture.end()
    """
    assert in_namespace(script, str(path))["status"] == -9
    frames = list(read(path))
    assert len(frames) >= 20
    assert {frame.problem for frame in frames} == {None}


def test_a_long_capture_is_written_to_one_file_after_the_other(tmp_path):
    script = """
        sh("ip link set lo up")
        capture = Capture("lo", sys.argv[1], "-C", "0.03", "-W", "3")
        for number in range(1, 6):
            datagrams("127.0.0.1", 40, 1000)
            # The next file begins once this one is large enough.
            wait_for(f"{sys.argv[1].removesuffix('.pcapng')}-{number + 1:05}.pcapng", 0)
        capture.process.terminate()
        capture.end()
    """
    found = in_namespace(script, str(tmp_path / "a.pcapng"))
    assert found["status"] == 0, found
    files = sorted(path.name for path in tmp_path.iterdir())
    count = int(re.search(r"in (\d+) files", found["lines"][-1])[1])
    assert count >= 4
    assert files == [f"a-{number:05}.pcapng" for number in range(count - 2, count + 1)]
    assert all(path.stat().st_size >= 30_000 for path in sorted(tmp_path.iterdir())[:-1])
    for name in files:
        frames_of(tmp_path / name)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_what_a_signal_ends_is_counted_as_it_is_in_the_file(tmp_path, name):
    path = tmp_path / "a.pcapng"
    script = """
        import signal
        sh("ip link set lo up")
        capture = Capture("lo", sys.argv[1])
        datagrams("127.0.0.1", 50, 100)
        wait_for(sys.argv[1], 50 * 142)
        datagrams("127.0.0.1", 50, 100)
        capture.process.send_signal(getattr(signal, sys.argv[2]))
        capture.end()
    """
    found = in_namespace(script, str(path), name)
    assert found["status"] == 0, found
    count = frames_of(path)
    assert count >= 50
    assert f"{count} frames written to {path}; " in found["lines"][-1]
