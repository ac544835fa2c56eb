"""Two runs side by side."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.recordings import Script, lost_letter, tcp_frame
from tests.support.repository import ROOT
from wallsocket.cli import main
from wallsocket.diagnose import diagnose
from wallsocket.diagnose.difference import difference
from wallsocket.errors import NotPermitted
from wallsocket.trace.compare import Comparison, compare
from wallsocket.trace.recording import Recording
from wallsocket.trace.run import run

EXAMPLES = ROOT / "src/wallsocket/diagnose/examples"
A, B = "127.0.0.1:1000", "127.0.0.1:2000"


def talk(
    path: Path, change: Callable[[Script], None], *, pid: int = 70, port: int = 1000, wire: str = "yes"
) -> Recording:
    """A client that sends, half-closes and reads to the end, but for what ``change`` adds."""
    script = Script(path, wire=wire)
    script.process(1, pid, "client.py")
    own = f"127.0.0.1:{port}"
    script.socket(1, 1, 0, 900, local=own, remote=B, source=1)
    line = ("/srv/client.py", 3, "talk")
    script.call("connect", 1, 5, fd=3, socket=1, address=B, line=line)
    script.call("sendto", 10, 1, 5, fd=3, socket=1, length=5, offset=0, line=line)
    change(script)
    script.call("close", 899, 1, fd=3, socket=1, line=("/srv/client.py", 9, "talk"))
    return script.done(1000)


def reads(script: Script, *sizes: int) -> None:
    for number, size in enumerate(sizes):
        script.call(
            "recvfrom", 20 + 10 * number, 1, size, fd=3, socket=1, a=0, length=100, line=("/srv/client.py", 5, "talk")
        )


def both(tmp_path: Path, good: Callable[[Script], None], bad: Callable[[Script], None], **options: str) -> Comparison:
    with (
        talk(tmp_path / "good.wsrec", good, **options) as one,
        talk(tmp_path / "bad.wsrec", bad, pid=99, port=7777) as other,
    ):  # type: ignore[arg-type]
        return compare(one, other)


def test_the_same_run_again_is_the_same(tmp_path: Path) -> None:
    compared = both(tmp_path, lambda script: reads(script, 10, 0), lambda script: reads(script, 10, 0))
    assert compared.same
    assert [(pair.good, pair.bad, pair.basis) for pair in compared.pairs] == [(1, 1, "line")]


def test_how_bytes_were_cut_does_not_count(tmp_path: Path) -> None:
    def waits(script: Script) -> None:
        script.call("poll", 15, 1, 1, socket=1, a=1, b=-1)
        script.call("getsockname", 17, 1, fd=3, socket=1)
        reads(script, -11, 3, 3, -4, 4, 0)

    assert both(tmp_path, lambda script: reads(script, 10, 0), waits).same


def test_how_much_moved_is_told_and_does_not_count(tmp_path: Path) -> None:
    compared = both(tmp_path, lambda script: reads(script, 10, 0), lambda script: reads(script, 3, 0))
    assert compared.same
    assert [(pair.good_moved, pair.bad_moved) for pair in compared.pairs] == [((5, 10), (5, 3))]


def test_whether_a_sample_met_the_end_of_an_end_does_not_count(tmp_path: Path) -> None:
    def ends(script: Script) -> None:
        script.state(1, 6, 1, 1, 1)
        script.state(1, 896, 2, None, 6)

    def seen(script: Script) -> None:
        ends(script)
        script.state(1, 950, 3, None, 7)

    assert both(tmp_path, ends, seen).same


def test_where_the_calls_part(tmp_path: Path) -> None:
    compared = both(tmp_path, lambda script: reads(script, 10, 0), lambda script: reads(script, 10))
    parted = compared.first["calls"]
    assert (parted.common, parted.pair) == (3, 1)
    assert parted.before is not None
    assert (parted.before.text, parted.before.line) == ("recv(100) = 10", 5)
    assert parted.good is not None
    assert parted.bad is not None
    assert (parted.good.text, parted.bad.text, parted.bad.line) == ("recv(100) = 0", "close()", 9)
    assert not compared.same


def test_an_error_and_a_call_that_never_returned(tmp_path: Path) -> None:
    compared = both(tmp_path, lambda script: reads(script, 10), lambda script: reads(script, -104))
    assert compared.first["calls"].bad is not None
    assert "ECONNRESET" in compared.first["calls"].bad.text

    def stands(script: Script) -> None:
        script.call("recvfrom", 20, None, fd=3, socket=1, a=0, length=100)

    compared = (
        both(tmp_path / "x", lambda script: reads(script, 10), stands) if (tmp_path / "x").mkdir() is None else compared
    )
    assert compared.first["calls"].bad is not None
    assert compared.first["calls"].bad.text.endswith("has not returned")


def test_states_and_unread_bytes(tmp_path: Path) -> None:
    def good(script: Script) -> None:
        script.state(1, 6, 1, 1, 1)
        script.state(1, 30, 2, None, 8)

    def bad(script: Script) -> None:
        script.state(1, 6, 1, 1, 1)
        script.state(1, 898, 0, 3, 1, receive_queue=12)

    parted = both(tmp_path, good, bad).first["kernel"]
    assert parted.good is not None
    assert parted.bad is not None
    assert parted.good.text == "CLOSE_WAIT"


def test_each_direction_of_the_wire_is_followed_for_itself(tmp_path: Path) -> None:
    def wire(port: int, *flags: tuple[str, bool, int]) -> Callable[[Script], None]:
        own = f"127.0.0.1:{port}"

        def change(script: Script) -> None:
            for number, (bits, out, size) in enumerate(flags):
                ends = (own, B) if out else (B, own)
                script.frame(20 + number, tcp_frame(*ends, bits, seq=100 + number, payload=b"x" * size))

        return change

    crossed = both(
        tmp_path,
        wire(1000, ("PA", True, 5), ("PA", False, 7), ("FA", True, 0)),
        wire(7777, ("PA", False, 7), ("PA", True, 5), ("FA", True, 0)),
    )
    assert "wire" not in crossed.first
    (tmp_path / "x").mkdir()
    reset = both(
        tmp_path / "x", wire(1000, ("PA", True, 5), ("FA", False, 0)), wire(7777, ("PA", True, 5), ("RA", False, 0))
    )
    parted = reset.first["wire"]
    assert (parted.good and parted.good.text, parted.bad and parted.bad.text) == ("← FIN", "← RST")


def test_a_layer_that_is_missing_is_not_compared(tmp_path: Path) -> None:
    compared = both(tmp_path, lambda script: None, lambda script: None, wire="needs CAP_NET_RAW")
    assert compared.not_compared == {"wire": "the good run has no wire layer (needs CAP_NET_RAW)"}
    (tmp_path / "again").mkdir()
    compared = both(
        tmp_path / "again", lambda script: None, lambda script: None, wire="incomplete since 2.0 s: it ended"
    )
    assert compared.not_compared == {"wire": "in the good run it is incomplete since 2.0 s: it ended"}


def test_nothing_compared_is_not_the_same(tmp_path: Path) -> None:
    gone = dict.fromkeys(("calls", "kernel", "wire"), "incomplete since 1.0 s: it ended")
    Script(tmp_path / "a.wsrec", **gone).done(1).close()
    assert main(["diff", str(tmp_path / "a.wsrec"), str(tmp_path / "a.wsrec")]) == 2


def test_a_socket_that_the_other_run_lacks(tmp_path: Path) -> None:
    def more(script: Script) -> None:
        script.socket(2, 1, 50, 60, type=2, protocol=17, origin="socket")

    compared = both(tmp_path, lambda script: None, more)
    assert [(pair.good, pair.bad, pair.basis) for pair in compared.pairs] == [(1, 1, "line"), (None, 2, "none")]
    assert not compared.same


def test_programs_of_other_names_and_lines_are_aligned_by_weaker_signs(tmp_path: Path) -> None:
    with lost_letter(tmp_path / "a.wsrec") as good:
        script = Script(tmp_path / "b.wsrec")
        script.process(1, 5, "/usr/bin/python3", "other.py")
        script.socket(1, 1, 0, local="127.0.0.1:80")
        script.call("listen", 1, fd=3, socket=1, a=5)
        with script.done(10) as bad:
            (first, *rest) = compare(good, bad).pairs
    assert (first.good, first.bad, first.basis) == (1, 1, "order")
    assert [(pair.good, pair.bad) for pair in rest] == [(2, None), (3, None)]


def test_rules_are_compared_by_what_they_say(tmp_path: Path) -> None:
    with (
        lost_letter(tmp_path / "a.wsrec") as bad,
        talk(tmp_path / "b.wsrec", lambda script: reads(script, 10, 0)) as good,
    ):
        found = difference(diagnose(good), diagnose(bad))
        assert {finding.rule for finding in found.only_bad} >= {"one-recv-per-message"}
        assert (found.only_good, found.both) == ((), ())
        assert difference(diagnose(bad), diagnose(bad)).both == diagnose(bad).findings
        assert difference(diagnose(bad), diagnose(good)).only_good == diagnose(bad).findings


def test_a_real_pair_as_people_and_programs_get_it(tmp_path: Path) -> None:
    for name in ("healthy", "broken"):
        try:
            run(
                [sys.executable, str(EXAMPLES / f"close-with-unread-data/{name}.py")],
                output=tmp_path / f"{name}.wsrec",
                lab=True,
            )
        except NotPermitted as error:
            pytest.skip(f"no private network here: {error}")

    def diff(*words: str, status: int) -> str:
        command = [sys.executable, "-m", "wallsocket", "diff", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100, cwd=tmp_path)
        assert done.returncode == status, done.stderr
        return done.stdout

    text = diff("healthy.wsrec", "broken.wsrec", status=1)
    assert "  GOOD" in text
    assert "healthy.py:12  shutdown(WR)" in text
    assert "broken.py:14  close()" in text
    assert "only in BAD: close() with unread data resets the connection [close-with-unread-data]  broken.py:14" in text
    objects = [json.loads(line) for line in diff("healthy.wsrec", "broken.wsrec", "--json", status=1).splitlines()]
    assert [item["first"]["layer"] for item in objects if "first" in item] == ["calls", "kernel", "wire"]
    assert objects[-1]["summary"]["same"] is False
    assert f"healthy.wsrec  {sys.executable} {EXAMPLES}"[:60] in text.splitlines()[0]
    assert "say the same about both" in diff("broken.wsrec", "broken.wsrec", status=0)
    Script(tmp_path / "empty.wsrec").done(1).close()
    nothing = diff("broken.wsrec", "empty.wsrec", status=1)
    assert "0 sockets side by side; 3 sockets in GOOD only" in nothing
    assert "calls" not in nothing
    assert diff("broken.wsrec", "nothing.wsrec", status=2) == ""
