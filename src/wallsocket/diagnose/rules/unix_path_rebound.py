"""A Unix path that was taken away from its listener."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.unix_names import UnixNames

__all__ = ["UnixPathRebound"]


class UnixPathRebound(Rule):
    """A second program bound the path while the first still listened."""

    id = "unix-path-rebound"
    title = "the Unix path belongs to another listener now: this one can no longer be reached"
    covers = (155,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "A path leads to the socket that was bound to it last. To bind a path that exists the file must be removed first; if "
        "another server was alive behind it, it goes on listening and nobody reaches it any more."
    )
    symptoms = ("clients reach the wrong daemon", "the server gets no connections any more", "two instances")
    proof = "Two sockets were bound to one path and listened, and the first was open when the second bound it."
    fix = "Before removing the file try to connect to it, or hold a lock file; remove it only when nobody answers."
    disproof = "The first listener was closed before the second bind."
    references = ("unix(7)", "unlink(2)")
    needs = (UnixNames,)
    subject = "listener"

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        own = facts[UnixNames].of(subject)
        if own is None or own.name[:1] == b"\0":
            return
        for other in facts[UnixNames].on(own.name):
            if (
                other.bind.entry_ns <= own.bind.entry_ns
                or other.process == own.process
                or not own.lived(other.bind.entry_ns)
            ):
                continue
            if own.listen is None or own.listen.entry_ns > other.bind.entry_ns:
                continue
            ended = subject.ended_ns
            if ended is not None and ended - other.bind.end_ns < 1_000_000_000:
                # A hand-over: the old server takes its last connections and goes.
                continue
            first, second = facts.who(own.process), facts.who(other.process)
            yield Evidence(
                self,
                other.bind.end_ns,
                f"{second} bound the path while {first} listened on it: new clients reach {second} only.",
                [own.bind.proof(), own.listen.proof(), other.bind.proof()],
                call=other.bind.call,
                socket=subject.id,
                process=other.process,
                subjects=frozenset({other.id}),
            )
            return
