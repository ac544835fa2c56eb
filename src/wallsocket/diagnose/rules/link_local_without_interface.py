"""A link-local address without the interface that it is on."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ...kernel.address import Address as KernelAddress
from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.errors import Errors

__all__ = ["LinkLocalWithoutInterface"]


class LinkLocalWithoutInterface(Rule):
    """connect, bind or sendto of an address in fe80::/10 with scope id 0."""

    id = "link-local-without-interface"
    title = "the link-local address does not say on which interface it is"
    covers = (131,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "The same address of fe80::/10 can exist on every link, so the kernel must be told the interface: "
        "sin6_scope_id, written as %eth0 behind the address (ipv6(7), RFC 4007). Without it bind and connect fail "
        "with EINVAL, and a datagram finds no route."
    )
    symptoms = (
        "invalid argument",
        "EINVAL",
        "[Errno 22]",
        "fe80",
        "link-local",
        "connect: invalid argument",
        "scope id",
    )
    proof = "bind, connect or send failed with EINVAL or ENETUNREACH, and the address is in fe80::/10 with scope id 0."
    fix = 'Name the interface: fe80::1%eth0 through getaddrinfo, or sin6_scope_id = if_nametoindex("eth0").'
    disproof = "The call fails with the interface named, too."
    references = ("ipv6(7)", "RFC 4007 6", "getaddrinfo(3)")
    needs = (Errors,)
    given = Errors
    live = True
    supersedes = ("network-unreachable",)
    effects = ("failed-call-ignored", "nobody-listens", "call-in-wrong-state")

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        for failed in facts[Errors].of(subject).calls:
            raw = failed.call.address
            if failed.errno not in (errno.EINVAL, errno.ENETUNREACH) or raw is None:
                continue
            address = KernelAddress.decode(raw)
            host = address.host or ""
            if not _link_local(host) or address.zone:
                continue
            yield Evidence(
                self,
                failed.end_ns,
                f"{failed.name}() was given {host} with scope id 0: the kernel cannot know which interface is meant.",
                [failed.proof()],
                call=failed.call,
                socket=subject.id,
                process=failed.call.process,
            )
            return


def _link_local(host: str) -> bool:
    return host[:2] == "fe" and host[2:3] in ("8", "9", "a", "b") and ":" in host
