"""Interoperation with programs that were not written here."""

from __future__ import annotations

import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from wallsocket import framing, tcp, udp, unix

EXAMPLES = Path(__file__).parents[2] / "examples"


def needs(program, package):
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is missing: apt-get install {package}")


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(type=kind) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def connected(port, timeout_s=60):
    """Connect to a program that is starting."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return tcp.connect(("127.0.0.1", port), timeout_s=10)
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, "the program never listened"
            time.sleep(0.02)


@needs("nc", "netcat-openbsd")
def test_nc_connects_to_us_and_the_other_way_round():
    data = os.urandom(300_000)
    with tcp.listen("127.0.0.1:0") as listener:
        command = ["nc", "-N", "127.0.0.1", str(listener.local[1])]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as nc:
            connection = listener.accept(timeout_s=60)
            answers = []
            reader = threading.Thread(target=lambda: answers.append(nc.communicate(data)[0]))
            reader.start()
            with connection:
                assert connection.receive_exactly(len(data), timeout_s=60) == data
                assert connection.receive(timeout_s=60) == b""
                connection.send_all(data[::-1])
                connection.close(graceful=True, timeout_s=60)
            reader.join()
            assert answers == [data[::-1]]
    port = free_port()
    with subprocess.Popen(["nc", "-l", "127.0.0.1", str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as nc:
        with connected(port) as connection:
            connection.messages(framing.Delimited()).send(b"a line")
            assert nc.stdout.readline() == b"a line\n"
            nc.stdin.write(b"back\r\n")
            nc.stdin.flush()
            assert connection.messages(framing.Delimited(b"\r\n")).receive(timeout_s=60) == b"back"
        nc.kill()


@needs("nc", "netcat-openbsd")
def test_nc_over_udp_and_unix(tmp_path):
    with udp.bind("127.0.0.1:0") as endpoint:
        command = ["nc", "-u", "127.0.0.1", str(endpoint.local[1])]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as nc:
            nc.stdin.write(b"datagram")
            nc.stdin.flush()
            request = endpoint.receive(timeout_s=60)
            assert request.data == b"datagram"
            endpoint.reply(request, b"answer\n")
            assert nc.stdout.readline() == b"answer\n"
            nc.kill()
    with unix.listen(tmp_path / "s") as listener:
        with subprocess.Popen(["nc", "-N", "-U", str(tmp_path / "s")], stdin=subprocess.PIPE) as nc:
            with listener.accept(timeout_s=60) as connection:
                assert connection.peer_credentials.pid == nc.pid
                nc.stdin.write(b"hello")
                nc.stdin.close()
                assert connection.receive_exactly(5, timeout_s=60) == b"hello"
                assert connection.receive(timeout_s=60) == b""


@needs("socat", "socat")
@pytest.mark.parametrize("address", ["TCP4-LISTEN:{port},bind=127.0.0.1", "TCP6-LISTEN:{port},bind=[::1]"])
def test_socat_echoes(address):
    port = free_port()
    command = ["socat", address.replace("{port}", str(port)), "EXEC:cat"]
    with subprocess.Popen(command) as socat:
        host = "::1" if "TCP6" in address else "127.0.0.1"
        deadline = time.monotonic() + 60
        while True:
            try:
                connection = tcp.connect((host, port), timeout_s=10)
                break
            except ConnectionRefusedError:
                assert time.monotonic() < deadline
                time.sleep(0.02)
        with connection:
            stream = connection.messages(framing.LengthPrefixed("varint"))
            sent = [random.Random(size).randbytes(size) for size in (0, 1, 127, 128, 70_000)]
            writer = threading.Thread(target=stream.send_many, args=(sent,))
            writer.start()
            received = []
            while len(received) < len(sent):
                received += stream.receive_many(timeout_s=60)
            writer.join()
            assert received == sent
            connection.finish_sending()
            assert connection.receive(timeout_s=60) == b""
        socat.kill()


@needs("socat", "socat")
def test_socat_seqpacket_and_abstract(tmp_path):
    name = f"wallsocket-socat-{os.getpid()}"
    command = ["socat", f"ABSTRACT-LISTEN:{name}", "EXEC:cat"]
    with subprocess.Popen(command) as socat:
        deadline = time.monotonic() + 60
        while True:
            try:
                connection = unix.connect(f"unix:@{name}", timeout_s=10)
                break
            except ConnectionRefusedError:
                assert time.monotonic() < deadline
                time.sleep(0.02)
        with connection:
            connection.send_all(b"abstract")
            assert connection.receive_exactly(8, timeout_s=60) == b"abstract"
        socat.kill()


@needs("curl", "curl")
def test_curl_takes_our_answer_and_ours_takes_pythons():
    body = os.urandom(100_000)
    with tcp.listen("127.0.0.1:0") as listener:
        url = f"http://127.0.0.1:{listener.local[1]}/x"
        with subprocess.Popen(["curl", "-s", "--noproxy", "*", url], stdout=subprocess.PIPE) as curl:
            with listener.accept(timeout_s=60) as connection:
                head = next(iter(connection.messages(framing.Delimited(b"\r\n\r\n"))))
                assert head.startswith(b"GET /x HTTP/1.1\r\n")
                connection.send_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body)
                connection.finish_sending()
                assert curl.stdout.read() == body


@needs("redis-server", "redis-server")
def test_redis_by_a_framing_written_in_python(tmp_path):
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as redis:
        try:
            sys.path.insert(0, str(EXAMPLES))
            from redis_client import Resp
        finally:
            sys.path.pop(0)
        with connected(port) as connection:
            stream = connection.messages(Resp())
            value = random.Random(1).randbytes(100_000)
            stream.send_many(
                [[b"SET", b"key", value], [b"GET", b"key"], [b"GET", b"none"], [b"INCR", b"n"], [b"WRONG"]]
            )
            assert [stream.receive(timeout_s=60) for _ in range(4)] == [b"OK", value, None, 1]
            assert "unknown command" in str(stream.receive(timeout_s=60))
            stream.send([b"RPUSH", b"list", b"a", b"", b"c"])
            assert stream.receive(timeout_s=60) == 3
            stream.send([b"LRANGE", b"list", b"0", b"-1"])
            assert stream.receive(timeout_s=60) == [b"a", b"", b"c"]
        done = subprocess.run(
            [sys.executable, EXAMPLES / "redis_client.py", f"127.0.0.1:{port}", "PING"], capture_output=True, text=True
        )
        assert done.stdout == "b'PONG'\n"
        redis.terminate()


def dns_query(number, name):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!HHHHHH", number, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", 1, 1)


@needs("dnsmasq", "dnsmasq-base")
def test_dns_over_udp_and_over_tcp():
    port = free_port()
    command = [
        "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", f"--port={port}", "--listen-address=127.0.0.1",
        "--bind-interfaces", "--no-resolv", "--no-hosts", "--address=/wallsocket.test/192.0.2.53", "--user=", "--pid-file",
    ]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE) as dnsmasq:
        with connected(port) as connection:
            # DNS over TCP is framed by a length of two bytes (RFC 1035, section 4.2.2).
            stream = connection.messages(framing.LengthPrefixed(2))
            stream.send(dns_query(7, "wallsocket.test"))
            by_tcp = stream.receive(timeout_s=60)
        with udp.connect(("127.0.0.1", port)) as endpoint:
            endpoint.send(dns_query(8, "wallsocket.test"))
            by_udp = endpoint.receive(timeout_s=60).data
        dnsmasq.kill()
    for number, answer in ((7, by_tcp), (8, by_udp)):
        assert struct.unpack_from("!H", answer)[0] == number
        assert answer.endswith(socket.inet_aton("192.0.2.53"))
