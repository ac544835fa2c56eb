"""A port that only root may bind."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.bound import Bound
from ..trackers.host_answers import HostAnswers
from ..trackers.set_up import SetUp
from ..vocabulary import AF_INET, AF_INET6

__all__ = ["PrivilegedPort"]

_SYSCTL = "net.ipv4.ip_unprivileged_port_start"


class PrivilegedPort(Rule):
    """bind() of a low port without the capability for it."""

    id = "privileged-port"
    title = "the port may not be bound: it is below the first port for ordinary users"
    covers = (8,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "Ports below net.ipv4.ip_unprivileged_port_start (1024, unless it was changed) need CAP_NET_BIND_SERVICE in the "
        "user namespace of the network."
    )
    symptoms = ("permission denied", "EACCES", "[Errno 13]", "bind: permission denied", "listen EACCES")
    proof = "bind failed with EACCES, and the port is below the value of the sysctl that was read then."
    fix = (
        "Use a higher port; or give it CAP_NET_BIND_SERVICE: a service by AmbientCapabilities= of systemd, a compiled program "
        "by setcap cap_net_bind_service=ep FILE (an interpreter would pass it on to every script); or lower "
        "net.ipv4.ip_unprivileged_port_start."
    )
    disproof = "The port is not below the sysctl: then a security module or a seccomp filter refused."
    references = ("ip(7)", "capabilities(7)")
    needs = (Bound, HostAnswers, SetUp)
    given = SetUp
    live = True
    effects = ("nobody-listens", "connected-before-listen", "failed-call-ignored")

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        failed = facts[SetUp].of(subject).bind_failed
        asked = failed.address if failed is not None else None
        if failed is None or failed.errno != errno.EACCES or asked is None or asked.family not in (AF_INET, AF_INET6):
            return
        first = facts[HostAnswers].sysctl(failed.call, _SYSCTL)
        if first is None:
            yield self.cannot_tell("facts", f"{_SYSCTL} was not read when bind({asked}) failed")
            return
        if asked.port >= first:
            return
        moved_on = facts[Bound].moved_on(failed.call.process, subject.type, asked.port, failed.end_ns)
        yield Evidence(
            self,
            failed.end_ns,
            f"Port {asked.port} is below {first}, the first port that a program without CAP_NET_BIND_SERVICE may bind.",
            [failed.proof(), *facts[HostAnswers].proof(failed.call, "sysctls", f"{_SYSCTL} = {first}")],
            call=failed.call,
            socket=subject.id,
            process=failed.call.process,
            severity="note" if moved_on else "error",
        )
