"""A packet socket whose protocol has its bytes in the wrong order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ..address import swapped
from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.raw_sockets import RawSockets
from ..vocabulary import AF_PACKET

__all__ = ["PacketProtocolSwapped"]

#: Protocols of frames that programs ask for (linux/if_ether.h).
_PROTOCOLS: Final = {
    0x0003: "ETH_P_ALL",
    0x0800: "ETH_P_IP",
    0x0806: "ETH_P_ARP",
    0x86DD: "ETH_P_IPV6",
    0x8100: "ETH_P_8021Q",
    0x8847: "ETH_P_MPLS_UC",
    0x8863: "ETH_P_PPP_DISC",
    0x8864: "ETH_P_PPP_SES",
    0x888E: "ETH_P_PAE",
    0x88CC: "ETH_P_LLDP",
    0x88F7: "ETH_P_1588",
}


class PacketProtocolSwapped(Rule):
    """A packet socket whose protocol has its bytes in the wrong order."""

    id = "packet-protocol-swapped"
    title = "the packet socket hears nothing: its protocol was not put through htons()"
    covers = (88,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "A packet socket takes the protocol in network byte order. ETH_P_ALL without htons() is protocol 0x0300 on a "
        "little-endian machine, which no frame has: the socket is made, and nothing ever comes."
    )
    symptoms = ("AF_PACKET receives nothing", "packet socket silent", "sniffer sees no packets", "ETH_P_ALL")
    proof = (
        "The protocol given to socket(AF_PACKET) or in the address of bind is a known one, or that of frames that "
        "were sent, with its two bytes exchanged, and nothing was read."
    )
    fix = "Pass htons(ETH_P_ALL) (Python: socket.htons(3)) to socket() and in sll_protocol."
    disproof = "A packet was read from the socket."
    references = ("packet(7)", "byteorder(3)")
    needs = (RawSockets,)
    given = RawSockets

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        raw = facts[RawSockets].of(subject)
        protocol = raw.protocol
        if subject.family != AF_PACKET or raw.made is None or not protocol or raw.reads:
            return
        # The number as it stands in memory: what was meant stands there with its bytes exchanged (little endian).
        name, seen = _PROTOCOLS.get(protocol), facts[RawSockets].frame_types
        sent = seen.get(protocol)
        if name is None and sent is not None:
            name = "the type of frames that were sent"
        if name is None or swapped(protocol) in _PROTOCOLS or swapped(protocol) in seen:
            return
        call = raw.bind if raw.bind is not None and raw.protocol != (raw.made.call.c or 0) & 0xFFFF else raw.made
        what = "bind" if call is raw.bind else "socket"
        yield Evidence(
            self,
            call.end_ns,
            f"{what} was given protocol {protocol:#06x}, {name} in the order of this machine: the kernel reads it as "
            f"{swapped(protocol):#06x}, which no frame has. Nothing was read.",
            [
                call.proof(f"call {call.call.id} {what}: protocol {protocol:#06x}"),
                *(
                    [sent.proof(f"call {sent.call.id} sent a frame of type {protocol:#06x}")]
                    if sent is not None
                    else []
                ),
            ],
            call=call.call,
            socket=subject.id,
            process=call.call.process,
        )
