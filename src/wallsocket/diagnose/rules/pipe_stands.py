"""A thread waits on a pipe, and nobody at the other end will end the wait."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import ProcessFacts
from ..trackers.pipes import Pipes, PipeWait
from ..trackers.waits import Waits

__all__ = ["PipeStands"]

_LEAST_NS = 500_000_000


class PipeStands(Rule):
    """A thread waits on a pipe, and nobody at the other end will end the wait."""

    id = "pipe-stands"
    title = "waits to write to a pipe that nobody reads"
    covers = (157,)
    severity = "error"
    certainty = "strong"
    layers = ("calls", "kernel")
    sentence = (
        "A pipe holds 64 KiB. When nobody reads what a program logs or prints, its next write waits, and with it "
        "whatever the program should do: accept, answer, read."
    )
    symptoms = ("program hangs after some output", "subprocess.PIPE deadlock", "stuck in write to stdout")
    proof = (
        "A thread waits in write on a pipe, and no thread of the processes that hold its reading end reads it; or "
        "processes of one thread each wait to read from pipes whose writing ends only they hold; or it waits to read "
        "from a pipe whose writing end is held only by processes of its session that are no children of it or its parent."
    )
    fix = "Read both outputs of a child while it runs (communicate()), or send them to a file or to /dev/null."
    disproof = "The reader comes back and empties the pipe."
    references = ("pipe(7)", "write(2)")
    pictures = "only"
    subject = "process"
    needs = (Pipes, Waits)

    def judge(self, facts: Facts, subject: ProcessFacts) -> Iterator[Judgement]:
        for wait in facts[Pipes].of_process(subject.id):
            call = facts[Waits].waiting.get((wait.process, wait.tid))
            if call is None or facts.now_ns - call.entry_ns < _LEAST_NS:
                continue
            if not wait.writes:
                yield from self._reads(facts, wait)
            elif not wait.polls:
                yield from self._writes(facts, wait)

    def _writes(self, facts: Facts, wait: PipeWait) -> Iterator[Judgement]:
        waits, pipes = facts[Waits], facts[Pipes]
        call = waits.waiting[wait.process, wait.tid]
        others = [holder for holder in wait.holders if holder.process != wait.process]
        if not wait.complete and not others:
            return
        for holder in others:
            if holder.process is None or waits.runs(holder.process) or waits.loops(holder.process):
                return  # it may read in a moment
            if any(one.pipe == wait.pipe and not one.writes for one in pipes.of_process(holder.process)):
                return
        if others:
            reader = others[0]
            assert reader.process is not None
            busy = next(iter(waits.waiting_in(reader.process)), None)
            who = f"the reading end is held by {reader}" + (f", which {waits.doing(busy)}" if busy is not None else "")
        else:
            who = "only the process itself holds the reading end"
        yield Evidence(
            self,
            call.entry_ns,
            f"{facts.who(wait.process)} waits in {call.name} on a pipe{_at(facts, wait)} and has for "
            f"{(facts.now_ns - call.entry_ns) / 1e9:.1f} s: the pipe is full and nobody reads it; {who}.",
            [call.proof(), wait.proof(f"{wait.pipe}: {who}")],
            call=call.call,
            process=wait.process,
            certainty="strong",
            severity="warning",
        )

    def _left_open(self, facts: Facts, wait: PipeWait) -> Iterator[Judgement]:
        """What should end the pipe has ended, and a process that it has left behind keeps the writing end open."""
        pid = facts.pid(wait.process)
        family = {pid, wait.parent}
        if wait.limited or not wait.holders or any(holder.pid == pid for holder in wait.holders):
            return
        if any(
            holder.parent is None or holder.parent in family or holder.pid == wait.parent for holder in wait.holders
        ):
            return
        holder = wait.holders[0]
        # Of one session: it was started by what this process has started, not by another service.
        sure = all(one.session == wait.session for one in wait.holders)
        call = facts[Waits].waiting[wait.process, wait.tid]
        yield Evidence(
            self,
            call.entry_ns,
            f"{facts.who(wait.process)} waits in {call.name} for the end of a pipe{_at(facts, wait)} and has for "
            f"{(facts.now_ns - call.entry_ns) / 1e9:.1f} s: {holder} still has the writing end open, and is not its child"
            f"{'' if len(wait.holders) == 1 else f' (nor are {len(wait.holders) - 1} others)'}: a background process that "
            "a child has left behind.",
            [call.proof(), wait.proof(f"{wait.pipe}: its writing end is held by {holder}")],
            call=call.call,
            process=wait.process,
            severity="warning" if sure else "note",
            certainty="strong" if sure else "hint",
            title="waits for the end of a pipe that a background process keeps open",
            fix="Give background processes an output of their own (>/dev/null 2>&1), or wait for the child, not for the pipe.",
        )

    @staticmethod
    def _circle(facts: Facts, wait: PipeWait) -> dict[int, PipeWait]:
        """The processes of one thread that wait for what only they could write: this one, those it waits for, and so on.

        Empty: somebody else can write, or that is not known.
        """
        pipes, waits = facts[Pipes], facts[Waits]
        found: dict[int, PipeWait] = {}
        new = [wait]
        while new:
            one = new.pop()
            call = waits.waiting.get((one.process, one.tid))
            if call is None or not one.sole or one.polls or not one.holders or facts.now_ns - call.entry_ns < _LEAST_NS:
                return {}
            found[one.process] = one
            for process in {holder.process for holder in one.holders} - found.keys():
                there = [] if process is None else [each for each in pipes.of_process(process) if not each.writes]
                if not there:
                    return {}
                new.append(there[0])
        return found

    def _reads(self, facts: Facts, wait: PipeWait) -> Iterator[Judgement]:
        """Each of two processes waits for what only the other could write."""
        yield from self._left_open(facts, wait)
        circle = self._circle(facts, wait)
        if wait.process != min(circle, default=None):
            return  # of several the one with the lowest number speaks
        call = facts[Waits].waiting[wait.process, wait.tid]
        others = [other for process, other in circle.items() if process != wait.process]
        alone = not others
        if alone:
            why, title = (
                "only it holds the writing end: neither data nor the end can come, unless a signal handler writes there",
                "waits for the end of a pipe that it holds open itself",
            )
        else:
            who = " and ".join(
                f"{facts.who(other.process)}, which waits in {facts[Waits].waiting[other.process, other.tid].name}"
                f"{_at(facts, other)}"
                for other in others[:3]
            )
            why = f"only {who} for this one, can write to it"
            if len(others) > 1 or any(holder.process == wait.process for holder in wait.holders):
                why = f"nobody can write to it but {who}: they wait for each other"
            title = "each end is waiting for the other in read, on pipes"
        # Of a pipe to itself a signal handler may be the writer.
        sure = wait.complete and not alone
        yield Evidence(
            self,
            call.entry_ns,
            f"{facts.who(wait.process)} waits in {call.name} on a pipe{_at(facts, wait)}: {why}.",
            [call.proof(), *(one.proof(f"{one.pipe}: {_held(facts, one)}") for one in circle.values())],
            call=call.call,
            process=wait.process,
            severity="error" if sure else "note",
            title=title,
            certainty="strong" if sure else "hint",
        )


def _held(facts: Facts, wait: PipeWait) -> str:
    return f"its writing end is held by {', '.join(map(str, wait.holders))} alone"


def _at(facts: Facts, wait: PipeWait) -> str:
    line = facts.line(facts[Waits].waiting[wait.process, wait.tid].call)
    return f" at {line}" if line else ""
