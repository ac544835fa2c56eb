"""The states of UDP and TCP sockets, as data.

Two graphs say what a program may call when: `UDP` and `TCP`; every endpoint checks its calls against them. `TCP_KERNEL`
has the states of RFC 9293 as Linux names them, which go on where no program has a descriptor any more.

What each call does in each state was tried on Linux 6.18, non-blocking, over a veth pair; ``outcomes`` has the results.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

__all__ = ["TCP", "TCP_KERNEL", "UDP", "Graph", "State", "Transition"]

#: Who makes a transition happen.
Origin = Literal["call", "peer", "kernel", "time"]

#: Results that mean "not in this state". Others (EAGAIN, ECONNREFUSED, ECONNRESET, ...) are the network's answer.
_REFUSALS: Final = frozenset(
    {"EALREADY", "EDESTADDRREQ", "EINVAL", "EISCONN", "ENOTCONN", "EOPNOTSUPP", "EPIPE", "closed"}
)


@dataclass(frozen=True, slots=True)
class State:
    """One state.

    Attributes:
        name: as ``endpoint.state`` gives it.
        kernel: the kernel's states behind it, as ``endpoint.kernel_state`` gives them.
        meaning: one sentence.
        lecture: whether a textbook drawing of create, bind, connect, listen, accept, send, receive, close has it.
        at: column and row in the drawing.
    """

    name: str
    kernel: tuple[str, ...]
    meaning: str
    lecture: bool
    at: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Transition:
    """A way from one state to another.

    Attributes:
        source: name of a state; ``""`` is "no socket".
        target: name of a state; ``""`` is "no socket".
        cause: the call or event.
        by: who makes it happen.
        lecture: whether the textbook drawing has it.
    """

    source: str
    target: str
    cause: str
    by: Origin
    lecture: bool


@dataclass(frozen=True)
class Graph:
    """States, transitions, and what each call does in each state.

    Attributes:
        name: ``"UDP"``, ``"TCP"`` or ``"TCP_KERNEL"``.
        states: by name, in the order of a socket's life.
        transitions: all of them.
        outcomes: state -> call -> ``"ok"``, the name of the error, or what is returned; empty where no program has a
            descriptor.
        missing: state -> call -> what a program forgot when the call is refused there.
    """

    name: str
    states: Mapping[str, State]
    transitions: tuple[Transition, ...]
    outcomes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    missing: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def allowing(self, call: str) -> frozenset[str]:
        """Return the states in which ``call`` makes sense, whatever the network answers."""
        return frozenset(
            state for state, outcomes in self.outcomes.items() if outcomes.get(call, "closed") not in _REFUSALS
        )

    def why_not(self, state: str, call: str) -> str:
        """Return one sentence: why ``call`` is refused in ``state``, and what is missing."""
        outcome = self.outcomes.get(state, {}).get(call, "closed")
        error = "" if outcome == "closed" else f" (the kernel would say {outcome})"
        hint = self.missing.get(state, {}).get(call) or self.missing.get(state, {}).get("", "")
        return f"{call}() makes no sense in state {state!r}{error}" + (f": {hint}" if hint else "")

    def beyond_lecture(self) -> tuple[Transition, ...]:
        """Return the transitions that the textbook drawing omits."""
        return tuple(transition for transition in self.transitions if not transition.lecture)

    def mermaid(self) -> str:
        """Return the graph as a Mermaid state diagram."""
        lines = ["stateDiagram-v2"]
        alias = {name: name.replace(" ", "_") for name in self.states}
        lines += [f"  state {name!r} as {alias[name]}".replace("'", '"') for name in self.states if " " in name]
        for step in self.transitions:
            source, target = (alias.get(name, "[*]") for name in (step.source, step.target))
            lines.append(f"  {source} --> {target}: {step.cause.replace(':', ' ')}")
        return "\n".join(lines) + "\n"

    def svg(self, highlighted: Iterable[str] = ()) -> str:
        """Return the graph as an SVG drawing: ``highlighted`` states filled, textbook parts in solid lines."""
        from .drawing import draw

        return draw(self, frozenset(highlighted))


def _states(*rows: tuple[str, str, str, bool, tuple[float, float]]) -> dict[str, State]:
    return {row[0]: State(row[0], tuple(row[1].split()), *row[2:]) for row in rows}


def _transitions(text: str) -> tuple[Transition, ...]:
    """Read lines of ``source > target | by | lecture or omitted | cause``."""
    steps = []
    for line in text.strip().splitlines():
        way, by, known, cause = (part.strip() for part in line.split("|"))
        source, target = (part.strip() for part in way.split(">"))
        if by not in ("call", "peer", "kernel", "time"):
            raise ValueError(f"{line!r} has no origin")
        steps.append(Transition(source, target, cause, by, known == "lecture"))  # type: ignore[arg-type]
    return tuple(steps)


def _outcomes(calls: str, rows: str) -> dict[str, dict[str, str]]:
    names = calls.split()
    table = {}
    for line in rows.strip().splitlines():
        state, *results = (part.strip() for part in line.split("|"))
        table[state] = dict(zip(names, results, strict=True))
    return table


UDP: Final = Graph(
    "UDP",
    _states(
        ("created", "unhashed", "A socket without a port.", True, (0, 0)),
        ("bound", "CLOSE", "It has a port and takes datagrams from anybody.", True, (1, 0)),
        (
            "connected",
            "ESTABLISHED",
            "It has one peer: a default destination, a filter, a mailbox for errors.",
            False,
            (1, 1),
        ),
        (
            "sending finished",
            "ESTABLISHED CLOSE unhashed",
            "After shutdown(SHUT_WR): sending gives EPIPE, for good.",
            False,
            (2, 0.6),
        ),
        (
            "receiving finished",
            "ESTABLISHED",
            "After shutdown(SHUT_RD): a blocking receive gives b''.",
            False,
            (2, 1.4),
        ),
        ("error pending", "ESTABLISHED", "An ICMP error came: the next call reports it once.", False, (0, 1.4)),
        ("closed", "", "No socket any more; no packet was sent for it.", True, (3, 0)),
    ),
    _transitions("""
         > created                        | call   | lecture | socket()
        created > bound                   | call   | lecture | bind()
        created > bound                   | call   | omitted | the first sendto() binds by itself
        created > connected               | call   | omitted | connect() binds by itself and sends nothing
        bound > bound                     | call   | lecture | sendto(), recvfrom()
        bound > connected                 | call   | omitted | connect()
        connected > connected             | call   | omitted | connect() to another peer; send(), recv()
        connected > bound                 | call   | omitted | connect(AF_UNSPEC), if bind() chose the port
        connected > created               | call   | omitted | connect(AF_UNSPEC), if the kernel chose the port
        connected > error pending         | peer   | omitted | ICMP unreachable arrives
        error pending > connected         | call   | omitted | the next send or receive raises ECONNREFUSED
        connected > sending finished      | call   | omitted | shutdown(SHUT_WR)
        connected > receiving finished    | call   | omitted | shutdown(SHUT_RD)
        bound > closed                    | call   | lecture | close()
        created > closed                  | call   | lecture | close()
        connected > closed                | call   | omitted | close(), which tells the peer nothing
        sending finished > closed         | call   | omitted | close()
        receiving finished > closed       | call   | omitted | close()
    """),
    _outcomes(
        "bind connect disconnect send sendto receive getpeername finish_sending listen accept",
        """
        created            | ok     | ok | ok | EDESTADDRREQ | ok           | EAGAIN       | ENOTCONN | ENOTCONN | EOPNOTSUPP | EOPNOTSUPP
        bound              | EINVAL | ok | ok | EDESTADDRREQ | ok           | EAGAIN       | ENOTCONN | ENOTCONN | EOPNOTSUPP | EOPNOTSUPP
        connected          | EINVAL | ok | ok | ok           | ok           | EAGAIN       | ok       | ok       | EOPNOTSUPP | EOPNOTSUPP
        error pending      | EINVAL | ok | ok | ECONNREFUSED | ECONNREFUSED | ECONNREFUSED | ok       | ok       | EOPNOTSUPP | EOPNOTSUPP
        receiving finished | EINVAL | ok | ok | ok           | ok           | EAGAIN       | ok       | ok       | EOPNOTSUPP | EOPNOTSUPP
        sending finished   | EINVAL | ok | ok | EPIPE        | EPIPE        | EAGAIN       | ok       | ok       | EOPNOTSUPP | EOPNOTSUPP
        closed             | closed | closed | closed | closed | closed     | closed       | closed   | closed   | closed     | closed
        """,  # noqa: E501
    ),
    {
        "created": {
            "send": "it has no peer; call connect(), or give the destination with to=",
            "finish_sending": "it has no peer; call connect() first",
            "listen": "UDP has no connections to accept; receive() takes datagrams from everybody",
            "accept": "UDP has no connections to accept; receive() takes datagrams from everybody",
        },
        "bound": {
            "bind": "it has an address already; create another endpoint",
            "send": "it has no peer; call connect(), or give the destination with to=",
            "finish_sending": "it has no peer; call connect() first",
        },
        "connected": {"bind": "connect() has chosen an address already; bind() comes first"},
        "sending finished": {"send": "finish_sending() was called", "sendto": "finish_sending() was called"},
        "closed": {"": "close() was called; create another endpoint"},
    },
)

_NOT_A_LISTENER: Final = "it is no listener; accept() belongs to an endpoint on which listen() was called"

TCP: Final = Graph(
    "TCP",
    _states(
        ("created", "CLOSE", "A socket without address.", True, (0, 0)),
        ("bound", "CLOSE", "It has a local address.", True, (1, 0)),
        (
            "listening",
            "LISTEN",
            "It takes connections: the kernel completes them and queues them for accept().",
            True,
            (2, 0),
        ),
        ("connecting", "SYN_SENT", "connect() sent a SYN and waits.", False, (1, 1)),
        ("refused", "CLOSE", "connect() failed; the same socket may try again.", False, (0, 1)),
        ("established", "ESTABLISHED", "Bytes flow both ways.", True, (2, 1)),
        ("sending finished", "FIN_WAIT1 FIN_WAIT2", "Our FIN is out: we still receive.", False, (1.4, 2)),
        (
            "receiving finished",
            "CLOSE_WAIT",
            "The peer's FIN came: receive gives b'', we may still send.",
            False,
            (2.8, 2),
        ),
        (
            "both finished",
            "CLOSING LAST_ACK TIME_WAIT CLOSE",
            "Both FINs are out; only close() is left.",
            False,
            (2, 3),
        ),
        ("reset", "CLOSE", "A RST came or went: the error is reported once.", False, (0.2, 2.6)),
        ("closed", "", "No descriptor any more; the kernel may go on sending what was queued.", True, (3.6, 1)),
    ),
    _transitions("""
         > created                               | call   | lecture | socket()
        created > bound                          | call   | lecture | bind()
        bound > listening                        | call   | lecture | listen()
        created > listening                      | call   | omitted | listen() without bind() takes a port of the kernel's choice
        listening > listening                    | call   | lecture | accept(); listen() again changes the backlog
        listening > bound                        | call   | omitted | shutdown(SHUT_RD) or connect(AF_UNSPEC): clients that wait are reset
        created > connecting                     | call   | lecture | connect()
        bound > connecting                       | call   | omitted | connect()
        connecting > established                 | peer   | lecture | SYN-ACK comes (or a crossing SYN)
        connecting > refused                     | peer   | omitted | RST: ECONNREFUSED; no answer: ETIMEDOUT after about two minutes
        refused > connecting                     | call   | omitted | connect() again
         > established                           | call   | lecture | accept() returned it
        established > established                | call   | lecture | send(), recv()
        established > bound                      | call   | omitted | connect(AF_UNSPEC): the peer is reset, the port is kept
        established > sending finished           | call   | omitted | shutdown(SHUT_WR)
        established > receiving finished         | peer   | lecture | FIN comes: recv() gives b''
        sending finished > both finished         | peer   | omitted | FIN comes
        receiving finished > both finished       | call   | omitted | shutdown(SHUT_WR)
        established > reset                      | peer   | omitted | RST comes: ECONNRESET
        receiving finished > reset               | peer   | omitted | RST answers what we still send: EPIPE
        sending finished > reset                 | peer   | omitted | RST comes
        established > reset                      | time   | omitted | keepalive, TCP_USER_TIMEOUT or retransmissions ran out: ETIMEDOUT
        established > closed                     | call   | lecture | close(): FIN, or RST if bytes were left unread
        receiving finished > closed              | call   | lecture | close()
        sending finished > closed                | call   | omitted | close()
        both finished > closed                   | call   | omitted | close()
        reset > closed                           | call   | omitted | close()
        refused > closed                         | call   | omitted | close()
        connecting > closed                      | call   | omitted | close() gives up
        listening > closed                       | call   | lecture | close(): clients that wait are reset
        created > closed                         | call   | lecture | close()
    """),  # noqa: E501
    _outcomes(
        "bind listen connect disconnect accept send receive finish_sending finish_receiving getpeername",
        """
        created            | ok     | ok     | EINPROGRESS  | ok | EINVAL | EPIPE        | ENOTCONN     | ENOTCONN | ENOTCONN | ENOTCONN
        bound              | EINVAL | ok     | EINPROGRESS  | ok | EINVAL | EPIPE        | ENOTCONN     | ENOTCONN | ENOTCONN | ENOTCONN
        listening          | EINVAL | ok     | EISCONN      | ok | EAGAIN | EPIPE        | ENOTCONN     | ok       | ok       | ENOTCONN
        connecting         | EINVAL | EINVAL | EALREADY     | ok | EINVAL | EAGAIN       | EAGAIN       | ok       | ok       | ENOTCONN
        refused            | ok     | EINVAL | ok           | ok | EINVAL | ECONNREFUSED | ECONNREFUSED | ENOTCONN | ENOTCONN | ENOTCONN
        established        | EINVAL | EINVAL | EISCONN      | ok | EINVAL | ok           | EAGAIN       | ok       | ok       | ok
        sending finished   | EINVAL | EINVAL | EISCONN      | ok | EINVAL | EPIPE        | EAGAIN       | ok       | ok       | ok
        receiving finished | EINVAL | EINVAL | EISCONN      | ok | EINVAL | ok           | b''          | ok       | ok       | ok
        both finished      | EINVAL | EINVAL | EISCONN      | ok | EINVAL | EPIPE        | b''          | ok       | ok       | ok
        reset              | ok     | EINVAL | EISCONN      | ok | EINVAL | ECONNRESET   | ECONNRESET   | ENOTCONN | ENOTCONN | ENOTCONN
        closed             | closed | closed | closed       | closed | closed | closed   | closed       | closed   | closed   | closed
        """,  # noqa: E501
    ),
    {
        "created": {
            "accept": "listen() is missing",
            "send": "connect() is missing",
            "receive": "connect() is missing",
            "finish_sending": "connect() is missing",
        },
        "bound": {
            "bind": "it has an address already; create another endpoint",
            "accept": "listen() is missing",
            "send": "connect() is missing",
            "receive": "connect() is missing",
            "finish_sending": "connect() is missing",
        },
        "listening": {
            "send": "a listener carries no bytes; accept() returns the connection that does",
            "receive": "a listener carries no bytes; accept() returns the connection that does",
            "connect": "it listens; create another endpoint for connect()",
            "bind": "bind() comes before listen()",
        },
        "connecting": {
            "connect": "connect() is under way; wait for it or close()",
            "bind": "bind() comes before connect()",
            "listen": "connect() is under way",
        },
        "established": {
            "connect": "it has a peer already; create another endpoint",
            "accept": _NOT_A_LISTENER,
            "listen": "it has a peer already; create another endpoint",
            "bind": "bind() comes before connect()",
        },
        "sending finished": {"send": "finish_sending() was called", "accept": _NOT_A_LISTENER},
        "receiving finished": {"accept": _NOT_A_LISTENER},
        "both finished": {"send": "finish_sending() was called", "accept": _NOT_A_LISTENER},
        "closed": {"": "close() was called; create another endpoint"},
    },
)

TCP_KERNEL: Final = Graph(
    "TCP_KERNEL",
    _states(
        ("CLOSE", "CLOSE", "Fresh, bound, refused or reset.", False, (0, 0)),
        ("LISTEN", "LISTEN", "Takes SYNs.", False, (2, 0)),
        ("SYN_SENT", "SYN_SENT", "Our SYN is out.", False, (0, 1)),
        ("SYN_RECV", "SYN_RECV", "A half-open entry of a listener; no descriptor.", False, (2, 1)),
        ("ESTABLISHED", "ESTABLISHED", "Open; before accept() without a descriptor.", False, (1, 2)),
        ("FIN_WAIT1", "FIN_WAIT1", "Our FIN is out, not acknowledged.", False, (0, 3)),
        ("FIN_WAIT2", "FIN_WAIT2", "Our FIN is acknowledged, the peer's has not come.", False, (0, 4)),
        ("CLOSING", "CLOSING", "Both FINs crossed.", False, (1, 4)),
        ("TIME_WAIT", "TIME_WAIT", "Closed first; keeps late segments away for 60 s. No descriptor.", False, (1, 5)),
        ("CLOSE_WAIT", "CLOSE_WAIT", "The peer's FIN came; the program has not closed.", False, (2, 3)),
        ("LAST_ACK", "LAST_ACK", "Closed second; the peer has to acknowledge.", False, (2, 4)),
    ),
    _transitions("""
         > CLOSE                    | call   | omitted | socket()
        CLOSE > LISTEN              | call   | omitted | listen()
        LISTEN > CLOSE              | call   | omitted | shutdown(SHUT_RD), connect(AF_UNSPEC) or close()
        LISTEN > SYN_RECV           | peer   | omitted | SYN
        SYN_RECV > ESTABLISHED      | peer   | omitted | ACK; the child waits in the accept queue
        SYN_RECV >                  | time   | omitted | five SYN-ACKs unanswered, about 65 s
        CLOSE > SYN_SENT            | call   | omitted | connect()
        SYN_SENT > ESTABLISHED      | peer   | omitted | SYN-ACK
        SYN_SENT > SYN_RECV         | peer   | omitted | SYN (simultaneous open)
        SYN_SENT > CLOSE            | peer   | omitted | RST; or no answer for about 134 s
        ESTABLISHED > FIN_WAIT1     | call   | omitted | close() or shutdown(SHUT_WR)
        ESTABLISHED > CLOSE_WAIT    | peer   | omitted | FIN
        ESTABLISHED > CLOSE         | peer   | omitted | RST in or out
        FIN_WAIT1 > FIN_WAIT2       | peer   | omitted | ACK of the FIN
        FIN_WAIT1 > CLOSING         | peer   | omitted | FIN
        FIN_WAIT2 > TIME_WAIT       | peer   | omitted | FIN
        FIN_WAIT2 >                 | time   | omitted | tcp_fin_timeout, after close() only
        CLOSING > TIME_WAIT         | peer   | omitted | ACK
        TIME_WAIT >                 | time   | omitted | 60 s
        CLOSE_WAIT > LAST_ACK       | call   | omitted | close() or shutdown(SHUT_WR)
        LAST_ACK > CLOSE            | peer   | omitted | ACK
    """),
)
