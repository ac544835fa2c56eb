"""Order, joining, superseding, missing layers, memory: what the engine does with the rules' cases."""

from __future__ import annotations

import json
import random
import sys
from typing import Any

import pytest

from tests.diagnose.story import AGAIN, MS, REFUSED, S, Story, inet, pair
from wallsocket.diagnose import Engine, all_rules, diagnose
from wallsocket.diagnose.live import Watcher

TRACED = {rule.id for rule in all_rules() if rule.pictures != "only" and rule.subject != "flow"}


def letter(story: Story, **more: Any) -> tuple[int, int]:
    """The lecture's mistake: one recv of 1024 for a message of 3000 bytes, an answer, a close."""
    server, client = pair(story)
    line = story.source("/home/me/upper.py", 7)
    story.call("sendto", client, 3000, length=3000)
    story.call("recvfrom", server, 1024, length=1024, unread=3000, left=1976, source=line, **more)
    story.call("sendto", server, 1024, length=1024)
    story.call("close", server, unread=1976)
    story.counter("TcpExt.TCPAbortOnClose", 0, at=0)
    story.counter("TcpExt.TCPAbortOnClose", 1)
    story.call("recvfrom", client, -104, length=4096)
    return server, client


def test_the_effect_names_its_cause_and_comes_after_it() -> None:
    story = Story()
    letter(story)
    cause, effect = story.diagnosis().findings
    assert (cause.rule, cause.rank, cause.follows_from) == ("one-recv-per-message", 1, None)
    assert (effect.rule, effect.rank, effect.follows_from) == ("close-with-unread-data", 2, "one-recv-per-message")
    assert (cause.file, cause.line) == ("/home/me/upper.py", 7)
    assert cause.certainty == effect.certainty == "certain"
    assert "1024 of the 3000 bytes" in cause.why


def test_the_json_is_stable() -> None:
    story = Story()
    letter(story)
    *findings, summary = (json.loads(line) for line in story.diagnosis().json_lines())
    fields = [
        *("rule", "covers", "severity", "certainty", "title", "why", "fix", "follows_from"),
        *("process", "socket", "file", "line", "proof", "rank"),
    ]
    assert [list(finding) for finding in findings] == [fields, fields]
    assert findings[0]["process"] == {"pid": 1001, "command": "server"}
    assert findings[0]["socket"] == {"id": 1, "local": "127.0.0.1:4567", "peer": "127.0.0.1:51000"}
    assert findings[0]["covers"] == [39]
    for finding in findings:
        assert finding["proof"]
        for proof in finding["proof"]:
            assert list(proof) == ["layer", "table", "row", "at_ns", "text"]
            assert proof["layer"] in ("calls", "kernel", "wire")
    assert list(summary) == ["summary", "checked", "cannot_tell", "lost"]
    assert summary["summary"]["error"] == 2
    assert summary["summary"]["target_status"] == 0
    assert set(summary["checked"]) == TRACED
    assert summary["lost"] == 0


def test_every_proof_row_is_in_the_recording() -> None:
    story = Story()
    letter(story)
    for finding in story.diagnosis().findings:
        for proof in finding.proof:
            assert 1 <= proof.row <= len(story.rows[proof.table])


def test_a_more_specific_rule_silences_the_general_one() -> None:
    story = Story()
    server, client = story.process("server"), story.process("client")
    bound = story.socket(server, ("127.0.0.1", 4567), None)
    story.call("bind", bound, address=inet("127.0.0.1", 4567))
    story.call("listen", bound, a=5)
    tried = story.socket(client, None, None)
    call = story.call("connect", tried, REFUSED, address=inet("127.0.1.1", 4567))
    story.fact(call, "sockets", [])
    assert story.found() == ["loopback-only certain error"]


def test_a_missing_layer_is_said_and_not_passed_over() -> None:
    story = Story(kernel="pidfd_getfd is refused")
    server, client = pair(story)
    story.call("sendto", client, 10, length=10)
    story.call("recvfrom", server, 10, length=100)
    diagnosis = story.diagnosis()
    missing = {question.rule: question for question in diagnosis.cannot_tell}
    assert missing["edge-not-drained"].missing == "kernel"
    assert missing["edge-not-drained"].reason == "pidfd_getfd is refused"
    assert "edge-not-drained" not in diagnosis.checked
    assert "nobody-listens" in diagnosis.checked
    assert len(diagnosis.checked) + len(missing) == len(TRACED)


def test_an_empty_recording_has_no_finding_and_every_rule_was_checked() -> None:
    diagnosis = Story().diagnosis()
    assert diagnosis.findings == ()
    assert set(diagnosis.checked) == TRACED


def test_the_same_fault_at_one_line_is_one_finding() -> None:
    story = Story()
    server, client = story.process("server"), story.process("client")
    line = story.source("/home/me/upper.py", 7)
    for number in range(5):
        ends = ("127.0.0.1", 4567), ("127.0.0.1", 51000 + number)
        here = story.socket(server, *ends, origin="accept")
        there = story.socket(client, *reversed(ends))
        story.call("sendto", there, 3000, length=3000)
        story.call("recvfrom", here, 1024, length=1024, unread=3000, left=1976, source=line)
        story.call("sendto", here, 5, length=5)
        story.call("close", here, unread=1976)
    causes = [finding for finding in story.diagnosis().findings if finding.rule == "one-recv-per-message"]
    assert len(causes) == 1
    assert "4 other times" in causes[0].why


