"""sock_diag against ss and against the sockets themselves."""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator

import pytest

from wallsocket.kernel import InetSocket, SocketMemory, TcpInfo, here, options
from wallsocket.kernel.sockets import command_of, owners


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(5)
        yield sock


def cookie(sock: socket.socket) -> int:
    number = options.get(sock, "SO_COOKIE").value
    assert isinstance(number, int)
    return number


def one(found: list[InetSocket], number: int) -> InetSocket:
    return next(row for row in found if row.cookie == number)


def ss(*arguments: str) -> list[str]:
    program = shutil.which("ss") or shutil.which("ss", path="/sbin:/usr/sbin")
    if program is None:
        pytest.skip("ss (iproute2) is not installed")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=True)
    # With -O every socket is on one line.
    return done.stdout.splitlines()


def test_listener_and_waiting_connections(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    clients = [socket.create_connection(listener.getsockname()) for _ in range(3)]
    try:
        (row,) = here.sockets("tcp", states=["LISTEN"], local_port=port)
        assert (row.protocol, row.state, str(row.local)) == ("tcp", "LISTEN", f"127.0.0.1:{port}")
        assert (row.peer, row.accept_queue, row.backlog) == (None, 3, 5)
        assert row.cookie == cookie(listener)
        assert row.inode == os.fstat(listener.fileno()).st_ino
        assert row.uid == os.geteuid()
        waiting = here.sockets("tcp", states=["ESTABLISHED"], local_port=port)
        assert [(each.inode, each.receive_queue) for each in waiting] == [(0, 0)] * 3
        assert row in here.listeners(port)
    finally:
        for client in clients:
            client.close()


def test_queues_timers_and_memory_agree_with_ss(listener: socket.socket) -> None:
    with socket.create_connection(listener.getsockname()) as client:
        accepted, _ = listener.accept()
        with accepted:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            client.sendall(b"x" * 1000)
            deadline = time.monotonic() + 20
            while SocketMemory.of(accepted).receive_allocated == 0:
                assert time.monotonic() < deadline
            port = client.getsockname()[1]
            theirs = one(here.sockets("tcp", peer_port=port), cookie(accepted))
            ours = one(here.sockets("tcp", local_port=port), cookie(client))
            listed = ss("-H", "-O", "-tanpemi", f"sport = :{port} or dport = :{port}")
            # What an earlier connection has left behind under the same port is none of the two.
            lines = [line for line in listed if not line.startswith("TIME-WAIT")]
            assert len(lines) == 2
            for row in (ours, theirs):
                (line,) = [line for line in lines if f"sk:{row.cookie:x}" in line]
                state, receive, send, local, peer = line.split()[:5]
                assert (state, int(receive), int(send)) == ("ESTAB", row.receive_queue, row.send_queue)
                assert (local, peer) == (str(row.local), str(row.peer))
                assert f"ino:{row.inode}" in line
                # iproute2 leaves the user out when it is root.
                assert row.uid == 0 or f"uid:{row.uid}" in line
                memory = re.search(r"skmem:\((.*?)\)", line)
                assert memory is not None
                numbers = dict(re.findall(r"([a-z_]+)(\d+)", memory.group(1)))
                assert row.memory is not None
                assert int(numbers["rb"]) == row.memory.receive_buffer
                assert int(numbers["tb"]) == row.memory.send_buffer
                assert int(numbers["d"]) == row.memory.drops
                info = row.info
                assert info is not None
                for pattern, value in (
                    (r" mss:(\d+)", info.send_mss),
                    (r" pmtu:(\d+)", info.path_mtu),
                    (r" bytes_received:(\d+)", info.bytes_received),
                    (r" bytes_acked:(\d+)", info.bytes_acked),
                    (r" segs_out:(\d+)", info.segments_out),
                    (r" wscale:(\d+),\d+", info.send_window_scale),
                    (r" wscale:\d+,(\d+)", info.receive_window_scale),
                ):
                    found = re.search(pattern, line)
                    assert found is None or int(found.group(1)) == value, pattern
                assert row.congestion is not None
                assert row.congestion in line
            assert theirs.receive_queue == 1000
            assert ours.timer == "keepalive"
            assert ours.timer_expires_ms > 0


def test_time_wait_is_listed_without_an_owner(listener: socket.socket) -> None:
    with socket.create_connection(listener.getsockname()) as client:
        accepted, _ = listener.accept()
        port = client.getsockname()[1]
        client.close()
        accepted.recv(1)
        accepted.close()
    deadline = time.monotonic() + 20
    while not (rows := here.sockets("tcp", states=["TIME_WAIT"], local_port=port)):
        assert time.monotonic() < deadline
    assert (rows[0].timer, rows[0].inode, rows[0].info) == ("time_wait", 0, None)


def test_udp_and_its_drops() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        receiver.bind(("127.0.0.1", 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for _ in range(50):
                sender.sendto(b"x" * 1000, receiver.getsockname())
            sender.connect(receiver.getsockname())
            connected = one(here.sockets("udp", states=["ESTABLISHED"]), cookie(sender))
            assert connected.peer is not None
            assert connected.peer.port == receiver.getsockname()[1]
        row = one(here.listeners(receiver.getsockname()[1]), cookie(receiver))
        assert row.memory is not None
        assert row.memory == SocketMemory.of(receiver)
        assert row.memory.drops is not None
        assert row.memory.drops > 40
        assert (row.protocol, row.state, row.peer) == ("udp", "CLOSE", None)


def test_ipv6_says_whether_it_takes_ipv4() -> None:
    for only in (0, 1):
        with socket.socket(socket.AF_INET6) as sock:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
            try:
                sock.bind(("::", 0))
            except OSError as error:
                pytest.skip(f"no IPv6: {error}")
            sock.listen()
            row = one(here.listeners(sock.getsockname()[1]), cookie(sock))
            assert row.only_inet6 is bool(only)
            assert row.takes_any


def test_unix_sockets_agree_with_ss() -> None:
    name = f"wallsocket-{uuid.uuid4()}"
    with socket.socket(socket.AF_UNIX) as sock, socket.socket(socket.AF_UNIX) as client:
        sock.bind("\0" + name)
        sock.listen(3)
        client.connect("\0" + name)
        (row,) = [row for row in here.unix_sockets(states=["LISTEN"]) if str(row.name) == f"unix:@{name}"]
        assert (row.type, row.state, row.receive_queue, row.send_queue) == ("stream", "LISTEN", 1, 3)
        assert row.inode == os.fstat(sock.fileno()).st_ino
        assert row.cookie == cookie(sock)
        (line,) = [line for line in ss("-H", "-O", "-xl") if f"@{name}" in line]
        assert line.split()[:4] == ["u_str", "LISTEN", "1", "3"]
    near, far = socket.socketpair()
    with near, far:
        pair = {row.inode: row for row in here.unix_sockets()}
        assert pair[os.fstat(near.fileno()).st_ino].peer_inode == os.fstat(far.fileno()).st_ino


def test_tcp_info_of_a_connection(listener: socket.socket) -> None:
    with socket.create_connection(listener.getsockname()) as client:
        accepted, _ = listener.accept()
        with accepted:
            client.sendall(b"x" * 777)
            received = 0
            while received < 777:
                received += len(accepted.recv(4096))
            info = TcpInfo.of(accepted)
            assert (info.state_name, info.bytes_received, info.accept_queue) == ("ESTABLISHED", 777, None)
            assert "SACK" in info.options_text
            client.close()
            deadline = time.monotonic() + 20
            while TcpInfo.of(accepted).state_name != "CLOSE_WAIT":
                assert time.monotonic() < deadline
    info = TcpInfo.of(listener)
    assert (info.state_name, info.accept_queue, info.backlog) == ("LISTEN", 0, 5)
    # One byte is enough to know the state; what is beyond the bytes is unknown, not zero.
    short = TcpInfo.parse(listener.getsockopt(6, socket.TCP_INFO, 8))
    assert (short.state_name, short.rtt_us) == ("LISTEN", None)


def test_the_struct_has_every_field_of_the_table() -> None:
    from wallsocket._core import kernel

    assert [name for name, _ in kernel.tcp_info_table()] == list(TcpInfo.__struct_fields__)


def test_one_field_is_that_of_the_whole_struct() -> None:
    raw = bytes(range(1, 256)) + bytes(25)
    for length in (1, 8, 104, len(raw)):
        whole = TcpInfo.parse(raw[:length])
        for name in TcpInfo.__struct_fields__:
            assert TcpInfo.field(raw[:length], name) == getattr(whole, name)
    with pytest.raises(ValueError, match="no field rtt"):
        TcpInfo.field(raw, "rtt")


def test_owners_by_number_and_name_only(listener: socket.socket) -> None:
    inode = os.fstat(listener.fileno()).st_ino
    found = owners([inode])
    assert os.getpid() in [owner.pid for owner in found.of(inode)]
    secret = "--password=hunter2"
    script = "import socket, sys; s = socket.socket(); s.listen(); print(s.fileno(), flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script, secret], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert "hunter2" not in command_of(child.pid)
        child.communicate()
    assert command_of(2**22 + 1) == "?"
    assert owners([]).complete


def test_owners_give_up_in_time(listener: socket.socket) -> None:
    found = owners([os.fstat(listener.fileno()).st_ino], timeout_s=-1.0)
    assert not found.complete


def test_wrong_questions() -> None:
    with pytest.raises(ValueError, match="no protocol is called 'sctp'"):
        here.sockets("sctp")
    with pytest.raises(ValueError, match="no socket state is called 'OPEN'"):
        here.sockets("tcp", states=["OPEN"])


def test_a_host_can_be_asked_from_many_threads(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    wrong: list[object] = []

    def ask() -> None:
        for _ in range(20):
            rows = here.sockets("tcp", states=["LISTEN"], local_port=port)
            if [row.cookie for row in rows] != [cookie(listener)]:
                wrong.append(rows)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_no_descriptor_is_left_open(listener: socket.socket) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        here.sockets("tcp", local_port=1)
        here.links()
        with pytest.raises(OSError, match="no interface 'no-such'") as error:
            here.interface_index("no-such")
        assert error.value.errno == errno.ENODEV
    assert len(os.listdir("/proc/self/fd")) == before
