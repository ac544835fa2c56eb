"""A security module forbids the call."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ..facts import Facts, json_object
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.errors import Errors
from ..trackers.host_answers import HostAnswers

__all__ = ["SecurityPolicy"]

_SYSCTL = "net.ipv4.ip_unprivileged_port_start"


class SecurityPolicy(Rule):
    """bind or connect of a TCP socket fails with EACCES, and neither port nor route is the reason."""

    id = "security-policy"
    title = "a security policy forbids the call"
    covers = (105,)
    severity = "error"
    certainty = "strong"
    layers = ("calls",)
    sentence = (
        "Landlock, SELinux, AppArmor and BPF programs can forbid a process to bind or connect to a port; the call "
        "then fails with EACCES, although port, route and user allow it."
    )
    symptoms = ("permission denied", "EACCES", "[Errno 13]", "SELinux", "AppArmor", "Landlock", "sandbox")
    proof = (
        "bind of a TCP port that ordinary users may bind (the sysctl was read), or connect where the kernel's route "
        "allows it, failed with EACCES."
    )
    fix = "Look for the denial (journalctl -k, ausearch -m avc), and allow the port in the policy of the program or its sandbox."
    disproof = "The port is below net.ipv4.ip_unprivileged_port_start, or the route is of kind prohibit."
    references = ("capabilities(7)", "landlock(7)", "selinux(8)")
    needs = (Errors, HostAnswers)
    given = Errors
    live = True
    effects = ("nobody-listens", "failed-call-ignored")

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        if not subject.tcp:
            return
        for failed in facts[Errors].of(subject).calls:
            asked = failed.address
            if failed.errno != errno.EACCES or failed.name not in ("bind", "connect") or asked is None:
                continue
            answers = facts[HostAnswers]
            if failed.name == "bind":
                first = answers.sysctl(failed.call, _SYSCTL)
                if first is None or asked.port < first:
                    continue
                rows = answers.proof(failed.call, "sysctls", f"{_SYSCTL} = {first}")
                why = (
                    f"Port {asked.port} may be bound by everybody ({_SYSCTL} is {first}), and bind failed with EACCES."
                )
            else:
                fact = answers.fact(failed.call, "route")
                if fact is None or "errno" in json_object(fact.value):
                    continue
                rows = answers.proof(failed.call, "route", f"the route to {asked.host} allows it")
                why = f"The route to {asked.host} allows the connection, and connect failed with EACCES."
            yield Evidence(
                self,
                failed.end_ns,
                f"{why} A security module or sandbox of this process forbids it.",
                [failed.proof(), *rows],
                call=failed.call,
                socket=subject.id,
                process=failed.call.process,
                certainty="strong",
            )
            return
