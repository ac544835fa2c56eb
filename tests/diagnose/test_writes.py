"""Writes are kept as long as a rule may ask about them."""

from __future__ import annotations

from collections.abc import Iterator

from wallsocket.diagnose import diagnose
from wallsocket.diagnose.facts import Facts
from wallsocket.diagnose.rule import Judgement, Rule
from wallsocket.diagnose.subjects import SocketFacts
from wallsocket.diagnose.trackers.writes import Writes

from .story import Story, pair


class _Kept(Rule):
    """Notes how many writes are kept of each socket."""

    id = "kept"
    layers = ()
    needs = (Writes,)

    def __init__(self) -> None:
        self.of: dict[int, int] = {}

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        self.of[subject.id] = len(facts[Writes].of(subject).recent)
        return iter(())


def _kept(story: Story) -> dict[int, int]:
    rule = _Kept()
    diagnose(story.recording(), [rule])
    return rule.of


def test_what_the_peer_has_read_long_ago_is_let_go_and_what_it_has_not_read_is_kept() -> None:
    story = Story()
    server, client = pair(story)
    for _ in range(500):
        story.call("sendto", client, 10, length=10)
        story.call("recvfrom", server, 10, length=100)
    assert _kept(story)[client] < 200
    for _ in range(400):
        story.call("sendto", client, 10, length=10)
    assert 400 <= _kept(story)[client] < 600


def test_a_read_that_took_many_writes_keeps_them() -> None:
    story = Story()
    server, client = pair(story)
    for _ in range(600):
        story.call("sendto", client, 10, length=10)
    story.call("recvfrom", server, 6000, length=10_000)
    for _ in range(70):
        story.call("sendto", client, 10, length=10)
    assert _kept(story)[client] == 670


def test_of_a_client_that_is_not_traced_the_latest_are_kept() -> None:
    story = Story()
    server = story.process("server")
    accepted = story.socket(server, ("127.0.0.1", 4567), ("192.0.2.1", 51000), origin="accept")
    for _ in range(500):
        story.call("sendto", accepted, 10, length=10)
    assert 64 <= _kept(story)[accepted] < 200
