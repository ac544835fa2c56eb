"""Scripts on a link: resets, refusals and black holes, as programs see them."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import pytest

from tests.lab.apart import wait_until
from wallsocket import lab
from wallsocket.lab import Host


class Server:
    """Accepts connections, gathers what each client sent, and sends a number of bytes for the first byte that comes."""

    def __init__(self, host: Host, send: int = 0, port: int = 80) -> None:
        self.listener = host.socket()
        self.listener.bind(("0.0.0.0", port))
        self.listener.listen(16)
        self.send = send
        self.received: list[bytearray] = []
        self.ends: list[str] = []
        self.threads: list[threading.Thread] = []
        self.connections: list[socket.socket] = []
        self.accepting = threading.Thread(target=self.accept)
        self.accepting.start()

    def accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            thread = threading.Thread(target=self.talk, args=(connection,))
            self.threads.append(thread)
            thread.start()

    def talk(self, connection: socket.socket) -> None:
        got = bytearray()
        self.received.append(got)
        connection.settimeout(20)
        with connection:
            try:
                if self.send:
                    # Asked for: a reset that comes with the handshake would be an error of connect().
                    connection.recv(1)
                connection.sendall(b"s" * self.send)
                while part := connection.recv(65536):
                    got += part
                self.ends.append("end")
            except (ConnectionResetError, BrokenPipeError):
                self.ends.append("reset")
            except TimeoutError:
                self.ends.append("timeout")

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.accepting.join()
        # Those that nothing comes for any more: the test has seen what it wanted.
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()
        self.listener.close()


def read_to_the_end(client: socket.socket, *, finish: bool = False) -> tuple[int, str]:
    """Ask for the server's bytes; how many came, and how it ended. To ``finish`` the client ends its own direction."""
    got = 0
    client.settimeout(20)
    try:
        client.send(b"g")
        if finish:
            client.shutdown(socket.SHUT_WR)
        while part := client.recv(65536):
            got += len(part)
    except ConnectionResetError:
        return got, "reset"
    return got, "end"


@pytest.mark.parametrize("limit", [1, 1024, 5000])
@pytest.mark.parametrize("delay", ["0s", "3ms", "30ms"])
def test_reset_after_bytes_gives_exactly_these_and_a_reset_to_both(limit: int, delay: str) -> None:
    with lab.hosts("a", "b", delay=delay) as net, Server(net["b"], send=20_000) as server:
        a, b = net
        net.link_between(a, b).reset_after(limit)
        with a.socket() as client:
            client.connect((b.address, 80))
            assert read_to_the_end(client) == (limit, "reset")
        wait_until(lambda: server.ends, "the server's connection ends")
        assert server.ends == ["reset"]
        assert net.link_between(a, b).counters(a)["scripted"] >= 1


def test_a_reset_does_not_overtake_the_bytes_before_it() -> None:
    """The client's acknowledgements meet a reset connection while the last bytes are still on their way to it."""
    with lab.hosts("a", "b") as net, Server(net["b"], send=50_000):
        a, b = net
        link = net.link_between(a, b)
        # 25 full frames take 300 ms: the client answers the first ones long before the last one is there.
        link.set(toward=a, rate="1mbit")
        link.reset_after(36_200)
        with a.socket() as client:
            client.connect((b.address, 80))
            assert read_to_the_end(client) == (36_200, "reset")


def test_reset_counts_the_client_to_server_direction_too() -> None:
    with lab.hosts("a", "b") as net, Server(net["b"]) as server:
        a, b = net
        net.link_between(a, b).reset_after("2kB")
        with a.socket() as client:
            client.connect((b.address, 80))
            with pytest.raises((ConnectionResetError, BrokenPipeError)):
                for _ in range(100):
                    client.sendall(b"x" * 300)
                    time.sleep(0.001)
        wait_until(lambda: server.ends, "the server's connection ends")
        assert [len(got) for got in server.received] == [2000]


def test_repeated_bytes_count_once() -> None:
    with lab.hosts("a", "b", loss=0.2, seed=2) as net, Server(net["b"], send=30_000):
        a, b = net
        net.link_between(a, b).reset_after(25_000)
        with a.socket() as client:
            client.connect((b.address, 80))
            assert read_to_the_end(client)[1] == "reset"
        with a.socket() as client:
            client.connect((b.address, 80))
            got, end = read_to_the_end(client)
            assert end == "reset"
            assert got <= 25_000


def test_the_first_attempts_are_refused_and_the_next_one_works() -> None:
    with lab.hosts("a", "b") as net, Server(net["b"], send=3), Server(net["b"], send=4, port=81):
        a, b = net
        net.link_between(a, b).refuse(first=2, port=80)
        for _ in range(2):
            with a.socket() as client, pytest.raises(ConnectionRefusedError):
                client.connect((b.address, 80))
        for port, count in ((80, 3), (81, 4)):
            with a.socket() as client:
                client.connect((b.address, port))
                assert read_to_the_end(client, finish=True) == (count, "end")


def test_a_black_hole_after_bytes_passes_those_and_says_nothing() -> None:
    with lab.hosts("a", "b") as net, Server(net["b"], send=20_000):
        a, b = net
        net.link_between(a, b).blackhole(after_bytes=3000)
        with a.socket() as client:
            client.connect((b.address, 80))
            client.send(b"g")
            got = 0
            client.settimeout(20)
            while got < 3000:
                got += len(client.recv(65536))
            assert got == 3000
            client.settimeout(0.3)
            with pytest.raises(TimeoutError):
                client.recv(1)
            net.close()


def test_a_black_hole_begins_for_each_flow_on_its_own() -> None:
    with lab.hosts("a", "b") as net:
        a, b = net
        net.link_between(a, b).blackhole(after="100ms")
        with b.socket(type=socket.SOCK_DGRAM) as receiver, a.socket(type=socket.SOCK_DGRAM) as first:
            receiver.bind(("0.0.0.0", 9))
            receiver.settimeout(0.3)
            first.sendto(b"early", (b.address, 9))
            assert receiver.recv(100) == b"early"
            time.sleep(0.15)
            first.sendto(b"late", (b.address, 9))
            with a.socket(type=socket.SOCK_DGRAM) as second:
                second.sendto(b"other", (b.address, 9))
            assert receiver.recv(100) == b"other"
            with pytest.raises(TimeoutError):
                receiver.recv(100)


def test_clear_ends_scripts() -> None:
    with lab.hosts("a", "b") as net, Server(net["b"], send=3):
        a, b = net
        link = net.link_between(a, b)
        link.refuse(first=100)
        with a.socket() as client, pytest.raises(ConnectionRefusedError):
            client.connect((b.address, 80))
        link.clear()
        with a.socket() as client:
            client.connect((b.address, 80))
            assert read_to_the_end(client, finish=True) == (3, "end")


def test_ipv6_connections_are_reset_too() -> None:
    with lab.hosts("a", "b", ipv6=True) as net:
        a, b = net
        net.link_between(a, b).refuse(first=1)
        with b.socket(socket.AF_INET6) as listener, a.socket(socket.AF_INET6) as client:
            listener.bind(("::", 80))
            listener.listen()
            with pytest.raises(ConnectionRefusedError):
                client.connect((b.address_on(a, 6), 80))
        with b.socket(socket.AF_INET6) as listener, a.socket(socket.AF_INET6) as client:
            listener.bind(("::", 81))
            listener.listen()
            client.connect((b.address_on(a, 6), 81))
