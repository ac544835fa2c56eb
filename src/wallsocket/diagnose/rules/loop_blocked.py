"""A loop that serves several sockets stands still in something else while they wait."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..finding import Proof
from ..rule import Evidence, Judgement, Rule
from ..subjects import Thread
from ..trackers.loops import Gap, Loops, Waited

__all__ = ["LoopBlocked"]

#: What is worth a warning.
_LEAST_NS = 1_000_000_000


class LoopBlocked(Rule):
    """A loop that serves several sockets stands still in something else while they wait."""

    id = "loop-blocked"
    title = "the loop that serves all clients stands still while they wait"
    covers = (77,)
    severity = "warning"
    certainty = "strong"
    layers = ("calls", "kernel")
    sentence = (
        "One thread serves several sockets in turn. While it is in a call that blocks, or computes, or sleeps, it "
        "does not come "
        "back to its wait: bytes and new connections stand in their queues until it does."
    )
    symptoms = (
        "event loop blocked",
        "server hangs for all clients",
        "slow client blocks others",
        "asyncio slow callback",
        "one client at a time",
    )
    proof = (
        "Between two waits (epoll_wait, poll, select, accept) of one thread the kernel shows bytes or connections in "
        "the queue of "
        "a socket that the thread serves, for a second or more, and the thread took them right after."
    )
    fix = (
        "Keep calls that block out of the loop: await them, or give them to a thread; give each client of a serial "
        "server its own."
    )
    disproof = "The program left the socket out of its waits on purpose, to slow the peer down."
    references = ("epoll(7)", "poll(2)")
    subject = "thread"
    needs = (Loops,)

    def judge(self, facts: Facts, subject: Thread) -> Iterator[Judgement]:
        loops = facts[Loops]
        gaps = loops.gaps(subject)
        if not gaps:
            return
        gap, waited = max(((gap, one) for gap in gaps for one in gap.waited), key=lambda found: found[1].took_ns)
        if waited.took_ns < _LEAST_NS:
            return
        until_ns = gap.end.entry_ns if gap.end is not None else waited.until_ns
        took_ns = until_ns - gap.begin_ns
        longest = gap.longest
        call_ns = (longest.call.took_ns or 0) if longest is not None else 0
        rows: list[Proof] = [gap.begin.proof(f"{gap.begin.text()}: the thread left its wait")]
        if longest is not None and call_ns * 2 >= took_ns:
            call = longest
            on = f" on {longest.socket.name()}" if longest.socket is not None else ""
            doing = f"{longest.name}{on} took {call_ns / 1e9:.1f} s"
            rows.append(longest.proof(f"{longest.text()}: {call_ns / 1e9:.1f} s"))
        else:
            # What came right after the pause stands next to what caused it.
            known = (gap.after, gap.before) if gap.after is not None else (gap.before,)
            call = next((one for one in known if one is not None and facts.source(one.call) is not None), gap.before)
            doing = (
                f"it made no call on a socket for {gap.silent_ns / 1e9:.1f} s ({self._between(facts, gap)}): it "
                "slept, computed or waited elsewhere"
            )
            if gap.before is not gap.begin:
                rows.append(gap.before.proof(f"{gap.before.text()}: the last call before the pause"))
            if gap.after is not None:
                rows.append(gap.after.proof(f"{gap.after.text()}: the first one after it"))
        rows.append(waited.sample.proof(_what(waited)))
        if gap.end is not None:
            rows.append(gap.end.proof(f"{gap.end.text()}: the thread's next wait"))
        loop = loops.polls(subject)
        yield Evidence(
            self,
            waited.sample.at_ns,
            f"{_what(waited)} for {waited.took_ns / 1e9:.1f} s while the thread that serves it did something else: "
            f"{doing}.",
            rows,
            call=call.call,
            socket=waited.socket.id,
            process=subject.process,
            title=""
            if loop
            else "one client after the other: the next one waits until the thread is done with this one",
            certainty="strong" if loop else "hint",
            severity="warning" if loop or waited.took_ns > 2 * _LEAST_NS else "note",
            subjects=frozenset(one.socket.id for one in gap.waited),
            count=len(gaps),
            lost_ns=waited.took_ns,
        )

    @staticmethod
    def _between(facts: Facts, gap: Gap) -> str:
        here, there = facts.line(gap.before.call), facts.line(gap.after.call if gap.after is not None else None)
        if here and there and here != there:
            return f"between {here} and {there}"
        return f"after {here}" if here else "its place in the source is not known"


def _what(waited: Waited) -> str:
    count = waited.sample.receive_queue or 0
    if waited.connections:
        return f"{count} connection{'s' if count > 1 else ''} stood in the accept queue of {waited.where}"
    return f"{count} bytes stood in the receive queue of {waited.where}"
