"""Mermaid's sequence diagrams, read by a strict parser of the part of the language that is used."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.support.recordings import Script, lost_letter
from wallsocket.trace.export import export
from wallsocket.trace.export.mermaid import _text
from wallsocket.trace.recording import Recording

NAME = r"[A-Za-z][A-Za-z0-9]*"
#: Of https://mermaid.js.org/syntax/sequenceDiagram.html; a text has no sign that begins a comment, an entity or markup.
TEXT = r"(?:[^#;<>&%{}\"\\`\n]|#\d+;)+"
LINES = {
    "participant": re.compile(rf"    participant (?P<name>{NAME}) as (?P<text>{TEXT})"),
    "message": re.compile(rf"    (?P<source>{NAME})(?P<arrow>->>|--x)(?P<target>{NAME}): (?P<text>{TEXT})"),
    "note": re.compile(rf"    Note over (?P<who>{NAME}(?:,{NAME})?): (?P<text>{TEXT})"),
}


def parse(text: str) -> list[tuple[str, dict[str, str]]]:
    """What a diagram says; fails on anything that Mermaid would not take, and on names that nobody introduced."""
    head, *lines = text.splitlines()
    assert head == "sequenceDiagram"
    assert text.endswith("\n")
    found: list[tuple[str, dict[str, str]]] = []
    known: set[str] = set()
    for line in lines:
        kind, matched = next(((kind, m) for kind, rule in LINES.items() if (m := rule.fullmatch(line))), ("", None))
        assert matched is not None, line
        fields = matched.groupdict()
        assert not re.search(r"\bend\b", fields["text"], re.IGNORECASE), line
        fields["text"] = re.sub(r"#(\d+);", lambda code: chr(int(code[1])), fields["text"])
        if kind == "participant":
            assert not any(other != "participant" for other, _ in found)
            known.add(fields["name"])
        else:
            names = fields["who"].split(",") if kind == "note" else [fields["source"], fields["target"]]
            assert known.issuperset(names), line
        found.append((kind, fields))
    return found


def test_who_said_what_to_whom(tmp_path: Path) -> None:
    with lost_letter(tmp_path / "a.wsrec") as recording:
        export(recording, tmp_path / "a.mmd")
    found = parse((tmp_path / "a.mmd").read_text())
    names = {fields["name"]: fields["text"] for kind, fields in found if kind == "participant"}
    said = [(names[f["source"]], names[f["target"]], f["arrow"], f["text"]) for kind, f in found if kind == "message"]
    assert ("nc (pid 71)", "upper.py (pid 70)", "->>", "write(3000) = 3000 · 3000 bytes") in said
    assert ("upper.py (pid 70)", "nc (pid 71)", "->>", "upper.py:7 sendto(1024) = 1024 · 1024 bytes") in said
    assert said[-1] == ("upper.py (pid 70)", "nc (pid 71)", "--x", "upper.py:8 close() = 0 · RST")


def test_findings_stand_over_who_they_are_about(with_wire: Path, exported: Callable[..., Path]) -> None:
    found = parse(exported(with_wire, "a.mmd").read_text())
    assert any(kind == "note" and "finding" in f["text"] and "talk.py:9" in f["text"] for kind, f in found)


def test_a_message_says_what_the_line_is_to_the_call(every_known: Path) -> None:
    with Recording.open(every_known) as recording:
        export(recording, every_known.with_suffix(".mmd"))
    found = parse(every_known.with_suffix(".mmd").read_text())
    assert [f["text"].partition(" ·")[0] for kind, f in found if "sendto" in f["text"]] == [
        "a.py:7 sendto(5) = 5",
        "sendto(5) = 5 on a socket made at a.py:7",
        "sendto(5) = 5 awaited at a.py:7",
        "sendto(5) = 5 in a.py:7",
        "sendto(5) = 5",
    ]


def test_a_long_talk_is_cut_and_says_so(tmp_path: Path) -> None:
    script = Script(tmp_path / "a.wsrec", wire="no")
    script.process(1, 70, "one")
    script.socket(1, 1, 0, local="127.0.0.1:1", remote="127.0.0.1:2")
    for number in range(3000):
        script.call("sendto", number + 1, 0.5, number % 7 + 1, fd=3, socket=1, length=number % 7 + 1)
    with script.done(4000) as recording:
        export(recording, tmp_path / "a.mmd")
    found = parse((tmp_path / "a.mmd").read_text())
    assert len(found) < 450
    assert "the rest was left out" in found[-1][1]["text"] or any(
        "the rest was left out" in f["text"] for _, f in found
    )


def test_nobody_talked(tmp_path: Path) -> None:
    with Script(tmp_path / "a.wsrec").done(1) as recording:
        export(recording, tmp_path / "a.mmd")
    assert parse((tmp_path / "a.mmd").read_text())[-1][1]["text"] == "no conversation was recorded"


@given(st.text(min_size=1))
def test_no_text_means_anything(text: str) -> None:
    told = _text(text)
    if told:
        assert re.fullmatch(TEXT, told), told
        assert html.escape(told, quote=False) == told
    assert "\n" not in told
