"""A packet that a program made by itself names no protocol in its IPv4 header."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ..call import CallFacts
from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.raw_sockets import RawSockets
from ..vocabulary import AF_INET, AF_PACKET, SOCK_RAW

__all__ = ["CraftedWithoutProtocol"]

_IPPROTO_RAW: Final = 255  # such a socket sends IP headers as they are given, raw(7)
_ETH_P_IP, _ETH_P_8021Q = b"\x08\x00", b"\x81\x00"  # linux/if_ether.h


class CraftedWithoutProtocol(Rule):
    """A packet that a program made by itself names no protocol in its IPv4 header."""

    id = "crafted-without-protocol"
    title = "a crafted packet names protocol 0: no host takes what it carries for UDP or TCP"
    covers = (165,)
    severity = "error"
    certainty = "strong"
    layers = ("calls",)
    sentence = (
        "The protocol field of the IPv4 header says what follows it: 17 for UDP, 6 for TCP. A program that writes the header "
        "itself has to set it; some libraries leave 0, which stands for no transport. The receiver's IP layer gives the packet "
        "to nobody."
    )
    symptoms = (
        "dpkt packet not received",
        "crafted UDP packet ignored",
        "ip.p is 0",
        "raw socket packet never arrives at the program",
    )
    proof = (
        "A packet was sent through a packet socket, or a raw one of IPPROTO_RAW, whose IPv4 header has protocol 0, and behind "
        "the header stands that of UDP (its length is that of the rest) or of TCP."
    )
    fix = "Set the field: 17 for UDP, 6 for TCP (dpkt: ip.p = dpkt.ip.IP_PROTO_UDP)."
    disproof = "The packet was to try what a host does with protocol 0."
    references = ("RFC 791 3.1", "packet(7)", "raw(7)")
    needs = (RawSockets,)
    given = RawSockets

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        found = [(call, name) for call in facts[RawSockets].of(subject).sends if (name := _carried(subject, call))]
        if not found:
            return
        call, name = found[0]
        right = {"UDP": 17, "TCP": 6}[name]
        yield Evidence(
            self,
            call.end_ns,
            f"{call.text()} sent an IPv4 packet whose header names protocol 0, and behind it stands a header of {name}, "
            f"which is protocol {right}.",
            [call.proof()],
            call=call.call,
            socket=subject.id,
            process=call.call.process,
            count=len(found),
        )


def _carried(socket: SocketFacts, call: CallFacts) -> str | None:
    """What stands behind an IPv4 header that names protocol 0: ``"UDP"`` or ``"TCP"``; ``None``: neither, or no such header."""
    data = call.payload
    if socket.family == AF_PACKET and socket.type == SOCK_RAW:
        start = 18 if data[12:14] == _ETH_P_8021Q else 14
        if data[start - 2 : start] != _ETH_P_IP:
            return None
        data = data[start:]
    elif socket.family != AF_PACKET and (socket.family, socket.protocol) != (AF_INET, _IPPROTO_RAW):
        return None
    if len(data) < 20 or data[0] >> 4 != 4 or data[9] != 0:
        return None
    header = (data[0] & 0xF) * 4
    size, behind = int.from_bytes(data[2:4], "big") - header, data[header:]
    if int.from_bytes(data[6:8], "big") & 0x1FFF:
        return None  # a later fragment: what it begins with is no header
    if len(behind) >= 8 and int.from_bytes(behind[4:6], "big") == size:
        return "UDP"
    if len(behind) >= 20 and 20 <= (behind[12] >> 4) * 4 <= size and not behind[12] & 0xF and behind[13] & 0x3F:
        return "TCP"
    return None