def test_independent_causes_are_ordered_by_certainty_then_severity() -> None:
    story = Story()
    letter(story)
    client = story.process("other")
    tried = story.socket(client, None, None)
    story.call("connect", tried, REFUSED, address=inet("127.0.0.1", 9))  # the host was not asked: strong
    rules = [(finding.rank, finding.rule) for finding in story.diagnosis().findings]
    assert rules == [(1, "one-recv-per-message"), (2, "close-with-unread-data"), (3, "nobody-listens")]


def test_samples_that_are_stamped_after_the_call_belong_to_it() -> None:
    story = Story()
    server, client = pair(story)
    story.call("sendto", client, 3000, length=3000)
    call = story.call("recvfrom", server, 1024, length=1024)
    story.state(server, at=story.now + 5 * MS, moment=1, call=call, receive=1976)
    story.now += 50 * MS
    story.call("sendto", server, 2, length=2)
    story.call("close", server, unread=1976)
    assert story.found()[0] == "one-recv-per-message certain error"


def test_feeding_in_pieces_finds_the_same() -> None:
    story = Story()
    letter(story)
    recording = story.recording()
    events = list(recording.events())
    whole = diagnose(story.recording()).json_lines()
    for seed in range(20):
        engine = Engine(recording)
        rest = list(events)
        while rest:
            count = random.Random(seed + len(rest)).randint(1, 4)
            engine.feed(rest[:count])
            engine.news()
            rest = rest[count:]
        assert engine.conclude().json_lines() == whole


def test_a_running_trace_is_told_a_certain_finding_once() -> None:
    story = Story()
    letter(story)
    story.now += S
    story.call("recvfrom", 2, AGAIN, length=10)
    recording = story.recording()
    rows: dict[str, list[tuple[Any, ...]]] = {
        "process": [tuple(process) for process in story.processes.values()],
        "socket": [tuple(getattr(row, name) for name in row.__struct_fields__) for row in recording.sockets.values()],
        **story.rows,
    }
    watcher = Watcher(story.meta)
    assert sorted(finding.rule for finding in watcher.take(rows)) == ["close-with-unread-data", "one-recv-per-message"]
    assert watcher.take({}) == []
    assert watcher.take({"state": [(100, 2, story.now + S, 2, None, 1, *[None] * 8)]}) == []


def test_memory_does_not_grow_with_closed_sockets() -> None:
    story = Story()
    server, client = story.process("server"), story.process("client")
    for number in range(400):
        ends = ("127.0.0.1", 4567), ("127.0.0.1", 10_000 + number)
        here = story.socket(server, *ends, origin="accept")
        there = story.socket(client, *reversed(ends))
        story.call("sendto", there, 3000, length=3000)
        story.call("recvfrom", here, 1024, length=1024, unread=3000, left=1976)
        story.call("sendto", here, 5, length=5)
        story.call("close", here, unread=1976)
        story.call("close", there)
        story.now += 100 * MS
    recording = story.recording()
    engine = Engine(recording)
    most = 0
    for event in recording.events():
        engine.feed([event])
        most = max(most, len(engine.sockets.alive))
    assert most <= 60
    causes = [finding for finding in engine.conclude().findings if finding.rule == "one-recv-per-message"]
    assert "399 other times" in causes[0].why


def test_the_work_grows_with_the_sockets_of_one_port_not_with_their_square() -> None:
    """Every second one gets the port, and keeps it; the others fail."""

    def calls(count: int) -> int:
        """Python functions that were called: the machine's load does not count."""
        story = Story()
        processes = [story.process("server"), story.process("worker")]
        for number in range(count):
            socket = story.socket(processes[number % 2], ("127.0.0.1", 80), None)
            story.call("bind", socket, -98 if number % 2 else 0, address=inet("127.0.0.1", 80))
            story.call("listen", socket, a=5)
        recording = story.recording()
        made = 0

        def count_it(*_: object) -> None:
            nonlocal made
            made += 1

        before = sys.getprofile()
        sys.setprofile(count_it)
        try:
            diagnose(recording)
        finally:
            sys.setprofile(before)
        return made

    # Eight times as many: the square would be 64. The rules themselves are made once.
    calls(2)
    few, many = calls(100), calls(800)
    assert many < 20 * few, (few, many)


def test_no_rule_is_the_effect_of_itself() -> None:
    rules = {rule.id: rule for rule in all_rules()}

    def walk(rule: str, path: tuple[str, ...]) -> None:
        assert rule not in path, path
        for effect in rules[rule].effects:
            walk(effect, (*path, rule))

    for rule in rules:
        walk(rule, ())


