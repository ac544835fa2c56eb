"""No port is left for a bind that leaves the choice to the kernel."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ..call import CallFacts
from ..facts import Facts, json_object
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.host_answers import HostAnswers
from ..trackers.set_up import SetUp
from ..vocabulary import AF_INET, AF_INET6

__all__ = ["BindPortsExhausted"]

_SYSCTL = "net.ipv4.ip_local_port_range"


class BindPortsExhausted(Rule):
    """bind of port 0 fails with EADDRINUSE, or the first use of a datagram socket with EAGAIN."""

    id = "bind-ports-exhausted"
    title = "no port is left: bind to port 0 found no free one"
    covers = (17,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "bind with port 0 takes any free port of net.ipv4.ip_local_port_range for the address. A client that binds "
        "before connect keeps the port from all destinations at once, so the range is used up after about 28,000 "
        "sockets, TIME_WAIT included. A datagram socket that was not bound takes one at its first use, from all destinations "
        "at once, too."
    )
    symptoms = (
        "address already in use",
        "EADDRINUSE",
        "[Errno 98]",
        "bind: port 0",
        "sendto: resource temporarily unavailable",
        "out of ephemeral ports",
    )
    proof = (
        "bind failed with EADDRINUSE, and the port that was asked for is 0: any free one would have done. Or connect or "
        "sendto failed with EAGAIN on a datagram socket that had port 0 before and after it."
    )
    fix = (
        "Do not bind before connect, or set IP_BIND_ADDRESS_NO_PORT first; close sockets that are not needed; widen "
        "the range."
    )
    disproof = "The call named a port."
    references = ("ip(7)", "bind(2)")
    needs = (HostAnswers, SetUp)
    given = SetUp
    live = True
    effects = ("failed-call-ignored",)

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        set_up = facts[SetUp].of(subject)
        failed, portless = set_up.bind_failed, set_up.no_port
        if portless is not None:
            yield self._portless(portless, subject)
        asked = failed.address if failed is not None else None
        if failed is None or failed.errno != errno.EADDRINUSE or asked is None or asked.port != 0:
            return
        if asked.family not in (AF_INET, AF_INET6) or not (subject.tcp or subject.udp):
            return
        row = facts[HostAnswers].fact(failed.call, "sysctls")
        words = json_object(row.value).get(_SYSCTL) if row is not None else None
        yield Evidence(
            self,
            failed.end_ns,
            f"bind({asked.host}, port 0) takes any port, and none was free" + (f" of {words}." if words else "."),
            [failed.proof(), *facts[HostAnswers].proof(failed.call, "sysctls", f"{_SYSCTL} = {words}")],
            call=failed.call,
            socket=subject.id,
            process=failed.call.process,
        )

    def _portless(self, call: CallFacts, subject: SocketFacts) -> Evidence:
        after = call.exit
        assert after is not None
        return Evidence(
            self,
            call.end_ns,
            f"{call.text()}: the first use of a datagram socket gives it a port, and after it the socket still had none.",
            [call.proof(), after.proof("the socket has port 0")],
            call=call.call,
            socket=subject.id,
            process=call.call.process,
            title="no port is left for a datagram socket",
            fix="Use one socket for many peers (sendto, recvfrom); close sockets that are not needed; a wider ip_local_port_range.",
        )
