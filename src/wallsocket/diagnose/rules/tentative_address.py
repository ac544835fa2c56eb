"""An IPv6 address that is not usable yet."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ..facts import Facts, json_list
from ..rule import Evidence, Healthy, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.bound import Bound
from ..trackers.host_answers import HostAnswers
from ..trackers.set_up import SetUp

__all__ = ["TentativeAddress"]


class TentativeAddress(Rule):
    """bind of an address while duplicate address detection runs, or after it failed."""

    id = "tentative-address"
    title = "the IPv6 address is not usable yet: the kernel still looks for duplicates"
    covers = (137,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "For about a second after it was added an IPv6 address is tentative, until no neighbour has claimed it (RFC "
        "4862, 5.4). It cannot be bound meanwhile, and never when another host has it: a service that starts early at "
        "boot fails."
    )
    symptoms = (
        "cannot assign requested address",
        "EADDRNOTAVAIL",
        "[Errno 99]",
        "works when started again",
        "dadfailed",
        "tentative",
    )
    proof = "bind failed with EADDRNOTAVAIL; the kernel's list, read then, has that address as tentative or dadfailed."
    fix = "Start when the network is ready, try again for a while, or set IPV6_FREEBIND before bind."
    disproof = "The address had neither flag."
    references = ("RFC 4862 5.4", "ip-address(8)")
    needs = (Bound, HostAnswers, SetUp)
    given = SetUp
    effects = ("nobody-listens", "failed-call-ignored")

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        failed = facts[SetUp].of(subject).bind_failed
        asked = failed.address if failed is not None else None
        if failed is None or failed.errno != errno.EADDRNOTAVAIL or asked is None or ":" not in asked.host:
            return
        row = facts[HostAnswers].fact(failed.call, "addresses")
        for entry in json_list(row.value) if row is not None else ():
            if not isinstance(entry, dict) or str(entry.get("address")).partition("%")[0] != asked.host:
                continue
            flags = [flag for flag in entry.get("flags") or () if flag in ("tentative", "dadfailed")]
            if not flags:
                continue
            if facts[Bound].taken_later(failed.call.process, subject.type, asked.port, failed.end_ns):
                yield Healthy([failed.call.id], "the program tried again until the address was usable")
                return
            duplicate = "dadfailed" in flags
            state = "another host on the link has it, too" if duplicate else "the kernel still looks for duplicates"
            yield Evidence(
                self,
                failed.end_ns,
                f"{asked.host} is on {entry.get('interface')}, but {state}: until then it cannot be bound.",
                [
                    failed.proof(),
                    *facts[HostAnswers].proof(
                        failed.call, "addresses", f"{asked.host} on {entry.get('interface')}: {', '.join(flags)}"
                    ),
                ],
                call=failed.call,
                socket=subject.id,
                process=failed.call.process,
                title="another host has the IPv6 address, too" if duplicate else "",
            )
            return
