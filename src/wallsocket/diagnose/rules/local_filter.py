"""A filter of this host does not let the packet out."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ..facts import Facts, json_object
from ..rule import Evidence, Judgement, Rule
from ..subjects import Destination
from ..trackers.host_answers import HostAnswers
from ..trackers.unreached import Unreached

__all__ = ["LocalFilter"]


class LocalFilter(Rule):
    """send or connect fails with EPERM."""

    id = "local-filter"
    title = "a filter of this host drops what the program sends"
    covers = (101,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "A packet filter (nftables, iptables) that drops a packet on its way out lets send fail with EPERM; a BPF "
        "program of the control group (IPAddressDeny of systemd, network policies) does the same. It is not a "
        "privilege that is missing."
    )
    symptoms = (
        "operation not permitted",
        "EPERM",
        "[Errno 1]",
        "sendto: operation not permitted",
        "ping: sendmsg: operation not permitted",
    )
    proof = "send or connect of an Internet socket failed with EPERM, and no later datagram to that address was taken."
    fix = "Find the rule: nft list ruleset, iptables -L OUTPUT -v, systemctl show -p IPAddressDeny UNIT; allow this destination."
    disproof = "The process runs under a seccomp filter that forbids the call."
    references = ("sendmsg(2)", "nft(8)")
    subject = "destination"
    needs = (HostAnswers, Unreached)
    effects = ("failed-call-ignored",)

    def judge(self, facts: Facts, subject: Destination) -> Iterator[Judgement]:
        for failure in facts[Unreached].of(subject, errno.EPERM):
            call = failure.seen.call
            fact = facts[HostAnswers].fact(call, "credentials")
            seccomp = json_object(fact.value).get("seccomp") if fact is not None else None
            yield Evidence(
                self,
                failure.at_ns,
                f"This host's own filter does not let packets to {subject.where} out: {failure.seen.name} failed with EPERM.",
                [failure.seen.proof(failure.how_seen())],
                call=failure.connect.call,
                socket=failure.socket.id,
                process=failure.process,
                certainty="strong" if seccomp == 2 and failure.seen.name == "connect" else "certain",
                calls=failure.calls,
                count=failure.count,
            )
