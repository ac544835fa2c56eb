"""The program asked for a reset."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ..facts import Facts
from ..finding import Proof
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.closing import Closing
from ..trackers.errors import Errors
from ..trackers.options import Options
from ..trackers.peers import Peers
from ..trackers.reads import Reads
from ..trackers.resets import Resets
from ..trackers.writes import Writes
from ..vocabulary import SO_LINGER, SOL_SOCKET

__all__ = ["LingerZero"]

_RESET = (errno.ECONNRESET, errno.EPIPE)


class LingerZero(Rule):
    """SO_LINGER with a time of 0 makes close() a reset."""

    id = "linger-zero"
    title = "close() resets the connection: SO_LINGER is set with a time of 0"
    covers = (54,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "With SO_LINGER on and a time of 0 close throws away what is not yet sent or not yet acknowledged and answers the peer "
        "with RST instead of FIN; what the peer has not read yet is lost for it, too."
    )
    symptoms = ("connection reset by peer", "ECONNRESET", "[Errno 104]", "the end of the answer is missing")
    proof = (
        "SO_LINGER was set to on with a time of 0, data had been written, the socket was closed, and bytes were not yet "
        "acknowledged or the peer was told ECONNRESET."
    )
    fix = "Leave SO_LINGER out. To end in order: shutdown(SHUT_WR), read to the end, close."
    disproof = "The option was set again before the close."
    references = ("socket(7)", "RFC 9293 3.10.5")
    needs = (Closing, Errors, Options, Peers, Reads, Resets, Writes)
    given = Options
    effects = ("write-after-peer-closed",)
    explains = _RESET

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        option = facts[Options].call(subject, SOL_SOCKET, SO_LINGER)
        closed = facts[Closing].last_close(subject)
        if option is None or not subject.tcp or not facts[Options].aborts(subject) or subject.ended_ns is None:
            return
        at_ns = closed.end_ns if closed is not None else subject.ended_ns
        if not facts[Writes].of(subject).bytes:
            # Nothing of ours can be lost: a probe, or an answer that was never begun.
            return
        harm: list[Proof] = []
        peer = facts[Peers].of(subject)
        told = facts[Errors].first(peer, _RESET) if peer is not None else None
        lacks = peer is not None and facts[Reads].of(peer).bytes < facts[Writes].of(subject).bytes
        if told is not None and told.end_ns >= at_ns and lacks:
            harm.append(told.proof(f"the peer's {told.text()}"))
        sample = closed.entry if closed is not None else None
        if sample is not None and sample.send_queue:
            harm.append(sample.proof(f"{sample.send_queue} bytes not acknowledged at the close"))
        reset = facts[Resets].first(subject.local, subject.remote, at_ns)
        rows = [option.proof(), *([closed.proof()] if closed is not None else []), *harm]
        if reset is not None:
            rows.append(reset)
        how = closed.text() if closed is not None else "the end of the process"
        yield Evidence(
            self,
            at_ns,
            f"{how} ended {subject.name()} with a reset, as SO_LINGER with a time of 0 asks for"
            + ("." if harm else "; nothing shows that anything was lost by it."),
            rows,
            call=option.call,
            socket=subject.id,
            process=option.call.process,
            severity="error" if harm else "note",
            subjects=frozenset({peer.id} if peer is not None else ()),
        )
