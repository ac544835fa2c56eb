"""What was noticed beside failed calls is explained, healthy, or not judged: waits, unread bytes, drops, growth."""

from __future__ import annotations

import errno
import signal
import socket as sockets
import struct

import pytest

from wallsocket.diagnose import Diagnosis
from wallsocket.diagnose.finding import Symptom
from wallsocket.diagnose.text import report

from .story import MS, S, Story, pair


def only(diagnosis: Diagnosis, kind: str) -> Symptom:
    (found,) = [one for one in diagnosis.symptoms if one.kind == kind]
    return found


def test_a_question_that_nobody_answers_is_told_with_thread_line_and_socket() -> None:
    story = Story()
    story.source("/home/somebody/client.py", 12)
    server, client = pair(story)
    story.call("sendto", client, 5, length=5)
    story.call("recvfrom", server, 5, length=100)
    story.call("recvfrom", client, None, length=100, source=1)
    story.now += 3 * S
    story.end(2, code=None, signal=signal.SIGTERM)
    diagnosis = story.diagnosis("short-send")
    (open_one,) = diagnosis.not_judged
    assert (open_one.kind, open_one.call, open_one.count) == ("wait", "recvfrom", 1)
    assert open_one.text == (
        "client (pid 1002) had waited for 3 s in recvfrom (client.py:12), 127.0.0.1:51000 → 127.0.0.1:4567 "
        "when its process ended"
    )
    rows = ", ".join(f"#{row}" for row in open_one.rows)
    lines = report(diagnosis, width=80)
    assert "1 wait not judged" in " ".join(lines)
    assert " ".join(line.strip() for line in lines).endswith(f"not judged: {open_one.text} (perhaps {rows})")
    assert max(len(line) for line in lines) <= 80


def test_a_wait_that_a_finding_is_about_is_explained() -> None:
    story = Story()
    server, client = pair(story)
    story.call("sendto", client, 5, length=5)
    story.call("recvfrom", server, 5, length=100)
    story.call("recvfrom", server, None, length=100, entry={})
    story.call("recvfrom", client, None, length=100, entry={})
    story.now += 10 * S
    diagnosis = story.diagnosis("both-wait")
    assert diagnosis.not_judged == ()
    assert [one.explained_by for one in diagnosis.symptoms if one.kind == "wait"] == ["both-wait"] * 2


def waits(story: Story) -> Diagnosis:
    story.now += 3 * S
    return story.diagnosis("short-send")


def test_a_server_that_waits_for_clients_is_healthy() -> None:
    story = Story()
    listener = story.socket(story.process(), ("127.0.0.1", 80), None)
    story.call("listen", listener, a=5)
    story.call("accept", listener, None)
    found = only(waits(story), "wait")
    assert (found.healthy, found.explained_by) == ("a server waits for its clients", None)


def test_a_server_that_waits_for_the_next_request_is_healthy_and_one_with_half_a_request_is_not() -> None:
    for answered in (True, False):
        story = Story()
        server, client = pair(story)
        story.call("sendto", client, 5, length=5)
        story.call("recvfrom", server, 5, length=100)
        if answered:
            story.call("sendto", server, 5, length=5)
        story.call("recvfrom", server, None, length=100)
        assert (only(waits(story), "wait").healthy is not None) is answered


def test_a_limit_of_time_makes_a_wait_healthy() -> None:
    story = Story()
    _, client = pair(story)
    story.call("setsockopt", client, a=1, b=20, value=struct.pack("<qq", 30, 0))
    story.call("sendto", client, 5, length=5)
    story.call("recvfrom", client, None, length=100)
    assert only(waits(story), "wait").healthy == "it waits with a time limit"


