"""TCP endpoints against the real kernel: states, deadlines, queues, resets."""

from __future__ import annotations

import errno
import os
import resource
import socket
import threading
import warnings

import pytest

from wallsocket import framing, tcp
from wallsocket.errors import DeadlinePassed, EndOfStream, UsageError, WouldBlock, WrongState


@pytest.fixture
def listener():
    with tcp.listen("127.0.0.1:0") as listener:
        yield listener


@pytest.fixture
def pair(listener):
    with tcp.connect(listener.local) as a, listener.accept(timeout_s=10) as b:
        yield a, b


def until(fact, timeout_s=20):
    """Wait for a fact of the kernel's."""
    done = threading.Event()
    waited = 0.0
    while not fact():
        assert waited < timeout_s, "the kernel did not get there"
        done.wait(0.01)
        waited += 0.01


def test_the_lectures_order_of_calls(listener):
    client = tcp.Connection()
    assert (client.state, client.kernel_state) == ("created", "CLOSE")
    client.bind("127.0.0.1:0")
    assert client.state == "bound"
    client.connect(listener.local, timeout_s=10)
    assert (client.state, client.kernel_state) == ("established", "ESTABLISHED")
    server = listener.accept(timeout_s=10)
    assert server.peer == client.local
    client.send_all(b"hello")
    assert server.receive(timeout_s=10) == b"hello"
    client.close()
    assert (client.state, client.kernel_state, client.closed) == ("closed", "none", True)
    assert server.receive(timeout_s=10) == b""
    assert (server.state, server.kernel_state) == ("receiving finished", "CLOSE_WAIT")
    server.close()


def test_calls_in_the_wrong_state_name_state_and_missing_call(listener):
    fresh = tcp.Connection()
    with pytest.raises(WrongState, match=r"send\(\) makes no sense in state 'created' .*EPIPE.*connect\(\) is missing"):
        fresh.send(b"x")
    with pytest.raises(WrongState, match=r"receive\(\).*ENOTCONN.*connect\(\) is missing"):
        fresh.receive()
    with pytest.raises(WrongState, match=r"accept\(\) .*'created'.*listen\(\) is missing"), tcp.Listener() as deaf:
        deaf.accept()
    with pytest.raises(WrongState, match=r"bind\(\) comes before listen"):
        listener.bind("127.0.0.1:0")
    connected = tcp.connect(listener.local)
    with pytest.raises(WrongState, match="peer already"):
        connected.connect(listener.local)
    connected.close()
    fresh.close()


def test_refused_then_the_same_socket_connects(listener):
    unused = tcp.listen("127.0.0.1:0")
    address = unused.local
    unused.close()
    client = tcp.Connection()
    with pytest.raises(ConnectionRefusedError):
        client.connect(address, timeout_s=10)
    assert client.state == "refused"
    client.connect(listener.local, timeout_s=10)
    assert client.state == "established"
    client.disconnect()
    assert (client.state, client.kernel_state) == ("bound", "CLOSE")
    client.connect(listener.local, timeout_s=10)
    client.close()


def test_modes_of_waiting(pair):
    a, b = pair
    with pytest.raises(DeadlinePassed, match="not done within 0.05 s") as caught:
        a.receive(timeout_s=0.05)
    assert isinstance(caught.value, TimeoutError)
    with pytest.raises(WouldBlock) as caught:
        a.receive(timeout_s=0)
    assert isinstance(caught.value, BlockingIOError)
    b.send_all(b"half")
    until(lambda: len(a.receive(100, peek=True, timeout_s=10)) == 4)
    with pytest.raises(DeadlinePassed, match="4 of 8 bytes came and are kept") as caught:
        a.receive_exactly(8, timeout_s=0.05)
    assert caught.value.done == 4
    b.send_all(b"rest")
    assert a.receive_exactly(8, timeout_s=10) == b"halfrest"


def test_a_send_that_runs_out_of_time_says_how_much_went(pair):
    a, b = pair
    data = bytes(range(256)) * 400_000
    with pytest.raises(DeadlinePassed, match="bytes went out") as caught:
        a.send_all(data, timeout_s=0.2)
    done = caught.value.done
    assert 0 < done < len(data)
    assert a.bytes_sent == done
    a.finish_sending()
    received = bytearray()
    while piece := b.receive(1 << 20, timeout_s=10):
        received += piece
    assert received == data[:done]


def test_progress(pair):
    a, b = pair
    seen = []
    data = b"x" * 3_000_000
    reader = threading.Thread(target=lambda: b.receive_exactly(len(data)))
    reader.start()
    a.send_all(data, progress=lambda sent, total: seen.append((sent, total)))
    reader.join()
    assert seen[-1] == (len(data), len(data))
    assert seen == sorted(seen)


