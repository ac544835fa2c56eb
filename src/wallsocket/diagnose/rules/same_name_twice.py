"""Two clients log in under one name, and each login ends the other's connection."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import ProcessFacts
from ..trackers.takeovers import Takeovers

__all__ = ["SameNameTwice"]

_LEAST = 3


class SameNameTwice(Rule):
    """Two clients log in under one name, and each login ends the other's connection."""

    id = "same-name-twice"
    title = "two clients log in under one name: each login ends the other's connection"
    covers = (123,)
    severity = "error"
    certainty = "strong"
    layers = ("calls",)
    sentence = (
        "A server that keeps one session for each name closes the older connection when the name logs in again. Two clients "
        "with one name then throw each other out, reconnect, and do so for ever."
    )
    symptoms = (
        "client reconnects in a loop",
        "session taken over",
        "MQTT client disconnected: already connected",
        "conflict: replaced by new connection",
    )
    proof = (
        "Three times or more the server read the same first bytes from a new connection, and then closed the older one that "
        "had begun with these bytes, was at rest, and was not answered any more; the one that was closed had done the same before."
    )
    fix = "Give each client a name (client id) of its own."
    disproof = "It is one client, which connects anew before it closes what it had."
    references = ("close(2)", "shutdown(2)")
    subject = "process"
    needs = (Takeovers,)
    effects = ("close-with-unread-data", "write-after-peer-closed", "connection-per-request", "connection-reset")

    def judge(self, facts: Facts, subject: ProcessFacts) -> Iterator[Judgement]:
        for found in facts[Takeovers].of_process.get(subject.id, {}).values():
            chain = sum(later.older == earlier.newer for earlier, later in pairwise(found))
            first = found[0]
            if len(found) < _LEAST or chain < _LEAST - 1 or first.protocol.received == "http":
                continue
            ends = [end for one in found for end in (one.older, one.newer)]
            logins = [one.asked for one in found if one.asked is not None]
            threads = {write.thread for write in logins}
            if len(threads) == 1:
                continue  # one client, which connects anew before it closes what it had
            peers = {peer for one in found for peer in one.peers}
            whose = (
                f" ({', '.join(facts.who(process) for process in sorted({one.call.process for one in logins})[:3])})"
            )
            shown = (logins[0] if logins else first.login).call
            yield Evidence(
                self,
                first.closed.end_ns,
                f"{len(found)} times a connection to {facts.who(subject.id)} began with the same {len(first.login.payload)} "
                f"bytes as one that stood open, and the server then closed the older one. The clients{whose * bool(logins)} "
                "throw each other out.",
                [row for one in found[:3] for row in (one.login.proof(), one.closed.proof())],
                call=shown,
                socket=first.older,
                process=shown.process,
                certainty="strong" if logins else "hint",
                severity="error" if logins else "note",
                subjects=frozenset(peers.union(ends)),
                count=len(found),
            )
