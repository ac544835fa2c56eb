"""Who is told of samples: the conditions of ``on_sample``, each beside a tracker that is told of every one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.diagnose.story import MS, Story, pair
from wallsocket.diagnose.engine import Engine
from wallsocket.diagnose.rule import Rule
from wallsocket.diagnose.sample import Sample
from wallsocket.diagnose.subjects import SocketFacts
from wallsocket.diagnose.tracker import SocketTracker, on_sample, returned
from wallsocket.events import State

ESTABLISHED, CLOSE_WAIT, LISTEN = 1, 8, 10


class Kept:
    """Something."""


class Everything(SocketTracker[Kept]):
    """Notes what it is told, by the condition under which."""

    kept = Kept

    def __init__(self, facts: Any) -> None:
        super().__init__(facts)
        self.told: dict[str, list[int]] = {}

    def note(self, condition: str, sample: Sample) -> None:
        self.told.setdefault(condition, []).append(sample.id)

    @returned("sendto")
    def keeps(self, call: Any) -> None:
        self.keep(call.socket)

    @on_sample()
    def every(self, socket: SocketFacts, sample: Sample) -> None:
        self.note("every", sample)

    @on_sample(CLOSE_WAIT, LISTEN)
    def states(self, socket: SocketFacts, sample: Sample) -> None:
        self.note("states", sample)

    @on_sample(of="udp")
    def of(self, socket: SocketFacts, sample: Sample) -> None:  # type: ignore[override]
        self.note("of", sample)

    @on_sample(given=True)
    def given(self, socket: SocketFacts, sample: Sample) -> None:
        self.note("given", sample)

    @on_sample(between=True)
    def between(self, socket: SocketFacts, sample: Sample) -> None:
        self.note("between", sample)

    @on_sample(queued=True)
    def queued(self, socket: SocketFacts, sample: Sample) -> None:
        self.note("queued", sample)

    @on_sample(unacknowledged=True)
    def unacknowledged(self, socket: SocketFacts, sample: Sample) -> None:
        self.note("unacknowledged", sample)

    @on_sample(more=True)
    def more(self, socket: SocketFacts, sample: Sample) -> None:
        self.note("more", sample)

    @on_sample(changed=True)
    def changed(self, socket: SocketFacts, sample: Sample) -> None:
        self.note("changed", sample)


class Asks(Rule):
    """Needs it."""

    id = "asks"
    needs = (Everything,)


PLAIN: dict[str, Any] = {"moment": 1, "state": ESTABLISHED, "drops": 0}


@pytest.mark.parametrize(
    ("condition", "values"),
    [
        ("states", {"state": CLOSE_WAIT}),
        ("states", {"state": LISTEN}),
        ("between", {"moment": 2}),
        ("queued", {"receive": 1}),
        ("more", {"local": b"\x02\x00\x00\x50\x7f\x00\x00\x01" + bytes(8)}),
        ("more", {"remote": b"\x02\x00\x00\x50\x7f\x00\x00\x01" + bytes(8)}),
        ("more", {"options": b"\x01\x00\x02\x00\x00\x00"}),
        ("more", {"timer": 0}),
        ("unacknowledged", {"send": 1}),
        ("changed", {"drops": 1}),
        ("changed", {"state": 4}),
    ],
)
def test_a_sample_is_told_to_those_whose_condition_it_meets(condition: str, values: dict[str, Any]) -> None:
    story = Story()
    _, client = pair(story)
    first, again = story.state(client, **PLAIN), story.state(client, **PLAIN)
    other = story.state(client, **PLAIN | values)
    told = judged(story).told
    assert told["every"] == [first, again, other]
    # The first one of a socket is always a change.
    assert told.get(condition, []) == ([first, other] if condition == "changed" else [other])
    assert again not in [number for name, numbers in told.items() if name != "every" for number in numbers]


def test_samples_of_some_sockets_only() -> None:
    story = Story()
    _, client = pair(story)
    udp = story.socket(1, ("127.0.0.1", 53), None, type=2, protocol=17)
    before = story.state(client, **PLAIN)
    story.now += MS
    story.call("sendto", client, 1, length=1)
    story.now += MS
    after = story.state(client, **PLAIN)
    datagrams = story.state(udp, **PLAIN)
    told = judged(story).told
    assert told["every"] == [before, after, datagrams]
    assert told["given"] == [after]
    assert told["of"] == [datagrams]


def judged(story: Story) -> Everything:
    recording = story.recording()
    engine = Engine(recording, [Asks()])
    engine.feed(recording.events())
    engine.flush()
    return engine.facts[Everything]


def test_samples_of_calls_that_never_come_do_not_fill_the_memory() -> None:
    story = Story()
    _, client = pair(story)
    recording = story.recording()
    engine = Engine(recording, [Asks()])
    kind = State.__struct_fields__
    for start in range(0, 30_000, 10_000):
        rows = (
            dict.fromkeys(kind) | {"id": number, "socket": client, "at_ns": number * MS, "moment": 1, "call": number}
            for number in range(start, start + 10_000)
        )
        engine.feed(State(**row) for row in rows)
    assert len(engine._taken) <= 10_000