def test_files_go_without_passing_through_us(pair, tmp_path):
    a, b = pair
    path = tmp_path / "file"
    path.write_bytes(os.urandom(3_000_000))
    received = []
    reader = threading.Thread(target=lambda: received.append(b.receive_exactly(2_999_990)))
    reader.start()
    with path.open("rb") as file:
        seen = []
        assert a.send_file(file, offset=10, progress=lambda sent, total: seen.append((sent, total))) == 2_999_990
        assert file.tell() == 0
    reader.join()
    assert received == [path.read_bytes()[10:]]
    assert seen[-1] == (2_999_990, 2_999_990)
    os.truncate(path, 1 << 32)
    with path.open("rb") as file, pytest.raises(DeadlinePassed, match="bytes went out"):
        a.send_file(file, timeout_s=0.2)
    with path.open("rb") as file, pytest.raises(UsageError, match="only 1 follow"):
        a.send_file(file, offset=(1 << 32) - 1, count=2)


def test_whole_buffer_by_the_kernel(pair):
    a, b = pair
    buffer = bytearray(6)
    b.send(b"abc")
    thread = threading.Thread(target=lambda: b.send(b"def"))
    thread.start()
    assert a.receive_into(buffer, fill=True) == 6
    thread.join()
    assert buffer == b"abcdef"


def test_urgent_byte(pair):
    a, b = pair
    a.send(b"x!", urgent=True)
    assert b.receive(timeout_s=10) == b"x"
    assert b.receive(1, urgent=True, timeout_s=10) == b"!"


def test_backlog_asked_in_force_and_both_queues():
    with open("/proc/sys/net/core/somaxconn") as file:
        most = int(file.read())
    with tcp.listen("127.0.0.1:0", backlog=1_000_000) as greedy:
        assert (greedy.backlog.asked, greedy.backlog.in_force) == (1_000_000, most)
    with tcp.listen("127.0.0.1:0", backlog=3) as listener:
        clients = [tcp.connect(listener.local) for _ in range(2)]
        until(lambda: listener.backlog.waiting == 2)
        assert listener.backlog.in_force == 3
        listener.listen(5)
        assert (listener.backlog.asked, listener.backlog.in_force) == (5, 5)
        listener.accept(timeout_s=10).close()
        assert listener.backlog.waiting == 1
        for client in clients:
            client.close()


def test_accept_survives_a_lack_of_descriptors(listener):
    client = tcp.connect(listener.local)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = os.dup(0)
    os.close(spare)
    resource.setrlimit(resource.RLIMIT_NOFILE, (spare, hard))
    restored = threading.Timer(0.3, lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)))
    restored.start()
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            connection = listener.accept(timeout_s=30)
    finally:
        restored.join()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert listener.starved >= 1
    assert any("accept() failed: Too many open files" in str(each.message) for each in caught)
    client.send_all(b"still there")
    assert connection.receive(timeout_s=10) == b"still there"
    connection.close()
    client.close()


def test_accept_skips_connections_that_are_gone(listener):
    gone = tcp.connect(listener.local)
    gone.abort()
    with tcp.connect(listener.local) as client:
        client.send_all(b"alive")
        for connection in (listener.accept(timeout_s=10), listener.accept(timeout_s=10)):
            try:
                assert connection.receive(timeout_s=10) == b"alive"
            except ConnectionResetError:
                # Linux hands out a connection that was reset in the queue; its first call tells.
                assert connection.state == "reset"
            connection.close()


def test_abort_resets_and_close_with_unread_bytes_does_too(listener):
    for end in ("abort", "close"):
        client = tcp.connect(listener.local)
        server = listener.accept(timeout_s=10)
        client.send_all(b"unread")
        until(lambda server=server: server.receive(10, peek=True, timeout_s=10))
        getattr(server, end)()
        with pytest.raises(ConnectionResetError):
            while client.receive(timeout_s=10):
                pass
        assert client.state == "reset"
        client.close()


def test_graceful_close_waits_for_the_peer_but_not_for_ever(pair):
    a, b = pair
    b.send_all(b"unread")
    with pytest.raises(DeadlinePassed):
        a.close(graceful=True, timeout_s=0.1)
    assert a.state == "closed"
    assert b.receive(timeout_s=10) == b""


def test_half_close_states(pair):
    a, b = pair
    a.finish_sending()
    a.finish_sending()
    until(lambda: a.kernel_state == "FIN_WAIT2")
    assert b.receive(timeout_s=10) == b""
    assert b.kernel_state == "CLOSE_WAIT"
    b.finish_sending()
    assert b.state == "both finished"
    assert a.receive(timeout_s=10) == b""
    assert a.state == "both finished"


