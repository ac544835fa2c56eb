"""The examples of endpoints run, and say what they should."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wallsocket import tcp, udp

EXAMPLES = Path(__file__).parents[2] / "examples"


def start(name, *arguments, **options):
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)


def run(name, *arguments):
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100)


def port_of(process):
    line = process.stdout.readline()
    found = re.search(r"port (\d+)", line)
    assert found, f"expected a port, got {line!r}"
    return int(found[1])


def stop(process):
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_examples_are_short_and_say_how_they_are_used(name):
    text = (EXAMPLES / name).read_text()
    assert text.count("\n") <= 60
    if "sys.argv" in text:
        assert run(name).stderr.startswith(text.split('"""')[1].split("\n")[0])


def test_uppercase_udp():
    server = start("uppercase_udp.py", "serve", ":0")
    try:
        address = f"127.0.0.1:{port_of(server)}"
        assert run("uppercase_udp.py", "ask", address, "hello").stdout == "HELLO\n"
        with udp.connect(address) as client:
            client.send(b"")
            assert client.receive(timeout_s=20).data == b""
    finally:
        stop(server)


@pytest.mark.parametrize("framing", ["fixed:8", "until-close", "lines", "prefixed:4"])
def test_uppercase_tcp(framing):
    server = start("uppercase_tcp.py", "serve", framing, ":0", stderr=subprocess.PIPE)
    try:
        address = f"127.0.0.1:{port_of(server)}"
        texts = ["hello"] if framing == "until-close" else ["hello", "world", "again"]
        assert run("uppercase_tcp.py", "ask", framing, address, *texts).stdout.split() == [t.upper() for t in texts]
        if framing == "prefixed:4":
            # A client that is no client does not end the service.
            with tcp.connect(address) as bad:
                bad.send_all(b"GET / HTTP/1.1\r\n\r\n")
                assert "the limit (max_message)" in server.stderr.readline()
            assert run("uppercase_tcp.py", "ask", framing, address, "still").stdout == "STILL\n"
    finally:
        stop(server)


def test_file_transfer(tmp_path):
    data = os.urandom(3_000_000)
    (tmp_path / "photo.raw").write_bytes(data)
    (tmp_path / "in").mkdir()
    receiver = start("file_transfer.py", "receive", "127.0.0.1:0", tmp_path / "in", stderr=subprocess.PIPE)
    try:
        sent = run("file_transfer.py", "send", f"127.0.0.1:{port_of(receiver)}", tmp_path / "photo.raw")
        assert sent.stdout == "\narrived\n"
        assert sent.stderr.endswith("3.0 of 3.0 MB")
        output, progress = receiver.communicate(timeout=60)
    finally:
        stop(receiver)
    assert output.endswith("photo.raw: 3000000 bytes\n")
    assert progress.endswith("3.0 of 3.0 MB")
    assert (tmp_path / "in" / "photo.raw").read_bytes() == data


def test_chat():
    peers = [start("chat.py", name, "lo", stdin=subprocess.PIPE) for name in ("ann", "bob")]
    ann, bob = peers
    try:
        assert ann.stdout.readline() == "* bob is here\n"
        assert bob.stdout.readline() == "* ann is here\n"
        print("hello bob", file=ann.stdin, flush=True)
        assert bob.stdout.readline() == "ann: hello bob\n"
        print("hello ann", file=bob.stdin, flush=True)
        assert ann.stdout.readline() == "bob: hello ann\n"
        bob.stdin.close()
        assert ann.stdout.readline() == "* bob left\n"
        ann.stdin.close()
        deadline = time.monotonic() + 60
        while (ann.poll() is None or bob.poll() is None) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert (ann.returncode, bob.returncode) == (0, 0)
    finally:
        for peer in peers:
            stop(peer)
