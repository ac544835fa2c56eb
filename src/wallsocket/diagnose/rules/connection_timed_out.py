"""Data that nobody acknowledged any more."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ...trace.verdict import duration, ordinal
from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.errors import Errors
from ..trackers.flows import Flow
from ..trackers.options import Options
from ..trackers.reads import Reads
from ..trackers.writes import Writes
from ..vocabulary import READS, SO_KEEPALIVE, SOL_SOCKET, WRITES

__all__ = ["ConnectionTimedOut"]

#: On the wire: so often, and for so long, that it is no burst of loss.
_TIMES = 5
_LASTED_NS = 5_000_000_000


class ConnectionTimedOut(Rule):
    """An established connection ended with ETIMEDOUT."""

    id = "connection-timed-out"
    title = "the connection was given up: the peer no longer acknowledged anything"
    covers = (65,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "What is not acknowledged is sent again with growing pauses, by default for about 15 minutes (tcp_retries2), or for "
        "TCP_USER_TIMEOUT; keep-alive probes that nobody answers end an idle connection. Then calls give ETIMEDOUT."
    )
    symptoms = ("connection timed out", "ETIMEDOUT", "[Errno 110]", "hangs for 15 minutes, then fails")
    proof = "recv or send on a connection that had carried data failed with ETIMEDOUT."
    fix = (
        "Find out why the host is silent (gone, a firewall that forgot the flow); set TCP_USER_TIMEOUT to be told "
        "earlier."
    )
    disproof = "The peer was reachable all the time."
    references = ("tcp(7)", "RFC 9293 3.8.3", "RFC 5482")
    needs = (Errors, Options, Reads, Writes)
    given = Errors
    live = True

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        failed = facts[Errors].first(subject, (errno.ETIMEDOUT,), frozenset({*READS, *WRITES}))
        reads, writes = facts[Reads].of(subject), facts[Writes].of(subject)
        if failed is None or not subject.tcp or not (reads.bytes or writes.bytes):
            return
        sample = failed.exit or failed.entry or failed.before
        info = sample.info if sample is not None else None
        rows = [failed.proof()]
        why = f"{failed.text()}: the other end of {subject.name()} had stopped acknowledging."
        sent = writes.last
        heard = reads.last
        if sent is not None and (heard is None or heard.end_ns < sent.entry_ns):
            why += (
                f" The last bytes were written {(failed.end_ns - sent.end_ns) / 1e9:.1f} s before and never answered."
            )
            rows.append(sent.proof())
        elif facts[Options].number_set(subject, SOL_SOCKET, SO_KEEPALIVE):
            why += " Nothing was on the way: the keep-alive probes were not answered."
        if sample is not None and info is not None and info.total_retransmitted_segments:
            rows.append(sample.proof(f"{info.total_retransmitted_segments} segments were sent again"))
        yield Evidence(self, failed.end_ns, why, rows, call=failed.call, socket=subject.id, process=failed.call.process)

    def judge_flow(self, facts: Facts, flow: Flow) -> Iterator[Judgement]:
        if not flow.tcp or not flow.established or not flow.whole_capture:
            return
        for side in (0, 1):
            half, other = flow.halves[side], flow.halves[1 - side]
            stuck = half.stuck
            if stuck is None or stuck.times < _TIMES or other.reset is not None or other.heard_ns > stuck.first.at_ns:
                continue
            lasted_ns = stuck.last.at_ns - stuck.first.at_ns
            if other.heard_ns < 0 or lasted_ns < _LASTED_NS:
                continue
            yield Evidence(
                self,
                stuck.last.at_ns,
                f"{flow.name(side)} sent {stuck.length} bytes {stuck.times} times again in {duration(lasted_ns)}, and nothing came "
                f"from {flow.name(1 - side)} any more.",
                [stuck.first.proof("data sent again"), stuck.last.proof(f"for the {ordinal(stuck.times)} time")],
                socket=flow.socket(side),
                certainty="strong",
                title="the peer acknowledges nothing any more",
                subjects=flow.subjects,
                where=flow.name(1),
            )
