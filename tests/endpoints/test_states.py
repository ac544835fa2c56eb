"""The state graphs against the running kernel, and the machines of the endpoints against the graphs."""

from __future__ import annotations

import errno
import re
import socket
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from wallsocket import states, tcp, udp
from wallsocket.errors import WallsocketError, WrongState

GRAPHS = [states.UDP, states.TCP, states.TCP_KERNEL]


@pytest.mark.parametrize("graph", GRAPHS, ids=lambda graph: graph.name)
def test_graphs_are_whole(graph):
    for step in graph.transitions:
        assert step.source in (*graph.states, "")
        assert step.target in (*graph.states, "")
        assert step.source or step.target
    reached = {"", *(step.target for step in graph.transitions)}
    assert set(graph.states) <= reached
    for state in graph.outcomes:
        assert state in graph.states
    for state, calls in graph.missing.items():
        for call in calls:
            assert not call or state not in graph.allowing(call), (state, call)
    assert graph.beyond_lecture()
    assert len({state.at for state in graph.states.values()}) == len(graph.states)


@pytest.mark.parametrize("graph", GRAPHS, ids=lambda graph: graph.name)
def test_drawings(graph):
    text = graph.mermaid()
    assert text.count("-->") == len(graph.transitions)
    for line in text.splitlines()[1:]:
        assert re.fullmatch(r'  (state ".*" as \w+|(\w+|\[\*\]) --> (\w+|\[\*\]): [^:]+)', line), line
    drawing = ElementTree.fromstring(graph.svg(highlighted=[next(iter(graph.states))]))
    shown = "".join(drawing.itertext())
    assert all(name in shown for name in graph.states)
    edges = {(step.source, step.target) for step in graph.transitions}
    assert len(drawing.findall(".//{*}path[@marker-end]")) == len(edges)


def outcome(call):
    try:
        result = call()
    except OSError as error:
        return errno.errorcode[error.errno].replace("ENOTSUP", "EOPNOTSUPP")  # one number, two names
    return "b''" if result == b"" else "ok"


def tcp_socket(state):
    """Return a non-blocking socket in ``state`` and what must stay open for it."""
    sock = socket.socket()
    if state == "created":
        return sock, []
    if state in ("bound", "listening"):
        sock.bind(("127.0.0.1", 0))
        if state == "listening":
            sock.listen()
        return sock, []
    listener = socket.create_server(("127.0.0.1", 0))
    if state == "refused":
        listener.close()
        sock.setblocking(False)
        sock.connect_ex(("127.0.0.1", free_port()))
        return sock, []
    sock.connect(listener.getsockname())
    peer, _ = listener.accept()
    if state in ("sending finished", "both finished"):
        sock.shutdown(socket.SHUT_WR)
    if state in ("receiving finished", "both finished"):
        peer.shutdown(socket.SHUT_WR)
        assert sock.recv(1) == b""
    if state == "reset":
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        peer.close()
    return sock, [listener, peer]


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


TCP_CALLS = {
    "bind": lambda sock: sock.bind(("127.0.0.1", 0)),
    "listen": lambda sock: sock.listen(),
    "connect": lambda sock: sock.connect(("127.0.0.1", free_port())),
    "accept": lambda sock: sock.accept(),
    "send": lambda sock: sock.send(b"x", socket.MSG_NOSIGNAL),
    "receive": lambda sock: sock.recv(1),
    "finish_sending": lambda sock: sock.shutdown(socket.SHUT_WR),
    "finish_receiving": lambda sock: sock.shutdown(socket.SHUT_RD),
    "getpeername": lambda sock: sock.getpeername(),
}
# Loopback answers a SYN at once, so "connecting" cannot be held; a closing pair reaches TIME_WAIT, which reads CLOSE.
HELD = ["created", "bound", "listening", "refused", "established", "sending finished", "receiving finished", "reset"]


@pytest.mark.parametrize("state", HELD)
@pytest.mark.parametrize("call", TCP_CALLS)
def test_the_kernel_answers_as_the_tcp_graph_says(state, call):
    sock, others = tcp_socket(state)
    try:
        sock.setblocking(False)
        wanted = states.TCP.outcomes[state][call]
        got = outcome(lambda: TCP_CALLS[call](sock))
        if state == "refused" and call == "connect":
            # The refusal is reported first, the next connect() tries again.
            assert got in ("ECONNREFUSED", "EINPROGRESS")
            return
        assert got == wanted
    finally:
        for each in (sock, *others):
            each.close()


UDP_CALLS = {
    "bind": lambda sock: sock.bind(("127.0.0.1", 0)),
    "connect": lambda sock: sock.connect(("127.0.0.1", 9)),
    "send": lambda sock: sock.send(b"x", socket.MSG_NOSIGNAL),
    "receive": lambda sock: sock.recv(1),
    "finish_sending": lambda sock: sock.shutdown(socket.SHUT_WR),
    "getpeername": lambda sock: sock.getpeername(),
    "listen": lambda sock: sock.listen(),
    "accept": lambda sock: sock.accept(),
}


