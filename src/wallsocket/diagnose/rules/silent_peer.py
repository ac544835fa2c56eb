"""A thread waits for a peer that says nothing, and nothing will wake it."""

from __future__ import annotations

from collections.abc import Iterator

from ...events import Process
from ..call import CallFacts
from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..sample import Sample
from ..subjects import SocketFacts
from ..trackers.options import Options
from ..trackers.peers import Peers
from ..trackers.polls import Polls
from ..trackers.reads import Reads
from ..trackers.stalls import Stalls
from ..trackers.unix_names import name_of
from ..trackers.waits import LONG_WAIT_NS, Waits
from ..trackers.writes import Writes
from ..vocabulary import EPOLL_WAITS, ESTABLISHED, POLL_CALLS, POLLIN, READS, SO_KEEPALIVE, SO_RCVTIMEO, SOL_SOCKET

__all__ = ["SilentPeer"]

_LEAST_MS = 10_000
#: Who has asked waits for an answer: that is noted sooner.
_ANSWER_MS = 1_000
#: What a shell's users see of SIGHUP, SIGINT and SIGTERM (bash(1), EXIT STATUS).
_STOPPED = frozenset({129, 130, 143})


class SilentPeer(Rule):
    """A thread waits for a peer that says nothing, and nothing will wake it."""

    id = "silent-peer"
    title = "waits without a time limit for a peer that is silent"
    covers = (36, 64)
    severity = "note"
    certainty = "hint"
    layers = ("calls",)
    sentence = (
        "A blocking recv without a time limit ends only when the peer sends or closes. A peer that vanished without a "
        "word (power, cable, firewall) does neither, and without keepalive the kernel never asks."
    )
    symptoms = ("recv blocks for ever", "connection hangs", "no timeout", "half-open connection")
    proof = (
        "A thread is inside recv, nothing is queued, neither SO_RCVTIMEO nor SO_KEEPALIVE is set, and nothing has come "
        "for at least ten seconds. Or the program connected, was the last to send, and has waited for an answer for at "
        "least a second, in recv without a time limit or in an event loop."
    )
    fix = "Set a time limit for the wait, or SO_KEEPALIVE with short intervals."
    disproof = "The peer is alive and has nothing to say: then the wait is what it should be."
    references = ("recv(2)", "tcp(7)", "RFC 9293 3.8.4")
    pictures = "also"
    effects = ("peer-process-died",)
    needs = (Options, Peers, Polls, Reads, Stalls, Waits, Writes)

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        """Only an idle wait: whether the peer is gone, or will answer, cannot be seen from here."""
        last = subject.last
        if not facts.pictures:
            yield from self._recorded(facts, subject)
            return
        if not subject.connects or last is None or last.state != ESTABLISHED or last.receive_queue:
            return
        if subject.unix:
            yield from self._unix(facts, subject)
            return
        silent_ms = subject.silent_ms
        wait, looped = self._wait(facts, subject)
        if wait is None or silent_ms is None:
            return
        asked = subject.origin != "accept" and _asked(last)
        kept_alive = bool(facts[Options].in_force(subject, SOL_SOCKET, SO_KEEPALIVE))
        who = f"{facts.who(wait.call.process)} {facts[Waits].doing(wait)}"
        if asked and silent_ms >= _ANSWER_MS:
            limit = "no time limit of the loop is known" if looped else "the wait has no time limit"
            on = f", for {subject.name()}," if looped else ""
            yield self._evidence(
                subject,
                wait,
                f"{who}{on} and has asked {subject.remote}, which is silent: no answer has come for "
                f"{silent_ms / 1000:.1f} s, and {limit}.{self._there(facts, subject)}",
                "waits for an answer; the peer is silent",
            )
        elif not looped and not kept_alive and silent_ms >= _LEAST_MS:
            yield self._evidence(
                subject,
                wait,
                f"{wait.name} on {subject.name()} waits without a time limit; nothing has come for {silent_ms // 1000} s, "
                "and no keepalive asks whether the peer is there.",
                self.title,
            )

    def _unix(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        """Of a Unix socket the kernel does not say when something came last: only for how long the thread has waited."""
        wait, looped = self._wait(facts, subject)
        asked = subject.row is not None and name_of(subject.row.remote) is not None  # it has connected to a name
        if wait is None or looped:
            return
        waited_ns = facts.now_ns - wait.entry_ns
        if waited_ns < (_ANSWER_MS if asked else _LEAST_MS) * 1_000_000:
            return
        yield self._evidence(
            subject,
            wait,
            f"{facts.who(wait.call.process)} {facts[Waits].doing(wait)} and has for {waited_ns / 1e9:.1f} s, without a time "
            f"limit; nothing has come.{self._there(facts, subject)}",
            self.title,
        )

    def _recorded(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        """A client that waited for an answer when somebody ended it."""
        waits = facts[Waits]
        if not facts.final or not subject.tcp or subject.origin == "accept" or subject.remote is None:
            return
        process = facts.process(subject.process)
        if process is None or process.ended_ns is None or not _stopped(process):
            # Only who is stopped from outside waited for too long, as far as a run can tell.
            return
        asked = facts[Writes].of(subject).last
        heard = facts[Reads].of(subject)
        if asked is not None and heard.last is not None and heard.last.end_ns > asked.entry_ns:
            asked = None
        wait = next(
            (call for call in waits.unlimited(subject, READS) if call.name not in EPOLL_WAITS and waits.in_vain(call)),
            None,
        )
        if wait is None and asked is not None and facts[Polls].of(subject).event_loop:
            wait = facts[Stalls].loop_wait(subject)
        elif facts[Options].limited(subject, SO_RCVTIMEO):
            return
        if wait is None or heard.zero_last is not None:
            return
        if asked is None and facts[Options].on(subject, SOL_SOCKET, SO_KEEPALIVE):
            return
        since_ns = wait.entry_ns if asked is None else asked.end_ns
        waited_ns = process.ended_ns - since_ns
        if waited_ns < LONG_WAIT_NS or process.ended_ns - waits.until_ns(wait) > LONG_WAIT_NS:
            return
        how = f"ended by signal {process.signal}" if process.signal else f"ended with status {process.exit_code}"
        rows = [wait.proof(), facts.process_proof(process, how, since_ns)]
        if asked is not None:
            what = f"no answer came to {asked.text()}"
            rows.insert(0, asked.proof(f"{asked.text()}: asked"))
        else:
            what = "nothing came, the wait has no time limit, and no keepalive asks whether the peer is there"
        yield Evidence(
            self,
            since_ns,
            f"{facts.who(wait.call.process)} waited for {waited_ns / 1e9:.1f} s in {wait.name} on {subject.name()}, until a "
            f"signal ended it: {what}.",
            rows,
            call=wait.call,
            socket=subject.id,
            process=wait.call.process,
            certainty="hint",
            severity="note",
        )

    @staticmethod
    def _there(facts: Facts, subject: SocketFacts) -> str:
        """What the process at the other end does, when it was looked at."""
        peer = facts[Peers].of(subject)
        busy = next(iter(facts[Waits].waiting_in(peer.process)), None) if peer is not None else None
        return f" {facts.who(busy.call.process)} there {facts[Waits].doing(busy)}." if busy is not None else ""

    @staticmethod
    def _wait(facts: Facts, subject: SocketFacts) -> tuple[CallFacts | None, bool]:
        """The wait without a time limit for data of a socket, and whether it is that of an event loop."""
        waits = facts[Waits]
        limited = facts[Options].limited(subject, SO_RCVTIMEO)
        for call in waits.unlimited(subject, READS):
            if call.unfinished and (call.name in EPOLL_WAITS or not limited):
                return call, call.name in EPOLL_WAITS
        for call in waits.waiting_in(subject.process):
            # One that has waited longer than its time limit comes back to the same wait: it loops, as curl does.
            limit_ms = call.timeout_ms if call.name in POLL_CALLS else None
            if limit_ms is None or not 0 <= 2 * max(limit_ms, _ANSWER_MS) <= (subject.silent_ms or 0):
                continue
            if limit_ms >= 0 and any(socket is subject for socket, _ in facts[Polls].watched(call)):
                return call, True
        if not facts[Polls].of(subject).epoll_events & POLLIN:
            return None, True
        loops = [call for call in waits.waiting_in(subject.process) if call.name in EPOLL_WAITS]
        return (loops[0], True) if loops else (None, True)

    def _evidence(self, subject: SocketFacts, wait: CallFacts, why: str, title: str) -> Evidence:
        last, ago = subject.last, subject.silent_ms
        assert last is not None
        return Evidence(
            self,
            last.at_ns,
            why,
            [
                wait.proof(),
                last.proof("nothing to read" + (f", nothing received for {ago} ms" if ago is not None else "")),
            ],
            call=wait.call,
            socket=subject.id,
            process=wait.call.process,
            certainty="hint",
            severity="note",
            title=title,
        )


def _stopped(process: Process) -> bool:
    """Whether a signal ended a process, or it ended itself for one with a shell's status for it, as the JVM does."""
    return process.signal is not None or process.exit_code in _STOPPED


def _asked(sample: Sample) -> bool:
    """Whether data were sent after the last ones came."""
    info = sample.info
    if info is None or (info.bytes_acked or 0) <= 1:  # the SYN counts as one
        return False
    sent, received = info.last_data_sent_ms, info.last_data_received_ms
    return not info.bytes_received or (sent is not None and received is not None and sent < received)
