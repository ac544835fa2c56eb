"""A buffer that is smaller than was asked for."""

from __future__ import annotations

from collections.abc import Iterator

from ..call import CallFacts
from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.drops import Drops
from ..trackers.options import Options
from ..trackers.settings import Settings
from ..vocabulary import SO_RCVBUF, SO_SNDBUF, SOL_SOCKET

__all__ = ["BufferClamped"]


class BufferClamped(Rule):
    """A buffer that is smaller than was asked for."""

    id = "buffer-clamped"
    title = "the buffer is smaller than was asked for: the kernel cut it to its limit"
    covers = (28,)
    severity = "error"
    certainty = "certain"
    layers = ("calls", "kernel")
    sentence = (
        "setsockopt(SO_RCVBUF) succeeds whatever is asked, but the kernel grants at most net.core.rmem_max (SO_SNDBUF: "
        "net.core.wmem_max). It doubles the number for its own bookkeeping, so getsockopt shows twice what was granted."
    )
    symptoms = ("SO_RCVBUF has no effect", "receive buffer too small", "setsockopt SO_RCVBUF ignored", "rmem_max")
    proof = (
        "setsockopt asked for more than the sysctl allows, and the kernel's value afterwards is less than what was "
        "asked for. An error when datagrams were dropped at the socket; otherwise a note."
    )
    fix = "Raise net.core.rmem_max (wmem_max), or use SO_RCVBUFFORCE (SO_SNDBUFFORCE) with CAP_NET_ADMIN; check with getsockopt."
    disproof = "getsockopt shows twice what was asked for."
    references = ("socket(7)", "tcp(7)")
    needs = (Drops, Options, Settings)
    given = Options
    effects = ("receive-buffer-overflow",)

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        for option, name, limit in ((SO_RCVBUF, "SO_RCVBUF", "rmem_max"), (SO_SNDBUF, "SO_SNDBUF", "wmem_max")):
            call = facts[Options].call(subject, SOL_SOCKET, option)
            asked = call.option_number if call is not None else None
            if call is None or asked is None or asked <= 0:
                continue
            in_force = _granted(subject, call, option)
            if in_force is None or in_force // 2 >= asked:
                continue
            allowed = facts[Settings].number(subject.network, f"net.core.{limit}")
            if allowed is not None and in_force != 2 * allowed:
                # Forced to another size meanwhile, or not by this limit.
                continue
            lost = facts[Drops].of(subject).count if option == SO_RCVBUF and subject.udp else 0
            known = facts[Settings].proof(subject.network, f"net.core.{limit}")
            sample = subject.last
            yield Evidence(
                self,
                call.end_ns,
                f"{asked:,} bytes were asked for, {in_force // 2:,} granted (getsockopt shows {in_force:,}): "
                f"net.core.{limit} allows no more." + (f" {lost} datagrams found no room afterwards." if lost else ""),
                [
                    call.proof(f"call {call.call.id} setsockopt({name}, {asked})"),
                    *([sample.proof(f"buffer of {in_force} bytes")] if sample is not None else []),
                    *known,
                ],
                call=call.call,
                socket=subject.id,
                process=call.call.process,
                title=f"{name} is smaller than was asked for: the kernel cut it to net.core.{limit}",
                certainty="certain" if known else "strong",
                severity="error" if lost else "note",
            )


def _granted(socket: SocketFacts, call: CallFacts, option: int) -> int | None:
    """The size that a sample after the call shows, doubled as the kernel counts it."""
    for sample in (socket.last, socket.earlier):
        if sample is None or sample.at_ns < call.end_ns:
            continue
        raw = sample.options.get((SOL_SOCKET, option))
        if raw is not None and len(raw) == 4:
            return int.from_bytes(raw, "little")
        if sample.memory is not None:
            memory = sample.memory
            return memory.receive_buffer if option == SO_RCVBUF else memory.send_buffer
    return None