def test_hostile_values_make_no_trouble() -> None:
    story = Story()
    server, client = pair(story)
    for name in (
        "recvfrom",
        "sendto",
        "poll",
        "epoll_ctl",
        "setsockopt",
        "getsockopt",
        "shutdown",
        "recvmmsg",
        "splice",
    ):
        for result in (None, -104, 0, 1 << 62):
            story.call(
                name, server, result, length=-1, value=b"\x01\x02\x03", a=-(1 << 60), b=1 << 60, c=-1, address=b"\x02"
            )
    call = story.call("connect", client, REFUSED, address=b"\x02\x00\x00")
    story.fact(call, "sockets", {"not": "a list"})
    story.fact(call, "sockets", [None, 3, {"local": 5, "pids": "x", "state": "y"}, {"local": "[::1]:99999"}])
    call = story.call("connect", client, REFUSED, address=inet("127.0.0.1", 80))
    story.fact(call, "addresses", [1, {"address": None}])
    story.rows["fact"].append((90, 1, call, "sockets", "[" * 60))
    story.state(server, tcp_info=b"\x01", memory=b"\x02", options=b"\x01\x00\x01\x00\xff\xff")
    story.diagnosis()


def test_sockets_that_were_accepted_from_each_other_make_no_trouble() -> None:
    story = Story()
    server, client = story.process("server"), story.process("client")
    here, there = ("127.0.0.1", 4567), ("127.0.0.1", 51000)
    one = story.socket(server, here, there, origin="accept", parent=2)
    other = story.socket(client, there, here, origin="accept", parent=1)
    for socket in (one, other):
        story.call("recvfrom", socket, None, length=10)
    story.diagnosis()


def test_a_layer_that_was_lost_half_way_leaves_questions_open_and_findings_standing() -> None:
    story = Story()
    letter(story)
    story.add("mark", story.now, None, None, "gap", "kernel: too many open files")
    diagnosis = story.diagnosis()
    found = {finding.rule for finding in diagnosis.findings}
    assert {"one-recv-per-message", "close-with-unread-data"} <= found
    questions = {question.rule: question for question in diagnosis.cannot_tell}
    assert questions["receive-buffer-overflow"].missing == "kernel"
    assert "too many open files, from" in questions["receive-buffer-overflow"].reason
    assert not found & set(questions)
    assert "short-send" in diagnosis.checked


@pytest.mark.parametrize("seed", range(5))
def test_what_is_told_while_a_trace_runs_stands_at_the_end(seed: int) -> None:
    """Batches of any size, rows of sockets that become known late: nothing told is refuted, nothing is told twice."""
    chance = random.Random(seed)
    story = Story()
    server, client = story.process("server"), story.process("client")
    for number in range(20):
        ends = ("127.0.0.1", 4567), ("127.0.0.1", 51000 + number)
        here = story.socket(server, *ends, origin="accept", source=story.source("/home/me/upper.py", number + 1))
        there = story.socket(client, *reversed(ends))
        story.call("sendto", there, 3000, length=3000)
        line = story.source("/home/me/upper.py", 100 + number)
        story.call("recvfrom", here, 1024, length=1024, unread=3000, left=1976, source=line)
        if chance.random() < 0.5:
            story.call("recvfrom", here, 1976, length=4096, left=0)
        story.call("sendto", here, 5, length=5)
        story.call("close", here, unread=0)
        story.call("close", there)
        story.now += chance.randrange(2 * S)
    recording = story.recording()
    watcher = Watcher(story.meta)
    told = []
    sockets = {
        row.id: tuple(getattr(row, name) for name in row.__struct_fields__) for row in recording.sockets.values()
    }
    events = sorted(recording.events(), key=lambda event: getattr(event, "exit_ns", None) or getattr(event, "at_ns", 0))
    first = {"process": [tuple(process) for process in story.processes.values()], "source": story.rows["source"]}
    first["socket"] = [(*row[:13], None, *row[14:]) for row in sockets.values()]
    watcher.take(first)
    at_ns = 0
    while events:
        count = chance.randrange(1, 12)
        batch, events = events[:count], events[count:]
        rows: dict[str, list[tuple[Any, ...]]] = {}
        for event in batch:
            table = type(event).__name__.lower()
            rows.setdefault(table, []).append(tuple(getattr(event, name) for name in event.__struct_fields__))
            at_ns = max(at_ns, getattr(event, "exit_ns", None) or getattr(event, "at_ns", 0))
        rows["socket"] = [row for row in sockets.values() if row[13] is not None and row[13] <= at_ns]
        told += watcher.take(rows)
    final = {(finding.rule, finding.file, finding.line) for finding in story.diagnosis().findings}
    said = [(finding.rule, finding.file, finding.line) for finding in told]
    assert said
    assert len(said) == len(set(said))
    assert set(said) <= final


def test_a_recording_that_says_since_when_a_layer_is_incomplete() -> None:
    story = Story(kernel="incomplete since 2.1 s: the recorder did not keep up")
    letter(story)
    diagnosis = story.diagnosis()
    assert "close-with-unread-data" in [finding.rule for finding in diagnosis.findings]
    questions = {question.rule: question.reason for question in diagnosis.cannot_tell}
    assert questions["receive-buffer-overflow"] == "incomplete since 2.1 s: the recorder did not keep up"
