"""A line makes one socket after the other, uses each once, and closes none."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import ProcessFacts
from ..trackers.connections import ConnectionGroup, Connections
from ..trackers.polls import Polls
from ..trackers.waits import Waits

__all__ = ["SocketPileup"]

#: So many in a row are no pool.
_MANY = 10
#: What is not used for less may be used again.
_IDLE_NS = 1_000_000_000


class SocketPileup(Rule):
    """A line makes one socket after the other, uses each once, and closes none."""

    id = "socket-pileup"
    title = "sockets pile up: a new one for each use, and none is closed"
    covers = (95,)
    severity = "warning"
    certainty = "strong"
    layers = ("calls",)
    sentence = (
        "A socket lives until its last descriptor is closed. What is made for one use and kept costs a descriptor and "
        "memory here "
        "and, where it is connected, at the peer, until one of them has none left."
    )
    symptoms = (
        "too many open files",
        "file descriptor leak",
        "number of connections grows",
        "ESTAB grows",
        "ResourceWarning unclosed socket",
    )
    proof = (
        "Ten or more sockets made at one line for one destination, made one after the other when the one before had "
        "had its answer, or where nothing is answered at all, each used once, none used again, or closed before the "
        "program ended."
    )
    fix = "Close each when it is done (`with`, finally, defer), or keep one and use it again."
    disproof = "Each of them is wanted as long as the program runs: a subscription of its own, say."
    references = ("close(2)", "getrlimit(2)")
    subject = "process"
    needs = (Connections, Polls, Waits)
    effects = ("descriptor-limit",)

    def judge(self, facts: Facts, subject: ProcessFacts) -> Iterator[Judgement]:
        for (process, _, where), group in facts[Connections].all.items():
            if process != subject.id or len(group.abandoned) < _MANY or group.first is None:
                continue
            if (
                group.most_open * 10 < group.total * 8
                # Where nothing is ever answered, nobody waits for an answer.
                or (group.turns and group.overlaps > group.total // 10)
                or len(group.abandoned) * 10 < group.total * 8
            ):
                continue
            yield self._evidence(facts, group, str(where))

    def _evidence(self, facts: Facts, group: ConnectionGroup, where: str) -> Evidence:
        kept = list(group.abandoned.values())
        # Somebody who listens on it may have a use for it still.
        watched = sum(facts[Polls].of(one).event_loop or bool(facts[Waits].of(one).now) for one in kept)
        rows = []
        for socket in kept[:3]:
            used = facts[Connections].of(socket)
            if used.began is not None:
                rows.append(used.began.proof())
            if used.last is not None:
                rows.append(
                    used.last.proof(f"{used.last.text()}: the last use of socket {socket.id}, which was never closed")
                )
        first = facts[Connections].of(kept[0]).made or group.first
        assert first is not None
        unwatched = watched * 2 < len(kept) and group.idle_ns >= _IDLE_NS
        return Evidence(
            self,
            first.end_ns,
            f"{group.total} sockets to {where} were made one after the other in {group.took_ns / 1e9:.1f} s, each "
            "used once; "
            f"{group.closed} of them {'was' if group.closed == 1 else 'were'} closed, up to {group.most_open} were "
            "open at once.",
            rows,
            call=first.call,
            socket=kept[0].id,
            process=first.call.process,
            certainty="strong" if unwatched else "hint",
            severity="warning" if unwatched else "note",
            subjects=frozenset(group.abandoned),
        )
