"""Feeds trackers and asks rules: one ordered pass over the recording, each subject judged once.

:func:`diagnose` does it for a whole recording. :class:`Engine` can also be fed as the events come, so that a trace
prints a certain finding when it can no longer be refuted. Calls are handled where they returned, a little later than
that: the sample taken when a call returned is stamped after it.

A socket is judged when it has ended and its peer too, and then forgotten; what lives at the end of the recording is
judged then, like all that is no socket. So memory follows what lives, and each event costs the trackers that asked for it.
"""

from __future__ import annotations

import gc
import heapq
from bisect import bisect_left
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, Protocol, TypeAlias

from ..events import Call, Counter, Fact, Mark, Moment, Packet, Socket, State
from ..trace.sightings import Sightings, for_many
from ..trace.syscalls import names
from ..trace.verdict import duration
from ..trace.wire import plain, segment
from .address import Address, address_of
from .audience import Audiences, Handler, kind_of_sample
from .call import CallFacts
from .facts import Facts, Tables
from .finding import CannotTell, Diagnosis, Finding
from .ranking import Ranking
from .rule import Evidence, Healthy, Judgement, Rule
from .rules import all_rules, picture_rules
from .sample import Sample
from .subjects import Connection, Host, Kind, ProcessFacts, SocketFacts, Thread
from .symptoms import judged
from .tracker import Tracker
from .trackers.destinations import Destinations
from .trackers.flows import Flow, Flows
from .trackers.lines import Lines
from .trackers.peers import Peers
from .trackers.set_up import SetUp
from .trackers.sockets import Sockets
from .trackers.symptoms import Symptoms
from .trackers.waits import Waits
from .vocabulary import LISTEN

__all__ = ["Engine", "Source", "diagnose"]

Event: TypeAlias = Call | State | Packet | Counter | Fact | Mark

#: A sample is taken while its thread stands still at the call's return: within this time of it.
_SAMPLE_LAG_NS = 20_000_000
#: How long after its end a socket is judged: its last samples and the rows about its end have come by then (the recorder
#: writes every 250 ms, and the tracer reads counters a few times a second).
_RETIRE_NS = 1_000_000_000
#: Of a program that ends more sockets than these meanwhile the oldest are judged earlier: memory must not follow its speed.
_ENDED = 500
_RETIRE_EARLY_NS = 100_000_000
#: How long after its end a socket is looked at for what is told while a trace runs.
_TELL_NS = 600_000_000
#: Objects after which Python collects those of them that are garbage: a socket that lives holds some thousand at most.
_COLLECT_ANYHOW = 1_000_000
#: Events that may come before some are handled, whatever times they have.
_QUEUE = 200_000
#: Calls that are yet to come whose samples are kept.
_EARLY = 10_000
#: Threads that are remembered as met.
_THREADS = 100_000
#: Cases that are kept; later ones of the same rule are only counted.
_MAX_CASES = 10_000

#: Who knows the subjects of a kind; sockets are known to all.
_KNOWS: dict[Kind, tuple[type[Tracker], ...]] = {
    "listener": (SetUp,),
    "connection": (Peers,),
    "destination": (Destinations,),
    "line": (Lines,),
    "thread": (Waits,),
}


class Source(Tables, Protocol):
    """A whole recording."""

    def events(self) -> Iterable[Event]:
        """Everything that has a time, in the order of time."""


def diagnose(recording: Source, rules: Sequence[Rule] | None = None) -> Diagnosis:
    """Judge a recording that has ended, or the part of it that exists.

    Raises:
        RecordingError: the recording is damaged.

    """
    with _few_collections():
        engine = Engine(recording, rules)
        engine.feed(recording.events())
        return engine.conclude()


