"""A connection of a socket with itself."""

from __future__ import annotations

from collections.abc import Iterator

from ..call import CallFacts
from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.reads import Reads
from ..trackers.samples import Samples
from ..trackers.set_up import SetUp
from ..trackers.writes import Writes
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
    needs = (Reads, Samples, SetUp, Writes)
    given = SetUp
    live = True
    effects = ("both-wait", "nobody-listens", "connected-before-listen", "one-recv-per-message", "port-in-local-range")

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        connect = facts[SetUp].of(subject).connect
        if connect is None or not subject.tcp or subject.local is None or subject.local != subject.remote:
            return
        if not subject.local.port:
            return
        sample = next((one for one in facts[Samples].of(subject).transitions if one.state == ESTABLISHED), None)
        if sample is not None:
            proof = sample.proof(f"{sample.state_name}, local {subject.local}, remote {subject.remote}")
        elif (used := self._used(facts, subject, connect)) is not None:
            proof = used.proof(f"{used.text()}: local {subject.local}, remote {subject.remote}")
        else:
            missing = facts.layer("kernel")
            if missing is not None:
                yield self.cannot_tell("kernel", f"{subject.local} is connected with itself, or would be: {missing}")
            return
        yield Evidence(
            self,
            connect.end_ns,
            f"Both ends of the connection are {subject.local}: nobody listened there, and it got that port itself.",
            [connect.proof(), proof],
            call=connect.call,
            socket=subject.id,
            process=connect.call.process,
        )

    @staticmethod
    def _used(facts: Facts, socket: SocketFacts, connect: CallFacts) -> CallFacts | None:
        """The call that shows that the connect came through: itself, or the first one that moved bytes after it."""
        if connect.succeeded:
            return connect
        moved = (facts[Writes].of(socket).first, facts[Reads].of(socket).first)
        return next((call for call in moved if call is not None and call.entry_ns >= connect.end_ns), None)
