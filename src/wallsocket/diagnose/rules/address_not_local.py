"""An address that is not this host's."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ..facts import Facts, json_list
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.bound import Bound
from ..trackers.host_answers import HostAnswers
from ..trackers.set_up import SetUp
from ..vocabulary import AF_INET, AF_INET6

__all__ = ["AddressNotLocal"]


class AddressNotLocal(Rule):
    """bind() of somebody else's address."""

    id = "address-not-local"
    title = "the address cannot be bound: no interface of this host has it"
    covers = (16,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "A socket can be bound to addresses of its own host (of its network namespace) only. The address of a load "
        "balancer, of another container, or one that was taken away is none of them."
    )
    symptoms = (
        "cannot assign requested address",
        "EADDRNOTAVAIL",
        "[Errno 99]",
        "could not bind to address",
    )
    proof = "bind failed with EADDRNOTAVAIL, and the address is not in the kernel's list that was read then."
    fix = "Bind an address that this host has, or all of them (0.0.0.0, ::)."
    disproof = "The kernel's list has the address."
    references = ("bind(2)", "ip(7)")
    needs = (Bound, HostAnswers, SetUp)
    given = SetUp
    live = True
    effects = ("nobody-listens", "failed-call-ignored")

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        failed = facts[SetUp].of(subject).bind_failed
        asked = failed.address if failed is not None else None
        if failed is None or failed.errno != errno.EADDRNOTAVAIL or asked is None:
            return
        if asked.family not in (AF_INET, AF_INET6) or asked.loopback:
            return
        answers = facts[HostAnswers]
        row = answers.fact(failed.call, "addresses")
        if row is None:
            yield self.cannot_tell("facts", f"the addresses of the host were not read when bind({asked}) failed")
            return
        own = [str(entry.get("address")).partition("%")[0] for entry in json_list(row.value) if isinstance(entry, dict)]
        if asked.host in own:
            return
        shown = [host for host in own if (":" in host) == (":" in asked.host)]
        moved_on = facts[Bound].moved_on(failed.call.process, subject.type, asked.port, failed.end_ns)
        yield Evidence(
            self,
            failed.end_ns,
            f"{asked.host} is no address of this host. Its addresses: {', '.join(shown[:8]) or 'none of that kind'}.",
            [failed.proof(), *answers.proof(failed.call, "addresses", f"{asked.host} is not among the addresses")],
            call=failed.call,
            socket=subject.id,
            process=failed.call.process,
            severity="note" if moved_on else "error",
        )
