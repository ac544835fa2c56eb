"""The talking commands, as a user runs them."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

from wallsocket import framing, tcp, udp, unix
from wallsocket.cli.talk import hex_view


def command(*arguments, **options):
    return [sys.executable, "-m", "wallsocket", *map(str, arguments)]


def run(*arguments, stdin=b"", timeout=100):
    done = subprocess.run(command(*arguments), input=stdin, capture_output=True, timeout=timeout)
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done


class Running:
    """A command that runs, with what it said first on stderr."""

    def __init__(self, *arguments, **options):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.process = subprocess.Popen(command(*arguments), **pipes)
        self.first = self.process.stderr.readline().decode()

    @property
    def port(self):
        return int(re.search(r":(\d+)", self.first)[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            pipe.close()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def test_tcp_pipes_both_ways_with_half_close():
    data = os.urandom(500_000)
    with Running("tcp", "listen", "127.0.0.1:0") as server:
        client = subprocess.Popen(
            command("tcp", "connect", f"127.0.0.1:{server.port}", "-q"), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        server.process.stdin.write(b"answer of the server")
        server.process.stdin.close()
        answer, _ = client.communicate(data, timeout=100)
        assert answer == b"answer of the server"
        assert server.process.stdout.read() == data
        assert server.process.wait(100) == client.returncode == 0


def test_tcp_messages_hex_and_json():
    with Running("tcp", "listen", "127.0.0.1:0", "--framing", "prefixed:2", "--hex") as server:
        done = run(
            "tcp", "connect", f"127.0.0.1:{server.port}", "--framing", "prefixed:2", "--json", stdin=b"one\n\ntwo"
        )
        shown = server.process.stdout.read().decode()
    assert "3 bytes\n00000000  6f 6e 65" in shown
    assert "|one|" in shown
    assert "0 bytes\n3 bytes" in shown
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["event"] for event in events] == ["connected", "end"]
    assert events[-1]["sent"] == len(framing.LengthPrefixed(2).encode_many([b"one", b"", b"two"]))


def test_received_messages_as_json():
    with tcp.listen("127.0.0.1:0") as listener:
        client = subprocess.Popen(
            command("tcp", "connect", f"127.0.0.1:{listener.local[1]}", "--framing", "lines", "--json"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        with listener.accept(timeout_s=60) as connection:
            connection.send_all("grüße\n".encode() + b"\xff\xfe\n")
            connection.finish_sending()
            output, _ = client.communicate(timeout=100)
    received = [json.loads(line) for line in output.splitlines() if b'"received"' in line and b"event" not in line]
    assert received == [{"received": 7, "text": "grüße"}, {"received": 2, "base64": "//4="}]


def test_errors_are_one_line_with_the_reason_and_status_2():
    done = run("tcp", "connect", f"127.0.0.1:{free_port()}")
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1
    assert b"connection refused (tcp connect 127.0.0.1:" in done.stderr
    for arguments, text in (
        (("tcp", "connect", "127.0.0.1"), b"has no port"),
        (("tcp", "connect", "127.0.0.1:x"), b"neither a port nor a tcp service"),
        (("tcp", "connect", "127.0.0.1:1", "--framing", "morse"), b"no framing is named 'morse'"),
        (("unix", "connect", "/nonexistent/socket"), b"/nonexistent does not exist"),
        (("udp", "send", "255.255.255.255:9", "x"), b""),
    ):
        done = run(*arguments)
        assert done.returncode == 2
        assert done.stderr.count(b"\n") == 1
        assert text in done.stderr


def test_garbage_from_the_peer_is_one_line():
    with tcp.listen("127.0.0.1:0") as listener:
        arguments = ("tcp", "connect", f"127.0.0.1:{listener.local[1]}", "--framing", "prefixed:4")
        client = subprocess.Popen(command(*arguments), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        with listener.accept(timeout_s=60) as connection:
            connection.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            _, complaint = client.communicate(timeout=100)
    assert client.returncode == 2
    assert b"the limit (max_message) is 1048576" in complaint


def test_tcp_send_a_file(tmp_path):
    data = os.urandom(1_000_000)
    (tmp_path / "file").write_bytes(data)
    with tcp.listen("127.0.0.1:0") as listener:
        arguments = ("tcp", "send", f"127.0.0.1:{listener.local[1]}", tmp_path / "file")
        sender = subprocess.Popen(command(*arguments))
        with listener.accept(timeout_s=60) as connection:
            assert connection.receive_exactly(len(data), timeout_s=60) == data
            assert connection.receive(timeout_s=60) == b""
        assert sender.wait(60) == 0


def test_tcp_echo_for_several():
    with Running("tcp", "listen", "127.0.0.1:0", "--keep", "--framing", "lines") as server:
        for _ in range(2):
            with tcp.connect(("127.0.0.1", server.port), timeout_s=60) as connection:
                stream = connection.messages(framing.Delimited())
                stream.send_many([b"a", b"b"])
                assert [stream.receive(timeout_s=60), stream.receive(timeout_s=60)] == [b"a", b"b"]


def test_udp_send_listen_and_answer():
    with Running("udp", "listen", "127.0.0.1:0", "--echo", "--count", "1", "--json", "--for", "60s") as server:
        pass
    with udp.bind("127.0.0.1:0") as endpoint:
        sender = subprocess.Popen(
            command("udp", "send", f"127.0.0.1:{endpoint.local[1]}", "hello", "--wait", "60s", "--ttl", "7"),
            stdout=subprocess.PIPE,
        )
        endpoint.collect_details()
        request = endpoint.receive(timeout_s=60)
        assert request.data == b"hello"
        endpoint.reply(request, b"back")
        assert sender.stdout.readline() == b"back\n"
        sender.kill()
        sender.wait()
        sender.stdout.close()
    assert server.first == "" or "listening" in server.first


def test_udp_listen_shows_where_from_and_where_to():
    arguments = ("udp", "listen", ":0", "--count", "1", "--hex", "--for", "60s")
    with Running(*arguments) as server, udp.connect(("127.0.0.3", server.port)) as client:
        client.send(b"hi")
        line = server.process.stdout.readline().decode()
        assert f"2 bytes from 127.0.0.1:{client.local[1]} to 127.0.0.3 interface" in line or "to 127.0.0.3" in line
        assert "ttl 64" in line
        assert server.process.wait(60) == 0


def test_udp_multicast():
    arguments = ("udp", "listen", "239.255.9.9:0", "--join", "239.255.9.9", "-i", "lo", "--count", "1", "--for", "60s")
    with Running(*arguments) as server:
        assert "group 239.255.9.9" in server.first
        assert run("udp", "send", f"239.255.9.9:{server.port}", "to all", "-i", "lo").returncode == 0
        assert server.process.stdout.readline() == b"to all\n"


def test_udp_nobody_there():
    with udp.bind("127.0.0.1:0") as gone:
        address = f"127.0.0.1:{gone.local[1]}"
    done = run("udp", "send", address, "x", "--wait", "60s")
    assert done.returncode == 2
    assert b"127.0.0.1 reports for a datagram to 127.0.0.1:" in done.stderr


def test_unix(tmp_path):
    path = tmp_path / "s"
    with Running("unix", "listen", path, "--kind", "seqpacket") as server:
        done = run("unix", "send", path, "message", "--kind", "seqpacket")
        assert done.returncode == 0, done.stderr
        assert server.process.stdout.read() == b"message"
    with unix.bind(tmp_path / "d") as endpoint:
        assert run("unix", "send", tmp_path / "d", "datagram", "--kind", "datagram").returncode == 0
        assert endpoint.receive(timeout_s=60).data == b"datagram"


def test_hex_view_is_what_hexdump_shows():
    assert list(hex_view(b"0123456789abcdef\x00\x7f~", 16)) == [
        "00000010  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|",
        "00000020  00 7f 7e                                          |..~|",
    ]


def test_options_table():
    done = run("options", "tcp")
    assert done.returncode == 0
    lines = done.stdout.decode().splitlines()
    assert any(line.startswith("TCP_NODELAY ") and " off " in line for line in lines)
    assert not any(line.startswith("UDP_GRO") for line in lines)
    rows = [json.loads(line) for line in run("options", "udp", "--json").stdout.splitlines()]
    by_name = {row["name"]: row for row in rows}
    assert by_name["SO_RCVBUF"]["unit"] == "bytes"
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        size = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    assert by_name["SO_RCVBUF"]["default"] == {"udp": f"{size} bytes"}
    assert b"can be   read and set" in run("options", "SO_RCVBUF").stdout
    done = run("options", "SO_RECVBUF")
    assert done.returncode == 2
    assert b"did you mean SO_RCVBUF" in done.stderr


@pytest.mark.parametrize("name", ["tcp", "udp", "unix", "options"])
def test_help_says_what_it_is_for(name):
    done = run(name, "--help")
    assert done.returncode == 0
    assert b"Usage: wallsocket" in done.stdout


def test_ctrl_c_is_a_word_and_status_130():
    for arguments in (
        ("tcp", "listen", "127.0.0.1:0"),
        ("udp", "listen", "127.0.0.1:0"),
        ("tcp", "listen", "--keep", ":0"),
    ):
        with Running(*arguments) as listening:
            assert listening.port
            listening.process.send_signal(signal.SIGINT)
            output, complaints = listening.process.communicate(timeout=60)
            # The line that ^C began on a terminal is ended.
            assert (listening.process.returncode, output, complaints) == (130, b"", b"\nwallsocket: interrupted\n")


def test_a_reader_that_goes_away_ends_the_command_quietly():
    with tcp.listen("127.0.0.1:0") as listener:
        address = f"127.0.0.1:{listener.local[1]}"
        with Running("tcp", "connect", address) as client, listener.accept(timeout_s=60) as server:
            client.process.stdout.close()  # as `wallsocket tcp connect ... | head -1` does
            server.send_all(b"x" * 100_000)
            assert client.process.wait(60) == 141
            assert client.process.stderr.read() == b""


def test_progress_is_for_terminals_and_for_transfers_that_take_long():
    """A terminal sees the amount and the rate; a pipe sees nothing of it."""
    for on_terminal in (True, False):
        with tcp.listen("127.0.0.1:0") as listener:
            terminal, end = pty.openpty() if on_terminal else os.pipe()
            address = f"127.0.0.1:{listener.local[1]}"
            sender = subprocess.Popen(command("tcp", "send", address), stdin=subprocess.PIPE, stderr=end)
            os.close(end)
            with listener.accept(timeout_s=60) as server:
                began = time.monotonic()
                while time.monotonic() - began < 2.5:
                    sender.stdin.write(b"x" * 65536)  # as much as the command reads at a time
                    sender.stdin.flush()
                    server.receive(timeout_s=60)
                    time.sleep(0.05)  # a slow source: that is the scenario
                sender.stdin.close()
                while server.receive(timeout_s=60):
                    pass
                server.close()
            assert sender.wait(60) == 0
            shown = b""
            while True:
                try:
                    piece = os.read(terminal, 65536)
                except OSError:  # the terminal's other end is closed
                    break
                if not piece:
                    break
                shown += piece
            os.close(terminal)
            if on_terminal:
                assert re.search(rb"[0-9.]+ [kM]B out, 0 B in, [0-9.]+ [kM]?B/s", shown), shown
            else:
                assert shown == b""