@pytest.mark.parametrize("state", ["created", "bound", "connected", "sending finished", "receiving finished"])
@pytest.mark.parametrize("call", [*UDP_CALLS, "sendto"])
def test_the_kernel_answers_as_the_udp_graph_says(state, call):
    with socket.socket(type=socket.SOCK_DGRAM) as sock, socket.socket(type=socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        if state == "bound":
            sock.bind(("127.0.0.1", 0))
        elif state != "created":
            sock.connect(peer.getsockname())
        if state == "sending finished":
            sock.shutdown(socket.SHUT_WR)
        if state == "receiving finished":
            sock.shutdown(socket.SHUT_RD)
        sock.setblocking(False)
        do = UDP_CALLS.get(call, lambda sock: sock.sendto(b"x", socket.MSG_NOSIGNAL, peer.getsockname()))
        assert outcome(lambda: do(sock)) == states.UDP.outcomes[state][call]


class TcpMachine(RuleBasedStateMachine):
    """Any order of calls on a connection: the state follows the graph, and the graph never refuses what works."""

    @initialize()
    def start(self):
        self.listener = tcp.listen("127.0.0.1:0")
        self.a = tcp.Connection()
        self.peer = None
        self.in_flight = 0

    @rule()
    def bind(self):
        self.checked("bind", lambda: self.a.bind("127.0.0.1:0"))

    @rule()
    def connect(self):
        if self.checked("connect", lambda: self.a.connect(self.listener.local, timeout_s=20)):
            self.peer = self.listener.accept(timeout_s=20)

    @rule(size=st.integers(1, 5000))
    def send(self, size):
        self.checked("send", lambda: self.a.send_all(b"x" * size, timeout_s=20))

    @rule()
    def receive(self):
        self.checked("receive", lambda: self.a.receive(timeout_s=0))

    @rule()
    def finish_sending(self):
        if self.a.state not in ("sending finished", "both finished"):
            self.checked("finish_sending", self.a.finish_sending)

    @precondition(lambda self: self.peer is not None and not self.peer.closed)
    @rule(how=st.sampled_from(["finish", "close", "abort", "send", "read"]))
    def peer_acts(self, how):
        try:
            if how == "finish":
                self.peer.finish_sending()
            elif how == "send":
                self.peer.send_all(b"y" * 100, timeout_s=20)
            elif how == "read":
                self.peer.receive(1 << 20, timeout_s=0)
            else:
                getattr(self.peer, how)()
        except (OSError, WallsocketError):
            pass

    @rule()
    def disconnect(self):
        if not self.a.closed:
            self.a.disconnect()
            assert self.a.state in ("created", "bound")
            if self.peer is not None:
                self.peer.close()
                self.peer = None

    @rule()
    def close(self):
        self.a.close()

    def checked(self, call, do):
        """Do it; a refusal must be one of the graph's, and the other way round. Say whether it worked."""
        before = self.a.state
        allowed = before in states.TCP.allowing(call)
        try:
            do()
        except WrongState as refusal:
            assert not allowed, f"{call} was refused in {before}: {refusal}"
            assert before in str(refusal)
            return False
        except OSError:
            assert allowed
            return False
        assert allowed
        return True

    @invariant()
    def the_kernel_agrees(self):
        if not hasattr(self, "a"):
            return
        # A RST or FIN of the peer's is in the kernel before the program hears of it.
        ours, kernel = self.a.state, self.a.kernel_state
        possible = set(states.TCP.states[ours].kernel) or {"none"}
        if ours in ("established", "sending finished", "receiving finished", "both finished", "reset"):
            possible |= {"CLOSE_WAIT", "CLOSE", "LAST_ACK", "CLOSING", "TIME_WAIT", "FIN_WAIT2"}
        assert kernel in possible, f"{ours} but {kernel}"

    def teardown(self):
        for each in (getattr(self, "a", None), getattr(self, "peer", None), getattr(self, "listener", None)):
            if each is not None:
                each.close()


TestTcpMachine = TcpMachine.TestCase
TestTcpMachine.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


class UdpMachine(RuleBasedStateMachine):
    """Any order of calls on a UDP endpoint."""

    @initialize()
    def start(self):
        self.a = udp.Endpoint()
        self.b = udp.bind("127.0.0.1:0")

    @rule(
        call=st.sampled_from(["bind", "connect", "disconnect", "send", "sendto", "receive", "finish_sending", "close"])
    )
    def call(self, call):
        before = self.a.state
        do = {
            "bind": lambda: self.a.bind("127.0.0.1:0"),
            "connect": lambda: self.a.connect(self.b.local),
            "disconnect": self.a.disconnect,
            "send": lambda: self.a.send(b"x"),
            "sendto": lambda: self.a.send(b"x", self.b.local),
            "receive": lambda: self.a.receive(timeout_s=0),
            "finish_sending": self.a.finish_sending,
            "close": self.a.close,
        }[call]
        allowed = call == "close" or before in states.UDP.allowing(call)
        try:
            do()
        except WrongState:
            assert not allowed, f"{call} was refused in {before}"
        except OSError:
            assert allowed
        else:
            assert allowed, f"{call} worked in {before}"

    @invariant()
    def the_kernel_agrees(self):
        if hasattr(self, "a"):
            assert self.a.kernel_state in (
                *states.UDP.states[self.a.state].kernel,
                *(["none"] if self.a.closed else []),
            )

    def teardown(self):
        if hasattr(self, "a"):
            self.a.close()
            self.b.close()


TestUdpMachine = UdpMachine.TestCase
TestUdpMachine.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