def test_an_early_end_has_the_bytes(pair):
    a, b = pair
    a.send_all(b"abc")
    a.close()
    with pytest.raises(EndOfStream, match="3 of 5 bytes; 2 are missing") as caught:
        b.receive_exactly(5, timeout_s=10)
    assert caught.value.received == b"abc"


def test_options_with_meaning(pair):
    a, _ = pair
    assert a.no_delay
    a.no_delay = False
    assert not a.no_delay
    a.keep_alive(idle_s=5, interval_s=2, probes=3)
    assert a.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert a.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 3
    a.user_timeout_s = 1.5
    assert a.user_timeout_s == 1.5
    with a.corked():
        assert a.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_CORK) == 1
        a.send(b"x", more=True)
    assert a.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_CORK) == 0
    with pytest.raises(UsageError, match="probes must be 1 to 32767"):
        a.keep_alive(5, 2, 0)


def test_connect_tries_all_addresses(listener, monkeypatch):
    from wallsocket.endpoints import addresses

    dead = tcp.listen("127.0.0.1:0")
    dead_address = dead.local
    dead.close()
    family = socket.AF_INET

    def both(host, address, kind, **more):
        yield from ()
        return [addresses.Target(family, dead_address), addresses.Target(family, listener.local)]

    monkeypatch.setattr(addresses, "targets", both)
    with tcp.connect("anything:1", timeout_s=20) as client:
        assert client.peer == listener.local

    def none(host, address, kind, **more):
        yield from ()
        return [addresses.Target(family, dead_address), addresses.Target(family, ("127.0.0.2", dead_address[1]))]

    monkeypatch.setattr(addresses, "targets", none)
    with pytest.raises(ConnectionRefusedError) as caught:
        tcp.connect("anything:1", timeout_s=20)
    assert any("127.0.0.2" in note and "ECONNREFUSED" in note for note in caught.value.__notes__)


def test_names_and_services(listener):
    with tcp.connect(f"localhost:{listener.local[1]}", timeout_s=20) as client:
        assert client.state == "established"
    with pytest.raises(UsageError, match="neither a port nor a tcp service"):
        tcp.connect("localhost:nosuchservice")


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("127.0.0.1", "has no port"),
        ("::1:80", "brackets"),
        ("[::1]", "expected"),
        ("127.0.0.1:65536", "0 to 65535"),
        ("127.0.0.1:-1", "neither a port"),
        (("127.0.0.1", "http", 1), "needs host and port"),
        (("127.0.0.1", 1.5), "must be a number"),
        ((b"127.0.0.1", 80), "expected text"),
        (80, "expected 'host:port'"),
        ("unix:/x", "is a Unix one"),
        ("[fe80::1]:80", "link-local"),
        (("127.0.0.1", True), "must be a number"),
    ],
)
def test_wrong_addresses(address, why):
    with pytest.raises(UsageError, match=why):
        tcp.connect(address)


def test_wrong_arguments(pair, listener):
    a, _ = pair
    with pytest.raises(UsageError, match=r"encode it"):
        a.send("text")
    with pytest.raises(UsageError, match="bytes are needed, got int"):
        a.send(5)
    with pytest.raises(UsageError, match="max_bytes"):
        a.receive(0)
    with pytest.raises(UsageError, match="count"):
        a.receive_exactly(-1)
    with pytest.raises(UsageError, match="backlog"):
        listener.listen(-1)
    with pytest.raises(UsageError, match="carries no byte stream"), socket.socket(type=socket.SOCK_DGRAM) as sock:
        tcp.adopt(sock)


def test_port_in_use_is_an_oserror(listener):
    with pytest.raises(OSError, match=os.strerror(errno.EADDRINUSE)) as caught:
        tcp.listen(listener.local)
    assert caught.value.errno == errno.EADDRINUSE


def test_source_address(listener):
    with tcp.connect(listener.local, source="127.0.0.9:0") as client:
        assert client.local[0] == "127.0.0.9"


def test_ipv6():
    with tcp.listen("[::1]:0") as listener, tcp.connect(listener.local) as client:
        assert client.socket.family == socket.AF_INET6
        assert "[::1]" in repr(client)


def test_a_connected_socket_keeps_its_timeout(listener):
    with socket.create_connection(listener.local) as plain:
        plain.settimeout(0.05)
        stream = tcp.messages(plain, framing.Delimited())
        with pytest.raises(TimeoutError):
            stream.receive()
        server = listener.accept(timeout_s=10)
        server.messages(framing.Delimited()).send(b"hello")
        plain.settimeout(20)
        assert stream.receive() == b"hello"
        server.close()


def test_detach_gives_the_descriptor_away(listener):
    client = tcp.connect(listener.local)
    descriptor = client.detach()
    assert client.closed
    with socket.socket(fileno=descriptor) as plain:
        assert plain.getpeername() == listener.local
