"""TCP_CORK or MSG_MORE holds the end of each message back."""

from __future__ import annotations

from collections.abc import Iterator

from ..call import CallFacts
from ..facts import Facts
from ..finding import Proof
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.options import Options
from ..trackers.peers import Peers
from ..trackers.reads import Reads
from ..trackers.writes import Writes
from ..vocabulary import IPPROTO_TCP, TCP_CORK

__all__ = ["CorkLeftOn"]

#: Linux sends what is corked after 200 ms at the latest (tcp(7)), less what the tracer's stops have taken.
_LEAST_NS = 150_000_000
_MOST_NS = 400_000_000
_MSG_MORE = 0x8000
_LATEST = 64


class CorkLeftOn(Rule):
    """TCP_CORK or MSG_MORE holds the end of each message back."""

    id = "cork-left-on"
    title = "about 200 ms per message: TCP_CORK is left on"
    covers = (67,)
    severity = "warning"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "TCP_CORK (and MSG_MORE for one call) says that more is coming: the kernel keeps a segment that is not full "
        "until it is, the cork is taken out, or 200 ms have passed. Left on, each message ends with this wait."
    )
    symptoms = ("200 ms latency", "TCP_CORK", "MSG_MORE", "tcp_nopush", "slow responses on localhost")
    proof = (
        "TCP_CORK was on, or the last write of a message had MSG_MORE; the traced peer waited and got its end about "
        "200 ms after it was written."
    )
    fix = (
        "Clear TCP_CORK after the last write of each message, leave MSG_MORE out there, or write the message with one "
        "call."
    )
    disproof = "The peer was busy elsewhere and read late."
    references = ("tcp(7)", "send(2)")
    needs = (Options, Peers, Reads, Writes)
    given = Writes

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        if not subject.tcp:
            return
        cork = facts[Options].call(subject, IPPROTO_TCP, TCP_CORK)
        if cork is not None and not cork.option_number:
            cork = None
        recent = list(facts[Writes].of(subject).recent)[-_LATEST:]
        corked = [
            call for call in recent if call.flags & _MSG_MORE or (cork is not None and call.entry_ns > cork.end_ns)
        ]
        if not corked:
            return
        peer = facts[Peers].of(subject)
        if peer is None:
            yield self.cannot_tell(
                "peer", "when the corked bytes arrived was not recorded: the other end was not traced"
            )
            return
        late = [(call, read) for call in corked if (read := self._late(facts, peer, call)) is not None]
        if not late:
            return
        write, read = late[0]
        wait_ns = read.end_ns - write.end_ns
        more = bool(write.flags & _MSG_MORE)
        rows: list[Proof] = [] if more or cork is None else [cork.proof(f"{cork.text()}: TCP_CORK on, never cleared")]
        rows += [write.proof(), read.proof(f"the peer's {read.text()}: {wait_ns / 1e6:.0f} ms after it was written")]
        yield Evidence(
            self,
            write.end_ns,
            f"The end of a message on {subject.name()} was written and arrived {wait_ns / 1e6:.0f} ms later, "
            f"{len(late)} "
            f"time{'s' if len(late) > 1 else ''}: "
            f"{'MSG_MORE said that more would come' if more else 'TCP_CORK was on and was not cleared'}.",
            rows,
            call=write.call if more or cork is None else cork.call,
            socket=subject.id,
            process=write.call.process,
            title="about 200 ms per message: the last write has MSG_MORE" if more else "",
            certainty="certain" if len(late) > 1 else "strong",
            severity="warning",
            subjects=frozenset({peer.id}),
            lost_ns=wait_ns,
        )

    @staticmethod
    def _late(facts: Facts, peer: SocketFacts, write: CallFacts) -> CallFacts | None:
        """The peer's read that got the end of a write late, though it waited for it."""
        if write.offset is None or not write.moved:
            return None
        end = write.offset + write.moved - 1
        for read in facts[Reads].of(peer).recent:
            if read.offset is not None and read.offset <= end < read.offset + read.moved:
                in_time = _LEAST_NS <= read.end_ns - write.end_ns <= _MOST_NS
                return read if in_time and (read.call.took_ns or 0) >= _LEAST_NS // 2 else None
        return None
