"""A bad run beside a good one: where they part, with the place in both ladders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.recordings import Script
from wallsocket.errors import UsageError
from wallsocket.view import Feed, Snapshot, ask


def run(path: Path, *, reads: int) -> Path:
    """A client that reads its answer in so many calls, and fails when it reads less than two."""
    script = Script(path)
    script.process(1, 70, "client")
    script.socket(1, 1, 0, local="127.0.0.1:40000", remote="127.0.0.1:80")
    line = ("/srv/client.py", 3, "ask")
    script.call("socket", 0, result=3, made=1, a=2, b=1, c=6, line=line)
    script.call("connect", 5, fd=3, socket=1, address="127.0.0.1:80", line=line)
    script.call("write", 10, 1, 5, fd=3, socket=1, length=5, offset=0, line=line)
    script.call("read", 20, 1, 5, fd=3, socket=1, length=5, offset=0, line=line)
    if reads < 2:
        script.call("write", 30, 1, -32, fd=3, socket=1, length=5, line=line)
    script.call("close", 40, fd=3, socket=1, line=line)
    script.done(100).close()
    return path


def test_where_two_runs_part(tmp_path: Path) -> None:
    good, bad = run(tmp_path / "good.wsrec", reads=2), run(tmp_path / "bad.wsrec", reads=1)
    with Snapshot.open(bad) as snapshot, Snapshot.open(good) as other:
        with pytest.raises(UsageError, match="no other recording"):
            ask(snapshot, "compare", {})
        snapshot.good = other
        found: Any = ask(snapshot, "compare", {})
        assert (found.good, found.bad, found.same) == ("good.wsrec", "bad.wsrec", False)
        calls = next(parting for parting in found.first if parting.layer == "calls")
        assert "EPIPE" in calls.bad.text
        assert calls.good.text.startswith("close")
        ladder: Any = ask(snapshot, "ladder", {"conversation": calls.bad.conversation})
        assert ladder.rungs[calls.bad.index].line.left[-1].text.endswith("EPIPE")
        pair = next(pair for pair in found.pairs if pair.number == calls.pair)
        assert (pair.good_key, pair.bad_key) == ("1", "1")
        assert "calls" in pair.layers
        snapshot.good = None


def test_two_runs_that_did_the_same(tmp_path: Path) -> None:
    with (
        Snapshot.open(run(tmp_path / "a.wsrec", reads=2)) as one,
        Snapshot.open(run(tmp_path / "b.wsrec", reads=2)) as other,
    ):
        one.good = other
        found: Any = ask(one, "compare", {})
        assert (found.same, found.first, found.only_bad, found.only_good) == (True, [], [], [])


def test_a_feed_answers_of_both_runs(tmp_path: Path) -> None:
    from tests.view.test_feed import wait

    good, bad = run(tmp_path / "good.wsrec", reads=2), run(tmp_path / "bad.wsrec", reads=1)
    with Feed(bad, good=good) as feed:
        assert wait(feed, lambda status: status.stage == "ready").compares
        assert feed.ask("compare", {}).same is False  # type: ignore[attr-defined]
        totals = [feed.ask("ladder", {"conversation": "1", **which}).whole for which in ({}, {"run": "good"})]  # type: ignore[attr-defined]
        assert totals[0] == totals[1] + 1
