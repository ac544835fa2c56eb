"""A thread waits for a name server that does not answer."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.polls import Polls
from ..trackers.waits import Waits
from ..vocabulary import POLL_CALLS, POLLIN, READS

__all__ = ["WaitsForNameServer"]

_DOMAIN = 53
_SLOW_NS = 500_000_000
_SILENT_NS = 1_000_000_000


class WaitsForNameServer(Rule):
    """A thread waits for a name server that does not answer."""

    id = "waits-for-name-server"
    title = "a name lookup waits for a DNS server that does not answer"
    covers = (24,)
    severity = "warning"
    certainty = "strong"
    layers = ("calls", "kernel")
    sentence = (
        "The resolver asks a name server by UDP and waits, by default 5 s, then asks the next one or again. A time limit "
        "for connecting does not limit the lookup before it."
    )
    symptoms = ("connect takes 5 seconds", "getaddrinfo hangs", "Temporary failure in name resolution")
    proof = (
        "A thread has waited for a second or more for a UDP socket connected to port 53, and nothing has come. In an "
        "event loop, where the time is not known, a hint."
    )
    fix = "Mend the list of name servers (/etc/resolv.conf), or shorten the resolver's time limit and attempts."
    disproof = "The answer comes a moment later: the server is only slow."
    references = ("resolv.conf(5)", "getaddrinfo(3)")
    pictures = "only"
    supersedes = ("no-time-limit-for-answer",)
    needs = (Polls, Waits)

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        last = subject.last
        if not subject.udp or subject.remote is None or subject.remote.port != _DOMAIN:
            return
        waits = facts[Waits]
        wait = next(
            (one for one in waits.of(subject).now.values() if one.name in READS or one.name in POLL_CALLS), None
        )
        if wait is None and facts[Polls].of(subject).epoll_events & POLLIN:
            yield from self._looped(facts, subject)
        if wait is None or last is None or last.receive_queue:
            return
        waited_ns = facts.now_ns - wait.entry_ns
        if waited_ns < _SLOW_NS:
            return
        silent = waited_ns >= _SILENT_NS
        yield Evidence(
            self,
            wait.entry_ns,
            f"{facts.who(wait.call.process)} {waits.doing(wait)}: the name server {subject.remote} has not answered for "
            f"{waited_ns / 1e9:.1f} s.",
            [wait.proof(), last.proof("nothing has come")],
            call=wait.call,
            socket=subject.id,
            process=wait.call.process,
            certainty="strong" if silent else "hint",
            severity="warning" if silent else "note",
        )

    def _looped(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        """The same in an event loop: how long ago it asked, or whether it only keeps the socket, is not known."""
        loops = [call for call in facts[Waits].waiting_in(subject.process) if facts[Polls].waits_for(subject, call)]
        last, earlier = subject.last, subject.earlier
        if not loops or last is None or last.receive_queue or earlier is None or earlier.receive_queue:
            return
        yield Evidence(
            self,
            last.at_ns,
            f"{facts.who(subject.process)} {facts[Waits].doing(loops[0])} and has a socket open to the name server "
            f"{subject.remote}, from which nothing has come for {(last.at_ns - earlier.at_ns) / 1e9:.1f} s.",
            [loops[0].proof(), last.proof("nothing has come")],
            call=loops[0].call,
            socket=subject.id,
            process=subject.process,
            certainty="hint",
            severity="note",
        )
