"""IPv6 is switched off on this host."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ..facts import Facts, json_list
from ..rule import Evidence, Healthy, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.bound import Bound
from ..trackers.connects import Connects
from ..trackers.destinations import Destinations
from ..trackers.errors import Errors
from ..trackers.host_answers import HostAnswers
from ..vocabulary import AF_INET6

__all__ = ["Inet6Off"]

_SYSCTL = "net.ipv6.conf.all.disable_ipv6"


class Inet6Off(Rule):
    """bind or connect of an IPv6 address where no interface has one."""

    id = "inet6-off"
    title = "IPv6 is switched off on this host"
    covers = (104,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "With net.ipv6.conf.all.disable_ipv6 = 1 (usual in containers) no interface has an IPv6 address, not even "
        "the loopback. Sockets of that family can be made, but no address can be assigned to them, not even ::1."
    )
    symptoms = (
        "cannot assign requested address",
        "EADDRNOTAVAIL",
        "[Errno 99]",
        "::1",
        "address family not supported",
        "IPv6 disabled",
    )
    proof = (
        "bind or connect of an IPv6 address failed with EADDRNOTAVAIL, no other version of IP was tried with success "
        "afterwards, and the sysctl that was read then is 1, or no interface has an IPv6 address."
    )
    fix = "Use IPv4 (127.0.0.1 instead of localhost or ::1), or switch IPv6 on for this host or container."
    disproof = "An interface has an IPv6 address."
    references = ("ipv6(7)", "bind(2)")
    needs = (Bound, Connects, Destinations, Errors, HostAnswers)
    given = Errors
    supersedes = ("address-not-local",)
    effects = ("nobody-listens", "failed-call-ignored")

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        for failed in facts[Errors].of(subject).calls:
            asked = failed.address
            if failed.errno != errno.EADDRNOTAVAIL or failed.name not in ("bind", "connect") or asked is None:
                continue
            if asked.family != AF_INET6:
                continue
            answers, process = facts[HostAnswers], failed.call.process
            off = answers.sysctl(failed.call, _SYSCTL)
            addresses = answers.fact(failed.call, "addresses")
            own = (
                [entry for entry in json_list(addresses.value) if isinstance(entry, dict)]
                if addresses is not None
                else []
            )
            none = bool(own) and not any(":" in str(entry.get("address")) for entry in own)
            if off != 1 and not none:
                continue
            if asked.port == 0 or (not subject.tcp and failed.name == "connect"):
                # So programs and libraries ask whether there is IPv6, and which address they would have.
                yield Healthy([failed.call.id], "the program asked whether it can use IPv6")
                continue
            if failed.name == "connect" and facts[Connects].by_ipv4(process, asked.port):
                yield Healthy([failed.call.id], "this host has no IPv6, and the program tried IPv4")
                continue
            later = facts[Destinations].got_port.get((process, asked.port), -1)
            if later > failed.end_ns or facts[Bound].taken_later(process, subject.type, asked.port, failed.end_ns):
                yield Healthy([failed.call.id], "the program used the other version of IP")
                return
            rows = answers.proof(failed.call, "sysctls", f"{_SYSCTL} = 1") if off == 1 else []
            if none:
                rows += answers.proof(failed.call, "addresses", "no interface has an IPv6 address")
            yield Evidence(
                self,
                failed.end_ns,
                f"{asked.host} cannot be used: no interface of this host has an IPv6 address"
                + (f" ({_SYSCTL} is 1)." if off == 1 else "."),
                [failed.proof(), *rows],
                call=failed.call,
                socket=subject.id,
                process=process,
            )
            return
