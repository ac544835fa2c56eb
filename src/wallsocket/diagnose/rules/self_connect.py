"""A connection of a socket with itself."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.samples import Samples
from ..trackers.set_up import SetUp
from ..vocabulary import ESTABLISHED

__all__ = ["SelfConnect"]


class SelfConnect(Rule):
    """Both ends of the connection are one socket."""

    id = "self-connect"
    title = "the program is connected with itself"
    covers = (21,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "Connecting to a port of this host on which nobody listens can succeed: when the kernel chooses that very "
        "port as the socket's own, its SYN meets itself (simultaneous open, RFC 9293, 3.5). The program then reads "
        "what it writes, and the server cannot bind its port."
    )
    symptoms = (
        "reads its own request",
        "connects although the server is down",
        "echo of what was sent",
        "same source and destination port",
    )
    proof = "connect succeeded, and the kernel gives the same address and port for both ends of the socket."
    fix = "Keep service ports outside net.ipv4.ip_local_port_range; after connect compare both ends, close, and try again later."
    disproof = "Local and remote address differ."
    references = ("connect(2)", "ip(7)", "RFC 9293 3.5")
    needs = (Samples, SetUp)
    given = SetUp
    live = True
    effects = ("both-wait", "nobody-listens", "connected-before-listen", "one-recv-per-message", "port-in-local-range")

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        connect = facts[SetUp].of(subject).connect
        if connect is None or not subject.tcp or subject.local is None or subject.local != subject.remote:
            return
        sample = next((one for one in facts[Samples].of(subject).transitions if one.state == ESTABLISHED), None)
        if not subject.local.port:
            return
        if sample is None:
            missing = facts.layer("kernel")
            if missing is not None:
                yield self.cannot_tell("kernel", f"{subject.local} is connected with itself, or would be: {missing}")
            return
        yield Evidence(
            self,
            connect.end_ns,
            f"Both ends of the connection are {subject.local}: nobody listened there, and it got that port itself.",
            [connect.proof(), sample.proof(f"{sample.state_name}, local {subject.local}, remote {subject.remote}")],
            call=connect.call,
            socket=subject.id,
            process=connect.call.process,
        )
