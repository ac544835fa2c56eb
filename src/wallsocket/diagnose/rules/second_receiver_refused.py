"""Two receivers of one group on one host."""

from __future__ import annotations

from collections.abc import Iterator

from ..call import CallFacts
from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.address_in_use import AddressInUse
from ..trackers.bound import Bound
from ..trackers.host_answers import HostAnswers
from ..trackers.memberships import Memberships
from ..trackers.options import Options
from ..trackers.set_up import SetUp
from ..vocabulary import SO_REUSEADDR, SO_REUSEPORT, SOCK_DGRAM, SOL_SOCKET

__all__ = ["SecondReceiverRefused"]


class SecondReceiverRefused(Rule):
    """Two receivers of one group on one host."""

    id = "second-receiver-refused"
    title = "a second receiver of the group cannot bind: SO_REUSEADDR is not set on both"
    covers = (85,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "Any number of sockets can receive one multicast group on one port of a host, if each of them sets "
        "SO_REUSEADDR before bind. One without it keeps the port to itself, and cannot have one that is taken."
    )
    symptoms = (
        "address already in use multicast",
        "EADDRINUSE second multicast receiver",
        "only one listener possible",
    )
    proof = (
        "bind of a UDP socket failed with EADDRINUSE for a group's address, or for the port of a traced socket that joined a "
        "group; one of the two had not set SO_REUSEADDR before bind."
    )
    fix = "Set SO_REUSEADDR on every receiver of the group before bind."
    disproof = "Both had set the option when bind failed."
    references = ("socket(7)", "ip(7)")
    needs = (AddressInUse, Bound, HostAnswers, Memberships, Options)
    given = SetUp
    supersedes = ("address-in-use-listener",)
    effects = ("failed-call-ignored",)

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        taken = facts[AddressInUse].of(subject) if subject.udp else None
        if taken is None:
            return
        failed, options = taken.call, facts[Options]
        holder = None
        for other in facts[Bound].on(taken.asked.port, SOCK_DGRAM, subject.network):
            if other.id != subject.id and other.had_it(failed.end_ns) and other.local.clashes(taken.asked):
                holder = other
                break
        group = holder is not None and holder.id in facts[Memberships].joined_ever
        if not group and not taken.asked.group:
            return
        lacking = []
        binds: list[tuple[SocketFacts, CallFacts]] = [(subject, failed)]
        if holder is not None and holder.bind is not None:
            binds.append((holder.socket, holder.bind))
        for socket, bind in binds:
            if socket.retired:
                continue
            set_calls = [options.first(socket, SOL_SOCKET, name) for name in (SO_REUSEADDR, SO_REUSEPORT)]
            if not any(one is not None and one.option_number and one.end_ns <= bind.entry_ns for one in set_calls):
                lacking.append((facts.who(bind.call.process), bind))
        if not lacking:
            return
        who = " and ".join(dict.fromkeys(name for name, _ in lacking))
        rows = [failed.proof()]
        if holder is not None and holder.bind is not None:
            rows.append(holder.bind.proof(f"{holder.bind.text()}: the first receiver"))
        rows += facts[HostAnswers].held(failed.call, "udp", taken.asked)
        yield Evidence(
            self,
            failed.end_ns,
            f"{taken.asked} is another receiver's, and {who} bound without SO_REUSEADDR: both would need it.",
            rows,
            call=(lacking[0][1] if lacking[0][1] is failed or holder is None else failed).call,
            socket=subject.id,
            process=failed.call.process,
            subjects=frozenset({holder.id} if holder is not None else ()),
        )
