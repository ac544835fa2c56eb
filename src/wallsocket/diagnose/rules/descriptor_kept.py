"""A copy of the descriptor keeps the connection open."""

from __future__ import annotations

from collections.abc import Iterator

from ...events import Descriptor
from ..call import CallFacts
from ..facts import Facts
from ..finding import Proof
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.closing import Closing
from ..trackers.descriptors import Descriptors
from ..trackers.holders import Holders
from ..trackers.peers import Peers
from ..trackers.waits import LONG_WAIT_NS, Waits
from ..vocabulary import EPOLL_WAITS, POLL_CALLS, READS

__all__ = ["DescriptorKept"]

#: A child's descriptors are told a moment after the child.
_FORK_NS = 50_000_000


class DescriptorKept(Rule):
    """close() was called, and another process still has the socket open."""

    id = "descriptor-kept"
    title = "close() sent no FIN: another process has a copy of the descriptor open"
    covers = (59,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "A connection ends when its last descriptor is closed. A child made by fork, or a program started by exec, "
        "keeps what it inherited; as long as it does not close it the peer is not told."
    )
    symptoms = ("the client hangs after the answer", "the connection is not closed", "close has no effect", "no FIN")
    proof = (
        "One process was done with the socket, another one still had a descriptor of it that it never used afterwards, "
        "and the peer waited to read meanwhile."
    )
    fix = (
        "Close the copy in the process that does not need it; make descriptors close-on-exec (SOCK_CLOEXEC, close_fds)."
    )
    disproof = "The process that kept the descriptor used it later."
    references = ("fork(2)", "close(2)", "shutdown(2)")
    needs = (Closing, Descriptors, Holders, Peers, Waits)
    given = Holders

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        if not subject.stream or subject.origin not in ("accept", "socket", "socketpair"):
            return
        rows = facts[Descriptors].of(subject)
        if len({row.process for row in rows}) < 2 or facts[Closing].of(subject).shut.keys() & {1, 2}:
            return
        found = self._done_and_kept(facts, subject, rows)
        peer = facts[Peers].of(subject)
        if found is None or peer is None:
            return
        done_ns, closed, done_by, kept = found
        wait = self._waited(facts, peer, done_ns)
        if wait is None:
            return
        holder = facts.who(kept.process)
        how = {"fork": "inherited it by fork", "exec": "inherited it by exec"}.get(kept.origin, "has a copy")
        proof = [closed.proof()] if closed is not None else []
        proof.append(
            Proof(
                "calls",
                "descriptor",
                kept.id,
                kept.opened_ns,
                f"descriptor {kept.number} of {holder}: {how}, "
                + (
                    "still open"
                    if kept.closed_ns is None
                    else f"open for {(kept.closed_ns - done_ns) / 1e9:.1f} s more"
                ),
            )
        )
        proof.append(wait.proof(f"the peer's {wait.text()}"))
        yield Evidence(
            self,
            done_ns,
            f"{facts.who(done_by)} was done with {subject.name()}, but {holder} {how} and kept it without using it: the peer "
            "waited for more.",
            proof,
            call=closed.call if closed is not None else None,
            # Who inherits it may be told not to, where it is forked; who forks may close its own copy there.
            source=self._forked_at(facts, kept, done_by),
            socket=subject.id,
            process=kept.process,
            subjects=frozenset({peer.id}),
        )

    @staticmethod
    def _done_and_kept(
        facts: Facts, socket: SocketFacts, rows: list[Descriptor]
    ) -> tuple[int, CallFacts | None, int, Descriptor] | None:
        """When the last one who used it was done, its close, who that was, and the copy that outlived it."""
        seen = facts[Holders].of(socket)
        if not seen.used_ns:
            return None
        user = max(seen.used_ns, key=lambda process: seen.used_ns[process])
        own = [row for row in rows if row.process == user]
        if not own or any(row.closed_ns is None for row in own):
            return None
        done_ns = max(row.closed_ns or 0 for row in own)
        for row in rows:
            outlived = row.closed_ns is None or row.closed_ns - done_ns > LONG_WAIT_NS // 2
            if row.process != user and row.opened_ns < done_ns and outlived:
                return done_ns, seen.closed.get(user), user, row
        return None

    @staticmethod
    def _forked_at(facts: Facts, kept: Descriptor, done_by: int) -> int | None:
        """The line that made the second holder."""
        for process in (kept.process, done_by):
            row = facts.process(process)
            if row is not None and row.source is not None and row.started_ns >= kept.opened_ns - _FORK_NS:
                return row.source
        return None

    @staticmethod
    def _waited(facts: Facts, peer: SocketFacts, since_ns: int) -> CallFacts | None:
        """A read of the peer that went on for long after that."""
        waits = facts[Waits]
        seen = waits.of(peer)
        for call in (*seen.long, *seen.now.values()):
            reads = call.name in READS or call.name in POLL_CALLS or call.name in EPOLL_WAITS
            if reads and waits.until_ns(call) - max(since_ns, call.entry_ns) >= LONG_WAIT_NS // 2:
                return call
        return None
