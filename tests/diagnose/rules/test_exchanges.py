"""Nagle with several writes, at either end; who only needs its time."""

from __future__ import annotations

import pytest

from tests.diagnose.story import MS, Story, pair


def exchanges(writes: int, *, delay: int = 41 * MS, first_in_time: bool = True, times: int = 4) -> Story:
    """The client writes in pieces; the server reads the first at once and the rest when it was let go."""
    story = Story()
    server, client = pair(story)
    for _ in range(times):
        for number in range(writes):
            story.call("sendto", client, 10, length=10)
            if number == 0 and first_in_time:
                story.call("recvfrom", server, 10, length=100)
        rest = 10 * (writes - 1 if first_in_time else writes)
        story.call("recvfrom", server, rest, length=100, took=delay)
        story.call("sendto", server, 5, length=5)
        story.call("recvfrom", client, 5, length=100)
    return story


@pytest.mark.parametrize("writes", [2, 3, 7])
def test_any_number_of_writes(writes: int) -> None:
    finding = exchanges(writes).diagnosis().findings[0]
    assert (finding.rule, finding.certainty) == ("nagle-delayed-ack", "certain")
    assert f"10 and {10 * (writes - 1)} bytes" in finding.why


@pytest.mark.parametrize("case", [{"delay": 5 * MS}, {"first_in_time": False}])
def test_a_peer_that_needs_its_time_is_not_the_kernel(case: dict[str, int]) -> None:
    assert exchanges(3, **case).found() == []


def test_what_tracing_may_have_added_is_withheld() -> None:
    story = exchanges(2)
    story.meta["added_ns_per_call"] = str(25 * MS)
    assert story.found() == []


def reader(times: int = 5, gap: int = 41 * MS) -> Story:
    story = Story()
    server = story.socket(story.process(), ("10.0.0.1", 80), ("10.0.0.2", 51000), origin="accept")
    for _ in range(times):
        story.call("recvfrom", server, 10, length=100)
        story.call("recvfrom", server, 20, length=100, took=gap)
        story.call("sendto", server, 5, length=5)
    return story


def test_the_reader_alone_has_a_hint() -> None:
    assert reader().found() == ["nagle-delayed-ack hint note"]
    assert reader(times=2).found() == []
    assert reader(gap=100 * MS).found() == []
