"""What people read: blocks of findings, the closing line, pages of rules."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.diagnose.story import S, Story, pair
from tests.diagnose.test_engine import letter
from wallsocket.diagnose import all_rules, rule_of
from wallsocket.diagnose.text import page, report, source_text
from wallsocket.trace.text import column_width


def test_the_whole_answer() -> None:
    story = Story()
    letter(story)
    assert report(story.diagnosis("one-recv-per-message", "close-with-unread-data"), width=100) == [
        "CAUSE   error, certain      one recv() was taken for the whole message          one-recv-per-message",
        "  /home/me/upper.py:7",
        "  in          server (pid 1001), socket 127.0.0.1:4567 → 127.0.0.1:51000",
        "  why         TCP keeps no message boundaries: recvfrom(1024) returned 1024 of the 3000 bytes that",
        "              the peer sent in one call; no read asked for the rest.",
        "  proof       call 2 recvfrom(1024) = 1024 · kernel: 1976 bytes still queued when call 2 had",
        "              returned · peer's call 1 sendto: bytes 0–2999 of its stream · call 3 sendto(1024) =",
        "              1024: the answer to what was read · kernel: 1976 bytes unread at call 4 close",
        "  usual fix   Read until the agreed end of the message: a length in front of it, a delimiter, or the",
        "              peer's half-close.",
        "EFFECT  error, certain      close() with unread data resets the connection        follows from CAUSE",
        "  line unknown",
        "  in          server (pid 1001), socket 127.0.0.1:4567 → 127.0.0.1:51000",
        "  why         1976 bytes had not been read at call 4 close(): the kernel answered the peer with RST",
        "              instead of FIN.",
        "  proof       call 4 close(4) = 0 · kernel: 1976 bytes unread, ESTABLISHED · kernel counter",
        "              TCPAbortOnClose +1 · the peer's call 5 recvfrom(4096) = ECONNRESET",
        "2 rules checked, 0 could not be checked, 0 events lost",
    ]


def test_no_finding_is_not_called_good() -> None:
    story = Story()
    here = story.socket(story.process(), ("10.0.0.1", 80), ("10.0.0.2", 51000))
    story.call("recvfrom", here, None, length=1024, unread=0)
    story.now += 5 * S
    diagnosis = story.diagnosis("both-wait", "short-send")
    rows = ", ".join(f"#{row}" for row in diagnosis.not_judged[0].rows)
    assert report(diagnosis, width=100) == [
        "No finding: 1 rule checked, 1 could not be checked (peer 1); 1 wait not judged; 0 events lost",
        "cannot tell without peer: both-wait (the other end of a waiting connection was not traced)",
        "not judged: server (pid 1001) had waited for 5 s in recvfrom, 10.0.0.1:80 → 10.0.0.2:51000 when the",
        f"  recording ended (perhaps {rows})",
    ]


def test_a_recording_that_was_cut_off_says_so() -> None:
    story = Story()
    diagnosis = story.diagnosis()
    cut = type(diagnosis)(
        **{**{name: getattr(diagnosis, name) for name in diagnosis.__struct_fields__}, "complete": False}
    )
    assert report(cut, width=120)[0].endswith("; the recording was cut off")


@pytest.mark.parametrize("width", [40, 60, 100, 200])
def test_lines_keep_to_the_width(width: int) -> None:
    story = Story()
    letter(story)
    lines = report(story.diagnosis(), width=width)
    long = [line for line in lines if column_width(line) > width]
    assert all(line.startswith("  /") for line in long), long


def test_text_from_a_recording_cannot_command_the_terminal() -> None:
    story = Story()
    server, client = pair(story)
    story.processes[server][3] = '["\\u001b[2Jevil\\u202e"]'
    line = story.source("/tmp/\x1b]0;title\x07x.py", 7)
    story.call("sendto", client, 3000, length=3000)
    story.call("recvfrom", server, 1024, length=1024, left=1976, source=line)
    story.call("sendto", server, 5, length=5)
    story.call("close", server, unread=1976)
    text = "\n".join(report(story.diagnosis(), width=100))
    assert "one-recv-per-message" in text
    assert all(character == "\n" or character.isprintable() for character in text)


def test_a_source_line_is_quoted_while_the_file_is_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    file.write_text("first\n    second = 2\n")
    os.utime(file, (1000, 1000))
    assert source_text(str(file), 2, 2000.0) == "second = 2"
    assert source_text(str(file), 9, 2000.0) == ""
    assert source_text(str(file), 2, 500.0) == ""
    assert source_text("program.py", 2) == ""
    assert source_text(str(tmp_path), 1) == ""
    assert source_text("/dev/zero", 1) == ""
    assert source_text("/nul\0", 1) == ""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert source_text(str(fifo), 1) == ""


@pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: rule.id)
def test_every_rule_has_a_whole_page(rule: object) -> None:
    found = rule_of(rule.id)  # type: ignore[attr-defined]
    assert found is rule
    text = "\n".join(page(found, width=100))
    for label in ("cause", "seen as", "proof", "usual fix", "disproof", "read"):
        assert f"\n  {label}" in text
