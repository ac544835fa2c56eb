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
        "A thread waits in write on a pipe, and no thread of the processes that hold its reading end reads it; or two "
        "processes of one thread each wait to read from a pipe whose other end only the other one holds; or it waits to read "
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

    def _reads(self, facts: Facts, wait: PipeWait) -> Iterator[Judgement]:
        """Each of two processes waits for what only the other could write."""
        yield from self._left_open(facts, wait)
        if not wait.sole or wait.polls or len(wait.holders) != 1 or wait.holders[0].process is None:
            return
        waits, writer = facts[Waits], wait.holders[0]
        assert writer.process is not None
        call = waits.waiting[wait.process, wait.tid]
        back = [one for one in facts[Pipes].of_process(writer.process) if not one.writes and one.sole]
        ours = [one for one in back if [holder.process for holder in one.holders] == [wait.process]]
        alone = writer.process == wait.process
        if not alone and (
            not ours or (writer.process, ours[0].tid) not in waits.waiting or wait.process > writer.process
        ):
            return  # of the two the one with the lower number speaks
        if alone:
            why, title = (
                "only it holds the writing end: neither data nor the end can come, unless a signal handler writes there",
                "waits for the end of a pipe that it holds open itself",
            )
        else:
            other = waits.waiting[writer.process, ours[0].tid]
            why = f"only {writer} can write to it, and that waits in {other.name} for this one{_at(facts, ours[0])}"
            title = "each end is waiting for the other in read, on two pipes"
        # Of a pipe to itself a signal handler may be the writer.
        sure = wait.complete and not alone
        yield Evidence(
            self,
            call.entry_ns,
            f"{facts.who(wait.process)} waits in {call.name} on a pipe{_at(facts, wait)}: {why}.",
            [call.proof(), wait.proof(f"{wait.pipe}: its writing end is held by {writer} alone")],
            call=call.call,
            process=wait.process,
            severity="error" if sure else "note",
            title=title,
            certainty="strong" if sure else "hint",
        )


def _at(facts: Facts, wait: PipeWait) -> str:
    line = facts.line(facts[Waits].waiting[wait.process, wait.tid].call)
    return f" at {line}" if line else ""
