"""Each end waits for the other."""

from __future__ import annotations

from collections.abc import Iterator

from ..call import CallFacts
from ..facts import Facts
from ..finding import Proof
from ..rule import Evidence, Judgement, Rule
from ..sample import Sample
from ..subjects import Connection, SocketFacts
from ..trackers.closing import ENDED_LATE_NS
from ..trackers.options import Options
from ..trackers.polls import Polls
from ..trackers.reads import Reads
from ..trackers.samples import Samples
from ..trackers.stalls import Stalls
from ..trackers.waits import LONG_WAIT_NS, Waits, while_waiting
from ..trackers.writes import Writes
from ..vocabulary import ACCEPTS, EPOLL_WAITS, LISTEN, POLL_CALLS, READS, SO_RCVTIMEO, SO_SNDTIMEO, WRITES

__all__ = ["BothWait"]

#: The kernel's timer that asks whether a closed window has opened.
_PROBE = 4
#: Queues that have not moved for so long stand.
_STILL_NS = 500_000_000
#: Between the last wait of an event loop and the end of its sockets.
_LAST_NS = 1_500_000_000


class BothWait(Rule):
    """Each end waits for the other."""

    id = "both-wait"
    title = "each end is waiting for the other"
    covers = (43, 44)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "When both programs wait in recv and nothing is on the way, or both in send and neither reads, no event can "
        "wake either of them: a deadlock over the network."
    )
    symptoms = ("program hangs", "deadlock", "both client and server block", "stuck in recv", "stuck in send")
    proof = (
        "Both ends of one connection are traced; each is inside a call without time limit for at least a second, both "
        "in recv with empty queues or both in send with unread data at both ends. Certain when each process has one "
        "thread and the sockets say that they have no time limit. Where the kernel was not asked: all that was sent had been "
        "read, or neither has read since."
    )
    fix = "Agree whose turn it is, and read while writing large data; give every wait a time limit."
    disproof = "Another thread or a signal lets one of them go on."
    references = ("recv(2)", "send(2)", "socket(7)")
    pictures = "also"
    supersedes = ("silent-peer", "slow-reader", "peer-does-not-read", "unread-data")
    effects = ("peer-process-died",)
    subject = "connection"
    needs = (Options, Polls, Reads, Samples, Stalls, Waits, Writes)

    def judge(self, facts: Facts, subject: Connection) -> Iterator[Judgement]:
        if not subject.one.connects:
            return
        found = False
        for kind, option in ((READS, SO_RCVTIMEO), (WRITES, SO_SNDTIMEO)):
            if subject.other is None:
                yield from self._alone(facts, subject.one, kind, option)
                continue
            for judgement in self._pair(facts, subject.one, subject.other, kind, option):
                found = True
                yield judgement
        if subject.other is not None and not found and not facts.pictures:
            yield from self._parked(facts, subject.one, subject.other)
        if facts.pictures and subject.other is not None:
            yield from self._full(facts, subject.one, subject.other)

    def _alone(self, facts: Facts, socket: SocketFacts, kind: frozenset[str], option: int) -> Iterator[Judgement]:
        if facts[Options].limited(socket, option) or socket.remote is None or not facts.final:
            return
        waiting = [wait for wait in facts[Waits].unlimited(socket, kind) if wait.unfinished]
        if waiting and facts[Waits].until_ns(waiting[-1]) - waiting[-1].entry_ns >= LONG_WAIT_NS:
            yield self.cannot_tell("peer", "the other end of a waiting connection was not traced")

    def _pair(
        self, facts: Facts, socket: SocketFacts, peer: SocketFacts, kind: frozenset[str], option: int
    ) -> Iterator[Judgement]:
        waits, options = facts[Waits], facts[Options]
        if options.limited(socket, option) or options.limited(peer, option):
            return
        pairs = [(a, b) for a in waits.unlimited(socket, kind) for b in waits.unlimited(peer, kind)]
        for mine, theirs in reversed(pairs):
            since_ns = max(mine.entry_ns, theirs.entry_ns)
            waited_ns = min(waits.until_ns(mine), waits.until_ns(theirs)) - since_ns
            here, there = while_waiting(mine), while_waiting(theirs)
            awaits = mine.name in EPOLL_WAITS or theirs.name in EPOLL_WAITS
            if awaits:
                # A loop wakes for other things: how long nothing came says for how long it has waited for this.
                waited_ns = min(socket.silent_ms or 0, peer.silent_ms or 0) * 1_000_000
            if waited_ns < LONG_WAIT_NS:
                continue
            if here is None or there is None:
                if facts.layer("kernel") is None or awaits or not self._still(facts, socket, peer, kind, since_ns):
                    continue
                here = there = None
            else:
                queues = [here.receive_queue or 0, there.receive_queue or 0]
                if any(queues) if kind is READS else not all(queues):
                    continue
            ends = (socket, mine, here), (peer, theirs, there)
            if awaits:
                yield self._resting(facts, *ends, waited_ns)
                return
            if facts.pictures and kind is READS and (third := self._may_send(facts, mine, theirs)) is not None:
                yield self._resting(facts, *ends, waited_ns, third)
                return
            if self._others(facts, mine, theirs):
                yield self.cannot_tell("threads", "both ends wait, but other threads of the programs may go on")
                return
            known = all(call.name in POLL_CALLS or options.limited(end, option) is False for end, call, _ in ends)
            yield self._evidence(facts, *ends, waited_ns, kind is READS, known)
            return

    @staticmethod
    def _still(facts: Facts, one: SocketFacts, other: SocketFacts, kind: frozenset[str], since_ns: int) -> bool:
        """Where nobody asked the kernel: whether calls say that nothing was on the way, or that neither end was read from."""
        if one.late or other.late or not one.tcp:
            return False
        for end, peer in ((one, other), (other, one)):
            wrote, read = facts[Writes].of(end), facts[Reads].of(peer)
            if any(call is not None and call.end_ns > since_ns for call in (wrote.last, read.last)):
                return False
            if kind is READS and wrote.bytes != read.bytes:
                return False
        return True

    def _full(self, facts: Facts, one: SocketFacts, other: SocketFacts) -> Iterator[Judgement]:
        """Both windows are closed: each end has more to send than fits, and leaves unread what the other has sent.

        One of them at least waits in send; the other may be an event loop that reads no more until it has written.
        """
        waits = facts[Waits]
        found: list[tuple[SocketFacts, CallFacts, Sample]] = []
        for socket in (one, other):
            last = socket.last
            if last is None or last.row.timer != _PROBE or not last.receive_queue or not last.send_queue:
                return
            if last.at_ns - facts[Samples].of(socket).quiet_since_ns < _STILL_NS:
                return
            now = waits.of(socket).now.values()
            call = next((call for call in now if call.name in WRITES), None) or next(iter(now), None)
            call = call or next(iter(waits.waiting_in(socket.process)), None)
            if call is None or call.name in READS:
                return
            found.append((socket, call, last))
        sends = [call.name in WRITES for _, call, _ in found]
        if any(sends) and not all(sends):
            since_ns = max(facts[Samples].of(socket).quiet_since_ns for socket in (one, other))
            yield self._evidence(facts, found[0], found[1], facts.now_ns - since_ns, False, False)

    def _parked(self, facts: Facts, one: SocketFacts, other: SocketFacts) -> Iterator[Judgement]:
        """An event loop waits at one end at least: it may be at rest, so that is a hint at most."""
        reads, writes = facts[Reads], facts[Writes]
        if one.late or other.late or not one.tcp:
            return
        if reads.of(one).bytes != writes.of(other).bytes or reads.of(other).bytes != writes.of(one).bytes:
            return
        for end, peer in ((one, other), (other, one)):
            zero = reads.of(end).zero_last
            if zero is not None and (peer.ended_ns is None or zero.end_ns + ENDED_LATE_NS < peer.ended_ns):
                return
        here, there = self._waits_at_end(facts, one), self._waits_at_end(facts, other)
        if here is None or there is None or not (here.name in EPOLL_WAITS or there.name in EPOLL_WAITS):
            return
        asks = [end for end, call in ((one, here), (other, there)) if call.name in READS and end.origin != "accept"]
        spoke = [call for end in (one, other) if (call := writes.of(end).last) is not None]
        if spoke and not asks:
            # Between two requests both ends of a kept connection wait.
            return
        waits = facts[Waits]
        since_ns = max(
            here.entry_ns, there.entry_ns, one.created_ns, other.created_ns, *(call.end_ns for call in spoke)
        )
        if min(waits.until_ns(here), waits.until_ns(there)) - since_ns < LONG_WAIT_NS:
            return
        name, place = _who(facts, here)
        _, peer_place = _who(facts, there)
        yield Evidence(
            self,
            since_ns,
            f"{place} and {peer_place} waited to receive on one connection to the end of the run, and "
            f"{'all that was sent had been read' if spoke else 'neither had sent a byte'}: each waits for the other, unless "
            "the connection is at rest.",
            [here.proof(f"{name}: {here.text()}"), there.proof(f"{facts.who(there.call.process)}: {there.text()}")],
            call=(there if there.name in READS else here).call,
            socket=(other if there.name in READS else one).id,
            process=(there if there.name in READS else here).call.process,
            certainty="hint",
            severity="note",
            title="both ends wait to receive",
            subjects=frozenset({one.id, other.id}),
        )

    @staticmethod
    def _waits_at_end(facts: Facts, socket: SocketFacts) -> CallFacts | None:
        """The wait for bytes of a socket, by a read without a limit or an event loop, in which its program was at its end."""
        waits = facts[Waits]
        for call in waits.unlimited(socket, READS):
            process = facts.process(call.call.process)
            if call.unfinished and call.name in READS and not facts[Options].limited(socket, SO_RCVTIMEO):
                return call if process is None or process.exit_code is None else None
        if not facts[Polls].of(socket).event_loop:
            return None
        found = facts[Stalls].loop_wait(socket)
        return (
            found
            if found is None or socket.ended_ns is None or waits.until_ns(found) + _LAST_NS >= socket.ended_ns
            else None
        )

    def _resting(
        self,
        facts: Facts,
        one: tuple[SocketFacts, CallFacts, Sample | None],
        other: tuple[SocketFacts, CallFacts, Sample | None],
        silent_ns: int,
        third: CallFacts | None = None,
    ) -> Evidence:
        """A deadlock, or a connection between two requests: there is an event loop, or a ``third`` thread, that may send."""
        names, rows = [], []
        for socket, call, sample in (one, other):
            name, place = _who(facts, call)
            names.append(place)
            what = "a task awaits it" if call.name in EPOLL_WAITS else call.text()
            rows.append(call.proof(f"{name}: {what}"))
            if sample is not None:
                rows.append(sample.proof(f"socket {socket.id}: nothing to read, nothing on the way out"))
        return Evidence(
            self,
            one[1].entry_ns,
            f"{names[0]} and {names[1]} have waited for {silent_ns / 1e9:.1f} s to receive on one connection, and both "
            "queues are empty: each waits for the other, unless the connection rests between two requests"
            + (f" (another thread of {facts.who(third.call.process)} {facts[Waits].doing(third)})." if third else "."),
            rows,
            call=one[1].call,
            socket=one[0].id,
            process=one[1].call.process,
            certainty="hint",
            severity="note",
            title="both ends wait to receive",
            subjects=frozenset({other[0].id}),
        )

    @staticmethod
    def _may_send(facts: Facts, mine: CallFacts, theirs: CallFacts) -> CallFacts | None:
        """Another thread that may wake and send; one that only waits for new connections does not."""
        waits, these = facts[Waits], {mine.thread, theirs.thread}
        for process in dict.fromkeys(process for process, _ in these):
            for call in waits.waiting_in(process):
                watched = [socket for socket, _ in facts[Polls].watched(call)] if call.name in POLL_CALLS else []
                accepts = call.name in ACCEPTS or any(_listens(socket) for socket in watched)
                if call.thread not in these and not accepts:
                    return call
        return None

    @staticmethod
    def _others(facts: Facts, mine: CallFacts, theirs: CallFacts) -> bool:
        """Whether a thread that made socket calls is known not to wait: it may send what the others wait for."""
        waits = facts[Waits]
        these = {mine.thread, theirs.thread}
        known = {(process, tid) for process, _ in these for tid in waits.threads.get(process, ())}
        return any(thread not in waits.waiting for thread in known - these)

    def _evidence(
        self,
        facts: Facts,
        one: tuple[SocketFacts, CallFacts, Sample | None],
        other: tuple[SocketFacts, CallFacts, Sample | None],
        waited_ns: int,
        reading: bool,
        limits_known: bool,
    ) -> Evidence:
        rows: list[Proof] = []
        names = []
        alone, more = True, ""
        for socket, call, sample in (one, other):
            name, place = _who(facts, call)
            names.append(place)
            rows.append(call.proof(f"{name}: {call.text()}"))
            if sample is not None:
                queued = f"{sample.receive_queue} bytes to read, {sample.send_queue or 0} on the way out"
                rows.append(sample.proof(f"socket {socket.id}: {queued}"))
            elif (read := facts[Reads].of(socket).last) is not None:
                rows.append(read.proof(f"{read.text()}: the last that it read"))
            alone &= len(facts[Waits].known_threads(call.call.process)) == 1
        first, second = (one, other) if one[1].entry_ns >= other[1].entry_ns else (other, one)
        if not facts.line(first[1].call) and facts.line(second[1].call):
            # Either end may give way: show the one whose line is known.
            first, second = second, first
        if reading:
            title = "each end is waiting for the other in recv"
            why = "both queues are empty" if one[2] is not None else "all that was sent had been read"
            more = next((text for end in (one, other) if (text := _only_heard(facts, *end))), "")
        else:
            title, why = "each end is waiting for the other in send", "both have unread data and neither reads"
        why += (
            ", and neither wait has a time limit" if limits_known else "; whether a time limit ends this is not known"
        )
        return Evidence(
            self,
            first[1].entry_ns,
            f"{names[0]} and {names[1]} waited for {waited_ns / 1e9:.1f} s on one connection: {why}.{more}",
            rows,
            call=first[1].call,
            socket=first[0].id,
            process=first[1].call.process,
            # That a send that does not come back waits for its reader, and not for the network, the queues say.
            certainty="certain" if alone and limits_known and (reading or one[2] is not None) else "strong",
            title=title,
            subjects=frozenset({second[0].id}),
        )


def _listens(socket: SocketFacts) -> bool:
    return socket.last is not None and socket.last.state == LISTEN


def _only_heard(facts: Facts, socket: SocketFacts, call: CallFacts, sample: Sample | None) -> str:
    """What an end lacks that was told something and has said nothing yet; empty: it has spoken, or that is not known."""
    if sample is None:
        heard, spoke = facts[Reads].of(socket).bytes, facts[Writes].of(socket).bytes > 0
    elif sample.info is not None:
        heard, spoke = sample.info.bytes_received or 0, (sample.info.bytes_acked or 0) > 1  # the SYN counts as one
    else:
        return ""
    if not heard or spoke:
        return ""
    return (
        f" {facts.who(call.call.process)} has received {heard} bytes and sent nothing: it waits for more of "
        "them (a delimiter, a length) or for the end of the stream, which only a shutdown or close of the other end gives."
    )


def _who(facts: Facts, call: CallFacts) -> tuple[str, str]:
    """The process that made a call, and the same with the line of it."""
    name = facts.who(call.call.process)
    line = facts.line(call.call)
    return name, f"{name} at {line}" if line else name