@contextmanager
def _few_collections() -> Iterator[None]:
    """Collect cycles seldom: a pass makes millions of short-lived objects, and cycles only where a socket is retired.

    By default a third of the time of a long pass goes there (measured 2026-11 with CPython 3.11). What was there before
    is left out of the collections.
    """
    before = gc.get_threshold()
    gc.set_threshold(max(before[0], _COLLECT_ANYHOW) if before[0] else 0, *before[1:])
    frozen = gc.get_freeze_count() > 0
    if not frozen:
        gc.freeze()
    try:
        yield
    finally:
        gc.set_threshold(*before)
        if not frozen:
            gc.unfreeze()


class Engine:
    """Takes events in order of time and says what the rules find."""

    def __init__(self, tables: Tables, rules: Sequence[Rule] | None = None) -> None:
        self.facts = Facts(tables)
        unfit = "no" if self.facts.pictures else "only"
        imported = self.facts.imported
        rules = rules or (picture_rules() if self.facts.pictures else all_rules())
        self.rules: Sequence[Rule] = [
            rule for rule in rules if rule.pictures != unfit and (imported or rule.subject != "flow")
        ]
        self._by_kind: dict[Kind, list[Rule]] = {}
        for rule in self.rules:
            self._by_kind.setdefault(rule.subject, []).append(rule)
        needed = [kind for rule in self.rules for kind in (*rule.needs, *([rule.given] if rule.given else ()))]
        needed += [kind for subject in self._by_kind for kind in _KNOWS.get(subject, ())]
        needed += [Flows] if imported else []
        self._hear(self.facts.start([Sockets, Peers, SetUp, Symptoms, *needed]))
        # Rules about sockets: those that are always asked, and by the place of the tracker that must keep something.
        self._asked: dict[Kind, tuple[list[Rule], dict[int, list[Rule]]]] = {}
        for subject, rules_ in self._by_kind.items():
            given: dict[int, list[Rule]] = {}
            for rule in rules_:
                if rule.given is not None:
                    given.setdefault(self.facts[rule.given].place, []).append(rule)
            self._asked[subject] = ([rule for rule in rules_ if rule.given is None], given)
        self.sockets = self.facts[Sockets]
        self._peers = self.facts[Peers]
        self._flows = self.facts[Flows] if imported else None
        self._by_wire = [rule for rule in self.rules if rule.by_wire] if imported else []
        # events on their way
        self._open: dict[int, CallFacts] = {}  # calls that wait
        self._taken: dict[int, list[Sample]] = {}  # samples of calls that have not been handled
        self._queue: list[tuple[int, int, int, Any]] = []  # (time, rank, number, what), sorted when it is handled
        self._due_ns = 0  # when the queue is handled next
        self._number = 0
        self._settle_by = _QUEUE
        self._counter_rows = 0
        # ends of sockets: (when, id) of those that are known, of those that have come, and the latest that was judged
        self._ends: list[tuple[int, int]] = []
        self._ended: deque[tuple[int, int]] = deque()
        self._judged_ns = -1
        # while a trace runs: sockets that ended and were not looked at, and cases of retired ones that were not told
        self._live = False
        self._fed_ns = 0
        self._untold: list[tuple[int, int]] = []
        self._fresh: list[list[Evidence]] = []
        # judgements
        self._cases: list[Evidence] = []
        self._wire_cases: list[Evidence] = []  # by frames alone: they stand though a layer of their rule is missing
        self._of_both: list[tuple[frozenset[Address | None], Evidence]] = []  # by frames, of ends whose calls are known
        self._more: dict[str, int] = {}
        self._healthy: list[Healthy] = []
        self._open_questions: dict[str, CannotTell] = {}
        self._told: set[tuple[str, int | None, int | None]] = set()

    def _hear(self, trackers: list[Tracker]) -> None:
        """Make the tables of handlers."""
        self._audiences = Audiences(trackers, names(self.facts.tables.meta.get("machine", "")))
        hooks: dict[str, list[Handler]] = {}
        self._any_packet: list[tuple[Tracker, str, Handler]] = []
        for tracker in trackers:
            for wish in tracker.wishes:
                handler = getattr(tracker, wish.method)
                hooks.setdefault(wish.kind, []).append(handler)
                if wish.kind == "packet" and wish.of is not None:
                    self._any_packet.append((tracker, wish.of, handler))
        self._failed = tuple(hooks.get("failed", ()))
        self._packets = tuple(hooks.get("packet", ()))
        self._sightings = Sightings()
        self._counters = tuple(hooks.get("counter", ()))
        self._facts = tuple(hooks.get("fact", ()))
        self._marks = tuple(hooks.get("mark", ()))
        self._threads = tuple(hooks.get("thread", ()))
        self._met: set[tuple[int, int]] = set()  # threads
        self._retiring = tuple(hooks.get("retire", ()))
        self.facts[Sockets].meeting = (*hooks.get("met", ()), self._note_end)
        self._ending = tuple(hooks.get("end", ()))

    # -- events

    def feed(self, events: Iterable[Event]) -> None:
        """Take the next events, in order of time (calls by entry or by return; a call may come again when it ends)."""
        queue, open_ = self._queue, self._open
        at_ns = self._fed_ns
        for event in events:
            if type(event) is Call:
                at_ns = event.entry_ns
                took = event.took_ns
                if took is None or took > _SAMPLE_LAG_NS or event.id in open_:
                    self._call(event)
                else:
                    # Of a short call the end says all.
                    self._number += 1
                    queue.append((at_ns + took, 2, self._number, event))
            else:
                at_ns = event.at_ns  # type: ignore[union-attr]
                item: Any = event
                if type(event) is State:
                    item = Sample.of(event)
                    if event.call is not None:
                        self._attach(event.call, item)
                self._number += 1
                queue.append((at_ns, 1, self._number, item))
            if self._due_ns <= at_ns:
                self._settle(at_ns)
            elif self._number >= self._settle_by:
                # So many at one time are not from a program: what waits must not fill the memory.
                self._settle(at_ns + _SAMPLE_LAG_NS)
        self._fed_ns = max(self._fed_ns, at_ns)

    def flush(self) -> None:
        """Handle what waits for later samples: no more will come, or the moment has to be judged now."""
        self._settle(None)

    def learn(self, rows: Iterable[Socket]) -> None:
        """Take rows of sockets that have come or changed while a trace runs."""
        self._live = True
        for row in rows:
            socket = self.sockets.get(row.id)
            if socket is not None:
                self._learn(socket, row)
            if row.ended_ns is not None:
                heapq.heappush(self._untold, (row.ended_ns + _TELL_NS, row.id))

    def _note_end(self, socket: SocketFacts) -> None:
        """A socket was met, or its row has changed."""
        if socket.ended_ns is not None:
            heapq.heappush(self._ends, (socket.ended_ns, socket.id))

    def _learn(self, socket: SocketFacts, row: Socket | None) -> None:
        if row is not None and row is not socket.row and row != socket.row:
            self.sockets.learn(socket, row)
            for tell in self.sockets.meeting:
                tell(socket)

    def _call(self, call: Call) -> None:
        known = self._open.get(call.id)
        took = call.took_ns
        if known is None:
            # While others happen it waits.
            known = self._open[call.id] = self._call_facts(call)
            known.begun = True
            self._push(call.entry_ns, 0, known)
        elif known.call.took_ns is not None:
            return
        known.call = call
        if took is not None:
            self._push(call.entry_ns + took, 2, known)

    def _call_facts(self, row: Call) -> CallFacts:
        call = CallFacts.of(row, self._audiences.names[row.number])
        if row.id in self._taken:
            for sample in self._taken.pop(row.id):
                call.take(sample)
        return call

    def _push(self, at_ns: int, rank: int, call: CallFacts) -> None:
        self._number += 1
        self._queue.append((at_ns, rank, self._number, call))

    def _attach(self, call: int, sample: Sample) -> None:
        known = self._open.get(call)
        if known is not None:
            known.take(sample)
        else:
            self._taken.setdefault(call, []).append(sample)

    def _settle(self, now_ns: int | None) -> None:
        """Handle the events that no earlier one can precede any more."""
        queue, facts, ends, ended = self._queue, self.facts, self._ends, self._ended
        queue.sort()
        count = len(queue) if now_ns is None else bisect_left(queue, (now_ns - _SAMPLE_LAG_NS + 1,))
        batch = queue[:count]
        del queue[:count]
        for at_ns, rank, _, item in batch:
            if at_ns > facts.now_ns:
                facts.now_ns = at_ns
                while ends and ends[0][0] <= at_ns:
                    ended.append(heapq.heappop(ends))
                if ended and ended[0][0] <= at_ns - (_RETIRE_NS if len(ended) <= _ENDED else _RETIRE_EARLY_NS):
                    self._retire(at_ns)
            kind = type(item)
            if kind is Call:
                call = self._call_facts(item)
                self._begin(call)
                self._end(call)
            elif kind is Sample:
                self._see_sample(item)
            elif kind is CallFacts:
                if rank == 0:
                    self._begin(item)
                else:
                    del self._open[item.call.id]
                    self._end(item)
            else:
                self._see(item)
        # Twice the time that has to be waited, so that half of the queue is handled at once.
        if queue:
            self._due_ns = queue[0][0] + 2 * _SAMPLE_LAG_NS
        self._settle_by = self._number + _QUEUE
        if now_ns is None:
            self._taken.clear()
        elif len(self._taken) > _EARLY:
            # Their calls were lost, or nobody made them.
            for number in list(islice(self._taken, len(self._taken) // 2)):
                del self._taken[number]

    def _begin(self, call: CallFacts) -> None:
        row = call.call
        number = row.socket
        audience = self._audiences.nobody
        if number is not None:
            socket = self.sockets.alive.get(number) or self.sockets.met(number, row.process)
            if socket is not None:
                call.socket = socket
                last = socket.last
                call.before = last if last is None or last.at_ns <= row.entry_ns else socket.earlier
                audience = socket.audience or self._audiences.of(socket)
        if call.thread not in self._met:
            self._meet(call.thread)
        for handler in audience.calls[row.number << 3 | call.begun]:
            handler(call)

    def _meet(self, thread: tuple[int, int]) -> None:
        if len(self._met) < _THREADS:
            self._met.add(thread)
        for handler in self._threads:
            handler(*thread)

    def _end(self, call: CallFacts) -> None:
        row = call.call
        call.returned(row)
        if row.made is not None and call.succeeded:
            self.sockets.met(row.made, row.process)
        socket = call.socket
        audience = self._audiences.nobody
        if socket is not None:
            if socket.retired:
                call.socket = None
            else:
                audience = socket.audience or self._audiences.of(socket)
        for handler in audience.calls[row.number << 3 | (6 if call.moved else 2) | call.begun]:
            handler(call)
        if call.errno is not None:
            for handler in self._failed:
                handler(call)

    def _see(self, item: Any) -> None:
        if type(item) is Packet:
            # What crossed to another host is told once; what goes to many arrives in each network for itself.
            if self._sightings.first(item) is not None and not for_many(item):
                return
            handlers: Iterable[Handler] = self._packets
            if plain(item):
                handlers = [handler for tracker, name, handler in self._any_packet if getattr(tracker, name)]
            if handlers:
                found = segment(item)
                for handler in handlers:
                    handler(item, found)
            if self._flows is not None and self._flows.done:
                self._judge_flows(self._flows.done)
                self._flows.done = []
        elif type(item) is Counter:
            self._counter_rows += 1
            for handler in self._counters:
                handler(item, self._counter_rows)
        elif type(item) is Fact:
            self.facts.see_fact(item)
            for handler in self._facts:
                handler(item)
        elif type(item) is Mark:
            if item.kind == "gap":
                self.facts.see_gap(item)
            for handler in self._marks:
                handler(item)

    def _see_sample(self, sample: Sample) -> None:
        sockets, state = self.sockets, sample.row
        socket = sockets.alive.get(state.socket)
        if socket is None:
            row = self.facts.tables.sockets.get(state.socket)
            socket = sockets.met(state.socket, row.process if row is not None else 0)
            if socket is None:
                return
        if state.local is not None or state.remote is not None:
            sockets.learn_ends(socket, state.local, state.remote)
        audience = socket.audience or self._audiences.of(socket)
        for handler in audience.samples[kind_of_sample(sample, socket.last)]:
            handler(socket, sample)
        if sample.moment != Moment.DESTROYED:
            socket.earlier, socket.last = socket.last, sample

    # -- the end of sockets

    def _retire(self, now_ns: int) -> None:
        """Judge and forget the sockets that ended, and whose peers did, so that memory does not grow."""
        ended = self._ended
        while ended and ended[0][0] <= now_ns - (_RETIRE_NS if len(ended) <= _ENDED else _RETIRE_EARLY_NS):
            ended_ns, number = ended.popleft()
            self._judged_ns = max(self._judged_ns, ended_ns)
            socket = self.sockets.get(number)
            if socket is None:
                continue
            peer = self._peers.of(socket)
            if peer is not None and (peer.ended_ns is None or peer.ended_ns > self._judged_ns):
                # Its peer's end brings it back.
                continue
            ends = [socket] if peer is None else [socket, peer]
            before = len(self._cases)
            self._judge_sockets(ends)
            if self._live:
                self._fresh.append(self._cases[before:])
            for one in ends:
                for handler in self._retiring:
                    handler(one)
                self.sockets.retire(one)

    # -- judgement

    def _judge_sockets(self, ends: Sequence[SocketFacts]) -> None:
        for socket in ends:
            self._ask("socket", socket, socket)
        listening = self._by_kind.get("listener")
        if listening:
            for socket in ends:
                last = socket.last
                if self.facts[SetUp].of(socket).listen is not None or (last is not None and last.state == LISTEN):
                    self._ask("listener", socket, socket)
        if "connection" in self._by_kind:
            accepted = [socket for socket in ends if socket.origin == "accept"]
            one = accepted[0] if accepted else ends[0]
            pair = Connection(one, next((socket for socket in ends if socket is not one), None))
            self._ask("connection", pair, *pair.ends)

    def _judge_living(self) -> None:
        """Everything that is still there at the end of the recording."""
        facts = self.facts
        pairs = "connection" in self._by_kind
        for socket in list(self.sockets.those(self.sockets.alive)):
            self._ask("socket", socket, socket)
            listening = self._by_kind.get("listener")
            last = socket.last
            if listening and (facts[SetUp].of(socket).listen or (last is not None and last.state == LISTEN)):
                self._ask("listener", socket, socket)
            if pairs:
                peer = self._peers.of(socket)
                if peer is None or (socket.origin == "accept", -socket.id) > (peer.origin == "accept", -peer.id):
                    pair = Connection(socket, peer)
                    self._ask("connection", pair, *pair.ends)
        for kind, subjects in self._others():
            for subject in subjects:
                self._ask(kind, subject)

    def _judge_flows(self, flows: Iterable[Flow]) -> None:
        """Conversations of which the wire alone is known; calls and kernel tell more of the others."""
        for flow in flows:
            for rule in self._by_wire:
                if flow.traced and self._missing(rule) is None:
                    if rule.subject == "flow" and len(self._of_both) < _MAX_CASES:
                        ends = frozenset(Address.of(*end) for end in flow.ends)
                        found = (one for one in rule.judge(self.facts, flow) if type(one) is Evidence)
                        self._of_both += [(ends, case) for case in found]
                    continue
                judged = rule.judge if rule.subject == "flow" else rule.judge_flow
                self._take(rule, judged(self.facts, flow), self._wire_cases)

    def _only_by_wire(self, cases: list[Evidence]) -> Iterator[Evidence]:
        """What frames alone tell of conversations whose calls are known, where no case is about one of their sockets."""
        if not self._of_both:
            return
        rows = self.facts.tables.sockets
        told: set[frozenset[Address | None]] = set()
        for number in {number for case in cases for number in case.subjects}:
            row = rows.get(number)
            if row is not None:
                told.add(frozenset((address_of(row.local), address_of(row.remote))))
        yield from (case for ends, case in self._of_both if ends not in told)

    def _others(self) -> Iterator[tuple[Kind, Iterable[Any]]]:
        facts = self.facts
        if "destination" in self._by_kind:
            yield "destination", list(facts[Destinations].all)
        if "line" in self._by_kind:
            yield "line", list(facts[Lines].all)
        if "thread" in self._by_kind:
            threads = facts[Waits].threads
            yield "thread", [Thread(process, tid) for process in sorted(threads) for tid in sorted(threads[process])]
        if "process" in self._by_kind:
            yield "process", (ProcessFacts(row.id, row.pid) for row in facts.tables.processes.values())
        if "host" in self._by_kind:
            yield "host", [Host()]

    def _ask(self, kind: Kind, subject: Any, *sockets: SocketFacts) -> None:
        """Ask the rules about a subject; ``sockets``: those that it consists of."""
        asked = self._asked.get(kind)
        if asked is None:
            return
        always, given = asked
        for rule in always:
            self._take(rule, rule.judge(self.facts, subject))
        if given:
            kept: Collection[int] = sockets[0].kept
            if len(sockets) > 1:
                kept = sockets[0].kept.keys() | sockets[1].kept.keys()
            # In the order of `given`, which is that of the rules.
            for place, rules in given.items():
                if place in kept:
                    for rule in rules:
                        self._take(rule, rule.judge(self.facts, subject))

    def _take(self, rule: Rule, results: Iterable[Judgement], cases: list[Evidence] | None = None) -> None:
        cases = self._cases if cases is None else cases
        facts, silent = self.facts, True
        facts.missed = None
        for result in results:
            silent = False
            if type(result) is Evidence:
                if len(cases) < _MAX_CASES:
                    cases.append(result)
                else:
                    self._more[rule.id] = self._more.get(rule.id, 0) + 1
            elif type(result) is CannotTell:
                self._open_questions.setdefault(result.rule, result)
            elif type(result) is Healthy and len(self._healthy) < _MAX_CASES:
                self._healthy.append(result)
        if silent and facts.missed is not None:
            self._open_questions.setdefault(rule.id, rule.cannot_tell("facts", facts.missed))

    def news(self) -> list[Finding]:
        """Certain findings that can no longer be refuted and were not told before; cheap when nothing happened."""
        self._settle(self._fed_ns)
        standing = [case for cases in self._fresh for case in Ranking(self.facts, cases, {}).standing()]
        found = [case for case in standing if case.rule.live]
        self._fresh.clear()
        untold = self._untold
        now_ns = self._fed_ns - _SAMPLE_LAG_NS
        while untold and untold[0][0] <= now_ns:
            _, number = heapq.heappop(untold)
            socket = self.sockets.get(number)
            if socket is None:
                continue
            cases = []
            for rule in self._by_kind.get("socket", ()):
                if rule.live:
                    cases += [one for one in rule.judge(self.facts, socket) if type(one) is Evidence]
            if cases:
                cases += self._more_specific(socket, {case.rule.id for case in cases})
                found += [case for case in Ranking(self.facts, cases, {}).standing() if case.rule.live]
        fresh = []
        for evidence in found:
            key = (evidence.rule.id, evidence.socket, evidence.call.id if evidence.call is not None else None)
            told = key in self._told or self._missing(evidence.rule) is not None
            if evidence.certainty == "certain" and not told:
                self._told.add(key)
                fresh.append(Ranking(self.facts, [], {}).finding(evidence, 1, None, len(self._told)))
        return fresh

    def _more_specific(self, socket: SocketFacts, general: set[str]) -> Iterator[Evidence]:
        """What the rules that supersede others, by their ids, say by now of a socket that has ended and of its peer."""
        peer = self._peers.of(socket)
        ends = [end for end in (socket, peer) if end is not None]
        one = next((end for end in ends if end.origin == "accept"), socket)
        subjects: dict[Kind, list[Any]] = {
            "socket": ends,
            "connection": [Connection(one, next((end for end in ends if end is not one), None))],
        }
        for kind, those in subjects.items():
            for rule in self._by_kind.get(kind, ()):
                if not rule.live and not general.isdisjoint(rule.supersedes):
                    for subject in those:
                        yield from (found for found in rule.judge(self.facts, subject) if type(found) is Evidence)

    def conclude(self) -> Diagnosis:
        """Everything that can be said of what was fed; the recording has ended."""
        self.flush()
        facts = self.facts
        facts.final = True
        for socket in self.sockets.alive.values():
            self._learn(socket, facts.tables.sockets.get(socket.id))
        meta = facts.tables.meta
        ended = meta.get("ended_ns", "")
        if ended.isdecimal() and len(ended) < 19:
            # Sockets may have been looked at later, when calls were no longer followed: no call waited until then.
            facts.now_ns = int(ended)
        for handler in self._ending:
            handler()
        self._judge_living()
        if self._flows is not None:
            self._judge_flows(self._flows.finish())
            for rule in self._by_wire:
                self._take(rule, rule.judge_wire(facts), self._wire_cases)
        missing = {rule.id: gone for rule in self.rules if (gone := self._missing(rule)) is not None}
        cases = [case for case in self._cases if case.rule.id not in missing] + self._wire_cases
        cases += self._only_by_wire(cases)
        for rule in self._by_wire:
            missing.pop(rule.id, None)
        ranking = Ranking(facts, cases, self._more)
        symptoms, not_judged, findings = ranking.ranked(facts[Symptoms], self._healthy, judged)
        found = {finding.rule for finding in findings}
        lost = {rule.id: gone for rule in self.rules if (gone := self._lost(rule)) is not None}
        questions = {**self._open_questions, **lost, **missing}
        # A question that another case answered is not open, and a superseded rule has been checked.
        cannot_tell = [questions[rule.id] for rule in self.rules if rule.id in questions and rule.id not in found]
        silent = {question.rule for question in cannot_tell}
        events_lost = meta.get("lost", "0")
        return Diagnosis(
            tuple(findings),
            tuple(rule.id for rule in self.rules if rule.id not in silent),
            tuple(cannot_tell),
            int(events_lost) if events_lost.isdecimal() and len(events_lost) < 19 else 0,
            facts.status(),
            "ended_ns" in meta,
            self._failure(),
            tuple(symptoms),
            tuple(not_judged),
        )

    def _failure(self) -> str | None:
        """Why the recorder could not write to the end, and the last moment that stands in the recording."""
        reason = self.facts.tables.meta.get("failure")
        return None if reason is None else f"cut off at {duration(self.facts.now_ns)}: {reason}"

    def _missing(self, rule: Rule) -> CannotTell | None:
        for layer in rule.layers:
            reason = self.facts.layer(layer)
            if reason is not None and not (layer == "calls" and self.facts.pictures):
                return CannotTell(rule.id, layer, reason)
        return None

    def _lost(self, rule: Rule) -> CannotTell | None:
        """What was recorded of a layer stands; that nothing was found in what was lost says nothing."""
        layers = (*rule.layers, "wire") if rule in self._by_wire else rule.layers
        for layer in layers:
            reason = self.facts.gap(layer)
            if reason is not None:
                return CannotTell(rule.id, layer, reason)
        return None
