"""The kernel ends a handshake that a program made by itself."""

from __future__ import annotations

from collections.abc import Iterator

from ..call import CallFacts
from ..facts import Facts
from ..finding import Proof
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.crafted import Crafted, CraftedHandshakes
from ..trackers.raw_sockets import RawSockets

__all__ = ["OwnStackResets"]

#: A frame is stamped while its send runs, or a moment later by the device's queue.
_LAG_NS = 5_000_000


class OwnStackResets(Rule):
    """The kernel ends a handshake that a program made by itself."""

    id = "own-stack-resets"
    title = "the kernel of this host resets the crafted connection: none of its sockets has the port"
    covers = (91,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "A SYN from a raw or packet socket goes out past the kernel's TCP. Its answer comes to that TCP, which knows no such "
        "connection and sends a reset, before the program can go on."
    )
    symptoms = ("kernel sends RST for raw socket", "scapy RST after SYN/ACK", "handshake with raw sockets is reset")
    proof = (
        "A raw or packet socket sent a SYN; its answer with SYN and ACK came; a reset without ACK, as the kernel answers what "
        "it does not know, left from the same port; and the program went on with the connection. A note when it did not: a "
        "port scan."
    )
    fix = (
        "Drop the kernel's resets (nft add rule … tcp flags rst drop, for that port), use an address that the kernel does not "
        "have (TUN device), or a real socket."
    )
    disproof = "A kernel socket had that port and was closed in between."
    references = ("raw(7)", "RFC 9293 3.10.7")
    needs = (CraftedHandshakes, RawSockets)
    given = RawSockets

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        raw = facts[RawSockets].of(subject)
        missing = facts.wire(subject.network)
        if raw.sends and missing is not None:
            yield self.cannot_tell("wire", f"a raw socket sent packets, and the wire was not recorded: {missing}")
        for one in facts[CraftedHandshakes].reset:
            sent = next((call for call in raw.sends if _sent(call, one)), None)
            if sent is None:
                continue
            went_on = one.more is not None or any(call.entry_ns > sent.end_ns for call in raw.sends)
            yield Evidence(
                self,
                one.reset.at_ns if one.reset is not None else sent.end_ns,
                f"The SYN from {one.own} went out through this socket; {one.far} accepted, and the kernel, which has no socket "
                f"on port {one.own.port}, answered with a reset.",
                [sent.proof(), *_proof(one)],
                call=sent.call,
                socket=subject.id,
                process=sent.call.process,
                certainty="certain" if went_on else "strong",
                severity="error" if went_on else "note",
            )


def _sent(call: CallFacts, one: Crafted) -> bool:
    """Whether a send put the SYN on the wire."""
    if call.address is not None and call.address.host != one.far.host:
        return False
    return call.entry_ns - _LAG_NS <= one.syn.at_ns <= call.end_ns + _LAG_NS


def _proof(one: Crafted) -> Iterator[Proof]:
    for packet, text in (
        (one.syn, f"wire: SYN from {one.own} to {one.far}"),
        (one.answer, f"wire: SYN and ACK from {one.far}"),
        (one.reset, f"wire: RST from {one.own}"),
    ):
        if packet is not None:
            yield Proof("wire", "packet", packet.id, packet.at_ns, text)
