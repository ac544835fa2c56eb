"""How often each call was made, and how long it took: counted a second time by SQL."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.recordings import Script, lost_letter
from wallsocket.trace.choice import Choice
from wallsocket.trace.recording import Recording
from wallsocket.trace.timeline import Timeline
from wallsocket.trace.totals import Totals


@pytest.fixture
def letter(tmp_path: Path) -> Recording:
    return lost_letter(tmp_path / "a.wsrec")


def test_calls_are_counted_as_sql_does(letter: Recording) -> None:
    totals = Totals(Timeline(letter), Choice(letter))
    counted = letter.sql(
        "SELECT call_name(number) AS name, count(*), sum(result < 0), sum(took_ns), max(took_ns), sum(took_ns IS NULL) "
        "FROM call GROUP BY name ORDER BY 4 DESC, name"
    )
    found = [(t.name, t.calls, t.errors, t.total_ns, t.longest_ns, t.unfinished) for t in totals.calls]
    assert found == [
        (name, n, bad or 0, total or 0, most or 0, left or 0) for name, n, bad, total, most, left in counted
    ]
    assert {t.name: t.bytes for t in totals.calls if t.bytes} == {"write": 3000, "recvfrom": 1024, "sendto": 1024}
    assert {t.name: t.failures for t in totals.calls if t.failures} == {"shutdown": {"ENOTCONN": 1}}


def test_sockets(letter: Recording) -> None:
    sockets = {total.socket: total for total in Totals(Timeline(letter), Choice(letter)).sockets}
    assert (sockets[2].sent, sockets[2].received, sockets[2].errors) == (3000, 0, 1)
    assert (sockets[3].sent, sockets[3].received, sockets[3].waited_ns) == (1024, 1024, 31_000)
    assert sockets[1].title == "tcp listener 127.0.0.1:4567"
    assert sockets[2].owner == "nc (pid 71)"


def test_what_the_tracer_added_is_said_of_the_times(tmp_path: Path) -> None:
    for added_ns, said in ((300, False), (71_000, True)):
        script = Script(tmp_path / f"{added_ns}.wsrec")
        script.process(1, 70, "one")
        script.socket(1, 1, 0)
        script.call("sendto", 1, 1, 5, fd=3, socket=1, length=5)
        with script.done(10, added_ns_per_call=str(added_ns)) as recording:
            lines = list(Totals(Timeline(recording), Choice(recording)).lines(colour=False))
        assert (any("up to 71 µs of each call are its own work" in line for line in lines)) == said


def test_of_what_was_chosen(letter: Recording) -> None:
    chosen = Totals(Timeline(letter), Choice(letter, process="nc", call="failed"))
    assert [(total.name, total.calls) for total in chosen.calls] == [("shutdown", 1)]
    early = Totals(Timeline(letter), Choice(letter), until_ns=30_000)
    assert sorted(total.name for total in early.calls) == ["bind", "listen", "socket"]


def test_calls_that_are_made_again_are_no_errors_and_many_datagrams_are_summed(tmp_path: Path) -> None:
    script = Script(tmp_path / "a.wsrec")
    script.process(1, 70, "one")
    script.socket(1, 1, 0, type=2, protocol=17)
    script.call("recvmmsg", 1, 1, -11, fd=3, socket=1)
    script.call("recvmmsg", 3, 1, 2, fd=3, socket=1, b=4, value=b"\x05\0\0\0\x07\0\0\0")
    with script.done(10) as recording:
        totals = Totals(Timeline(recording), Choice(recording))
    (one,) = totals.sockets
    assert (one.again, one.errors, one.received) == (1, 0, 12)
    assert totals.calls[0].bytes == 12
    assert totals.calls[0].failures == {"EAGAIN": 1}


def test_as_text(letter: Recording) -> None:
    lines = list(Totals(Timeline(letter), Choice(letter)).lines(colour=False))
    row = next(line for line in lines if line.endswith("shutdown  ENOTCONN ×1"))
    assert row.split()[-3:] == ["shutdown", "ENOTCONN", "×1"]
    assert next(line for line in lines if "total" in line).split()[0] == "100.00"
    assert "accept4  1 did not return" in "\n".join(lines)
    assert lines[-1].endswith("tcp 127.0.0.1:51822 → 127.0.0.1:4567  upper.py (pid 70)")
