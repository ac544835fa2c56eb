"""What is said of a whole recording."""

from __future__ import annotations

import json

from wallsocket.diagnose.facts import Facts
from wallsocket.events import Fact

from .story import Story


def test_frames_may_be_there_of_one_network_and_missing_of_another() -> None:
    facts = Facts(Story(wire="needs CAP_NET_RAW").recording())
    refusal = "its network namespace cannot be entered: gone"
    for network, said in ((2, "yes"), (3, refusal)):
        facts.see_fact(Fact(network, 0, None, "wire", json.dumps(said), "start", network))
    assert facts.wire(2) is None
    assert facts.wire(3) == refusal
    # Of the tracer's own, and where nothing was said of one, it is as in the whole recording.
    assert facts.wire(None) == facts.wire(1) == facts.wire(4) == facts.layer("wire") == "needs CAP_NET_RAW"


def test_a_damaged_word_about_frames_is_no_yes() -> None:
    facts = Facts(Story(wire="yes").recording())
    facts.see_fact(Fact(1, 0, None, "wire", "[", "start", 2))
    assert facts.wire(2) == "not recorded"
