"""Every endpoint against the suite of its interface: sync, asyncio and trio, plain and awkward."""

from __future__ import annotations

import itertools
import socket

import pytest

from wallsocket import aio, framing, lab, raw, tcp, udp, unix
from wallsocket.kernel import here
from wallsocket.testing.awkward import AwkwardSocket
from wallsocket.testing.conformance import (
    ByteStreamSuite,
    DatagramSuite,
    ListenerSuite,
    MessageStreamSuite,
    PacketSuite,
    Suite,
    Threaded,
)

MODES = {"sync": "asyncio", "asyncio": "asyncio", "trio": "trio"}
FRAMINGS = {
    "prefixed": framing.LengthPrefixed(4),
    "varint": framing.LengthPrefixed("varint", includes_header=True),
    "escaped": framing.Delimited(b"\n", escape=b"\\"),
}


def tcp_sockets():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        a = socket.create_connection(listener.getsockname())
        b, _ = listener.accept()
    return a, b


def unix_sockets():
    return socket.socketpair()


def udp_sockets():
    a, b = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in "ab")
    a.bind(("127.0.0.1", 0))
    b.bind(("127.0.0.1", 0))
    a.connect(b.getsockname())
    b.connect(a.getsockname())
    return a, b


def unix_datagram_sockets():
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)


CLASSES = {
    ("tcp", "sync"): tcp.Connection,
    ("tcp", "aio"): aio.tcp.Connection,
    ("unix", "sync"): unix.Connection,
    ("unix", "aio"): aio.unix.Connection,
    ("udp", "sync"): udp.Endpoint,
    ("udp", "aio"): aio.udp.Endpoint,
    ("unix_datagram", "sync"): unix.Endpoint,
    ("unix_datagram", "aio"): aio.unix.Endpoint,
}
SOCKETS = {"tcp": tcp_sockets, "unix": unix_sockets, "udp": udp_sockets, "unix_datagram": unix_datagram_sockets}
seeds = itertools.count(1)


def endpoints(name, mode, awkward, state):
    kind = CLASSES[name, "sync" if mode == "sync" else "aio"]
    sockets = SOCKETS[name]()
    if awkward:
        sockets = [AwkwardSocket(sock, next(seeds), piece=3) for sock in sockets]
    return [kind(sock, here, state) for sock in sockets]


def suite(base: type[Suite], name: str, mode: str, awkward: bool, wrap=lambda endpoint: endpoint):
    state = "connected" if base is DatagramSuite else "established"

    async def make_pair(self):
        made = [wrap(endpoint) for endpoint in endpoints(name, mode, awkward, state)]
        return [Threaded(each) for each in made] if mode == "sync" else made

    members = {"backend": MODES[mode], "make_pair": make_pair}
    if awkward and hasattr(base, "size"):
        members["size"] = 2000
    return type("Test", (base,), members)


for name, mode, awkward in itertools.product(("tcp", "unix"), MODES, (False, True)):
    label = f"{name.title()}{mode.title()}{'Awkward' if awkward else ''}"
    globals()[f"TestBytes{label}"] = suite(ByteStreamSuite, name, mode, awkward)
    for kind, codec in FRAMINGS.items():
        wrapped = suite(MessageStreamSuite, name, mode, awkward, lambda stream, codec=codec: stream.messages(codec))
        globals()[f"TestMessages{label}{kind.title()}"] = wrapped

for name, mode, awkward in itertools.product(("udp", "unix_datagram"), MODES, (False, True)):
    label = f"{name.title().replace('_', '')}{mode.title()}{'Awkward' if awkward else ''}"
    globals()[f"TestDatagrams{label}"] = suite(DatagramSuite, name, mode, awkward)


#: A number that is left for experiments (RFC 3692).
EXPERIMENT = 253


@pytest.fixture(scope="module")
def raw_host():
    """A host whose raw sockets need no root."""
    with lab.hosts("a") as (host,):
        yield host


class AwkwardHost:
    """A host that gives awkward sockets."""

    def __init__(self, host):
        self._host = host

    def __getattr__(self, name):
        return getattr(self._host, name)

    def socket(self, *arguments, **options):
        return AwkwardSocket(self._host.socket(*arguments, **options), next(seeds))


def raw_suite(mode, awkward):
    async def make_pair(self):
        made = []
        for local, peer in (("127.0.0.1", "127.0.0.2"), ("127.0.0.2", "127.0.0.1")):
            kind = raw.Endpoint if mode == "sync" else aio.raw.Endpoint
            endpoint = kind(EXPERIMENT, host=AwkwardHost(self.host) if awkward else self.host)
            endpoint.bind(local)
            endpoint.connect(peer)
            made.append(Threaded(endpoint) if mode == "sync" else endpoint)
        return made

    @pytest.fixture(autouse=True)
    def choose_host(self, raw_host):
        type(self).host = raw_host

    return type("Test", (PacketSuite,), {"backend": MODES[mode], "make_pair": make_pair, "choose_host": choose_host})


for mode, awkward in itertools.product(MODES, (False, True)):
    globals()[f"TestPackets{mode.title()}{'Awkward' if awkward else ''}"] = raw_suite(mode, awkward)


def listener_suite(name, mode, awkward):
    module = {"tcp": tcp, "unix": unix}[name]
    faces = module if mode == "sync" else getattr(aio, name)

    def listening_socket():
        if name == "tcp":
            return socket.create_server(("127.0.0.1", 0))
        sock = socket.socket(socket.AF_UNIX)
        sock.bind("")  # the kernel chooses an abstract name
        sock.listen()
        return sock

    async def make_listener(self):
        sock = listening_socket()
        address = sock.getsockname()
        if name == "unix":
            address = "unix:@" + address[1:].decode()
        listener = faces.Listener(AwkwardSocket(sock, next(seeds)) if awkward else sock, here, "listening")

        async def connect():
            made = faces.connect(address)
            return Threaded(made) if mode == "sync" else await made

        return (Threaded(listener) if mode == "sync" else listener), connect

    return type("Test", (ListenerSuite,), {"backend": MODES[mode], "make_listener": make_listener})


for name, mode, awkward in itertools.product(("tcp", "unix"), MODES, (False, True)):
    label = f"{name.title()}{mode.title()}{'Awkward' if awkward else ''}"
    globals()[f"TestListener{label}"] = listener_suite(name, mode, awkward)
