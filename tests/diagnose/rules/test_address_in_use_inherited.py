"""Who has the address now: its maker, or a process that inherited it."""

from __future__ import annotations

import pytest

from tests.diagnose.story import IN_USE, MS, Story, inet


def story_of(*, origin: str = "fork", child_keeps: bool = True, maker_keeps: bool = False) -> Story:
    story = Story()
    maker, child = story.process("server"), story.process("sleep")
    first = story.socket(maker, None, None)
    story.call("bind", first, address=inet("127.0.0.1", 4567))
    story.call("listen", first, a=5)
    story.now += MS
    closed = None if child_keeps else story.now
    story.add("descriptor", child, 3, first, origin, story.now, closed, 0)
    if not maker_keeps:
        story.rows["descriptor"][0] = (*story.rows["descriptor"][0][:6], story.now, 1)
    story.now += MS
    second = story.socket(maker, None, None)
    call = story.call("bind", second, IN_USE, address=inet("127.0.0.1", 4567))
    entry = {"protocol": "tcp", "state": 10, "local": "127.0.0.1:4567", "remote": None}
    story.fact(call, "sockets", [{**entry, "pids": [{"pid": 1002, "command": "sleep"}]}])
    return story


def test_the_child_that_keeps_it_is_named() -> None:
    story = story_of()
    finding = story.diagnosis().findings[0]
    assert (finding.rule, finding.covers, finding.certainty) == ("address-in-use-inherited", (3,), "certain")
    assert "sleep (pid 1002) has it" in finding.why
    assert {proof.table for proof in finding.proof} == {"call", "descriptor", "fact"}
    assert len(story.diagnosis().findings) == 1


@pytest.mark.parametrize("more", [{"maker_keeps": True}, {"origin": "call"}, {"child_keeps": False}])
def test_else_it_is_not_inherited(more: dict[str, object]) -> None:
    assert not [rule for rule in story_of(**more).found() if rule.startswith("address-in-use-inherited")]  # type: ignore[arg-type]


@pytest.mark.parametrize(("became", "rule"), [(True, "address-in-use-inherited"), (False, "address-in-use-listener")])
def test_a_program_that_kept_the_port_over_its_own_exec(became: bool, rule: str) -> None:
    story = Story()
    server = story.process("server", pid=1002)
    first = story.socket(server, None, None)
    story.call("bind", first, address=inet("127.0.0.1", 4567))
    story.call("listen", first, a=5)
    if became:
        story.add("mark", story.now, server, 1002, "exec", '["server"]')
    story.now += MS
    second = story.socket(server, None, None)
    call = story.call("bind", second, IN_USE, address=inet("127.0.0.1", 4567))
    entry = {"protocol": "tcp", "state": 10, "local": "127.0.0.1:4567", "remote": None}
    story.fact(call, "sockets", [{**entry, "pids": [{"pid": 1002, "command": "server"}]}])
    assert [one.rule for one in story.diagnosis().findings] == [rule]