def test_an_event_loop_is_healthy_unless_its_question_is_unanswered() -> None:
    for asked in (True, False):
        story = Story()
        _, client = pair(story)
        story.call("epoll_ctl", client, a=1, c=1)
        story.call("sendto", client, 5, length=5)
        if not asked:
            story.call("recvfrom", client, 5, length=100)
        story.add("call", 2, 1002, 232, story.now, None, None, 3, None, None, 8, -1, None, *[None] * 7, 1)
        diagnosis = waits(story)
        assert [one.kind for one in diagnosis.not_judged] == (["wait"] if asked else [])
        assert only(diagnosis, "wait").call == "epoll_wait"


@pytest.mark.parametrize("error", [errno.EINTR, 512])
def test_a_wait_that_a_signal_ended_and_the_program_with_it_counts(error: int) -> None:
    for soon in (True, False):
        story = Story()
        _, client = pair(story)
        story.call("sendto", client, 5, length=5)
        story.call("recvfrom", client, -error, length=100, took=4 * S)
        story.now += S // 10 if soon else 10 * S
        story.end(2, code=130)
        diagnosis = story.diagnosis("short-send")
        assert [one.text.endswith("when a signal ended it") for one in diagnosis.not_judged] == [True] * soon


def test_a_thread_in_the_background_of_a_program_that_ends_is_healthy() -> None:
    story = Story()
    _, client = pair(story)
    story.call("sendto", client, 5, length=5)
    story.call("recvfrom", client, None, length=100)
    story.now += 3 * S
    story.end(2, code=0)
    assert only(story.diagnosis("short-send"), "wait").healthy == "its program ended by itself meanwhile"


def test_a_short_wait_is_none() -> None:
    story = Story()
    _, client = pair(story)
    story.call("sendto", client, 5, length=5)
    story.call("recvfrom", client, None, length=100)
    story.now += S // 2
    assert story.diagnosis("short-send").symptoms == ()


def test_bytes_that_nobody_read_are_a_symptom() -> None:
    story = Story()
    server, client = pair(story)
    story.call("sendto", client, 500, length=500)
    story.call("close", server, unread=500)
    story.now += 5 * S
    diagnosis = story.diagnosis("short-send")
    found = only(diagnosis, "unread bytes")
    assert (found.count, found.healthy, found.explained_by) == (500, None, None)
    assert found.text.startswith("500 bytes that had arrived for server (pid 1001) were never read")
    assert [one.kind for one in diagnosis.not_judged] == ["unread bytes"]
    assert "not judged" not in " ".join(report(diagnosis, width=80))


def test_the_last_byte_of_a_wake_up_pair_is_missed_by_nobody() -> None:
    story = Story()
    process = story.process()
    one = story.socket(process, None, None, family=sockets.AF_UNIX, origin="socketpair")
    other = story.socket(process, None, None, family=sockets.AF_UNIX, origin="socketpair", parent=one)
    story.call("sendto", other, 1, length=1)
    story.call("close", one, unread=1)
    story.now += 5 * S
    assert only(story.diagnosis("short-send"), "unread bytes").healthy is not None


def test_dropped_datagrams_are_counted_and_segments_of_no_use_are_not() -> None:
    for kind in (sockets.SOCK_DGRAM, sockets.SOCK_STREAM):
        story = Story()
        here = story.socket(story.process(), ("127.0.0.1", 5000), None, type=kind)
        story.state(here, drops=2)
        story.now += MS
        story.state(here, drops=9)
        story.call("close", here)
        story.now += 5 * S
        found = [one.count for one in story.diagnosis("short-send").symptoms if one.kind == "drops"]
        assert found == ([7] if kind == sockets.SOCK_DGRAM else [])


def test_sockets_that_pile_up_at_one_line_are_growth_unless_they_are_clients() -> None:
    for serves in (False, True):
        story = Story()
        line = story.source("/srv/program.py", 7)
        process = story.process()
        if serves:
            story.call("listen", story.socket(process, ("127.0.0.1", 80), None), a=5)
        for number in range(250):
            story.call("getsockname", story.socket(process, ("127.0.0.1", 10_000 + number), None, source=line))
        found = only(story.diagnosis("short-send"), "growth")
        assert found.count == 250
        assert (found.healthy is not None) is serves
