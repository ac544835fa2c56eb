"""A raw or packet socket without the right to one."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ..call import CallFacts
from ..facts import Facts, json_object
from ..finding import Proof
from ..rule import Evidence, Healthy, Judgement, Rule
from ..subjects import ProcessFacts
from ..trackers.host_answers import HostAnswers
from ..trackers.raw_sockets import RawSockets, is_raw
from ..vocabulary import AF_PACKET

__all__ = ["RawSocketForbidden"]

_CAP_NET_RAW = 13  # linux/capability.h


class RawSocketForbidden(Rule):
    """A raw or packet socket without the right to one."""

    id = "raw-socket-forbidden"
    title = "the process may not open raw or packet sockets: CAP_NET_RAW is missing"
    covers = (87,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "Sockets for whole packets (SOCK_RAW, AF_PACKET) need the capability CAP_NET_RAW in the user namespace that owns "
        "the network namespace. Being in a group or owning a file does not help."
    )
    symptoms = ("operation not permitted", "EPERM", "socket: Operation not permitted", "[Errno 1]", "ping needs root")
    proof = (
        "socket(SOCK_RAW or AF_PACKET) failed with EPERM, and the process' effective capabilities lack CAP_NET_RAW; or an "
        "ICMP datagram socket failed with EACCES."
    )
    fix = (
        "Run it in a network namespace of its own (unshare -rn), or give it CAP_NET_RAW: a service by AmbientCapabilities= of "
        "systemd, a compiled program by setcap cap_net_raw=ep FILE (an interpreter would pass it on to every script). To "
        "ping, socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP) will do where net.ipv4.ping_group_range has the user's group."
    )
    disproof = "The process has CAP_NET_RAW: then a seccomp filter or a security module refuses."
    references = ("raw(7)", "packet(7)", "capabilities(7)")
    subject = "process"
    needs = (HostAnswers, RawSockets)
    effects = ("failed-descriptor-used", "failed-call-ignored")

    def judge(self, facts: Facts, subject: ProcessFacts) -> Iterator[Judgement]:
        refused = facts[RawSockets].refused.get(subject.id, ())
        got_ns = facts[RawSockets].got_ns.get(subject.id, -1)
        for call in refused:
            if got_ns > call.end_ns:
                yield Healthy([call.call.id], "the program took another kind of socket instead, and got it")
                continue
            found = self._case(facts, call)
            if found is None:
                continue
            title, why, rows, certain = found
            yield Evidence(
                self,
                call.end_ns,
                why,
                [call.proof(), *rows],
                call=call.call,
                process=subject.id,
                title=title,
                certainty="certain" if certain else "strong",
            )

    @staticmethod
    def _case(facts: Facts, call: CallFacts) -> tuple[str, str, list[Proof], bool] | None:
        row, answers = call.call, facts[HostAnswers]
        kind = "packet" if row.a == AF_PACKET else "raw"
        if not is_raw(row.a or 0, (row.b or 0) & 0xF):
            if call.errno != errno.EACCES:
                return None
            groups = answers.fact(row, "sysctls")
            allowed = json_object(groups.value).get("net.ipv4.ping_group_range") if groups is not None else None
            rows = answers.proof(row, "sysctls", f"net.ipv4.ping_group_range is {allowed}") if allowed else []
            return (
                "the process may not open ICMP sockets: its group is not in ping_group_range",
                "An ICMP datagram socket is for the groups that net.ipv4.ping_group_range names"
                + (f" ({allowed})" if allowed else "")
                + "; no group of this process is among them.",
                rows,
                bool(rows),
            )
        if call.errno != errno.EPERM:
            return None
        credentials = answers.fact(row, "credentials")
        found = json_object(credentials.value) if credentials is not None else {}
        capabilities, uid = found.get("capabilities"), found.get("uid")
        if isinstance(capabilities, int) and capabilities >> _CAP_NET_RAW & 1:
            return None
        known = isinstance(capabilities, int)
        who = f" (uid {uid})" if isinstance(uid, int) else ""
        return (
            "",
            f"A {kind} socket needs CAP_NET_RAW, which this process{who} does not have."
            if known
            else f"A {kind} socket needs CAP_NET_RAW; what this process may do was not looked up.",
            answers.proof(row, "credentials", f"effective capabilities {capabilities:#x}, without CAP_NET_RAW")
            if known
            else [],
            known,
        )
