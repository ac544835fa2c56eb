"""HTML for notebooks: complete, inert, and well-formed."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.diagnose.story import Story, inet
from tests.support.recordings import tcp_frame
from wallsocket import explain, lab, markup, wire
from wallsocket.trace.recording import Recording

HOSTILE = "<script>alert(1)</script> \x1b[2J \u202e & \"quoted\" 'too'"


class Seen(HTMLParser):
    """The text of a page, and its elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = ""
        self.elements: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.elements.append(tag)
        self.open.append(tag)
        assert not any(name.startswith("on") or name in ("src", "href") for name, _ in attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    story = Story()
    story.meta["command"] = '["<b>server</b>"]'
    client = story.process("<img>.py")
    alone = story.socket(client, None, None)
    story.call("connect", alone, -111, address=inet("127.0.0.1", 81))
    story.call("close", alone)
    story.end(client, code=1)
    return story.save(tmp_path / "story.wsrec")


def test_a_recording(recording: Path) -> None:
    with Recording.open(recording) as opened:
        seen = Seen(opened._repr_html_())
    assert "<b>server</b>" in seen.text
    assert "tcp → 127.0.0.1:81" in seen.text
    assert "b" not in seen.elements


def test_findings(recording: Path) -> None:
    diagnosis = explain(recording)
    seen = Seen(diagnosis._repr_html_())
    assert diagnosis.findings[0].title in seen.text
    assert diagnosis.findings[0].fix in seen.text
    assert "img" not in seen.elements
    assert "rules checked" in seen.text


def test_a_socket(recording: Path) -> None:
    with Recording.open(recording) as opened:
        (socket,) = opened.sockets.values()
    seen = Seen(socket._repr_html_())
    assert f"socket {socket.id}" in seen.text
    assert "AF_INET SOCK_STREAM" in seen.text
    hostile = msgspec.structs.replace(socket, local=b"\x01\x00\x00" + HOSTILE.encode(), origin=HOSTILE)
    seen = Seen(hostile._repr_html_())
    assert "script" not in seen.elements
    assert "\x1b" not in seen.text
    assert "\u202e" not in seen.text


def test_a_frame() -> None:
    frame = wire.frame.decode(tcp_frame("10.0.0.1:80", "10.0.0.2:4000", "PA", payload=HOSTILE.encode() * 20))
    seen = Seen(frame._repr_html_())
    assert "10.0.0.1" in seen.text
    assert "tcp.sequence_number" in seen.text
    assert "more bytes" in seen.text
    assert "script" not in seen.elements
    assert "\x1b" not in seen.text
    # Whatever the bytes are, something is shown.
    for length in range(0, 60, 7):
        Seen(wire.frame.decode(bytes(frame)[:length])._repr_html_())


def test_a_lab() -> None:
    with lab.hosts("a", "b") as net:
        seen = Seen(net._repr_html_())
        assert "a" in seen.text
        assert "pre" in seen.elements


def test_text_from_outside_is_inert() -> None:
    for made in (
        markup.lines(HOSTILE),
        markup.table((HOSTILE,), [(HOSTILE,)]),
        markup.card(HOSTILE, [(HOSTILE, HOSTILE)], severity=HOSTILE),
    ):
        seen = Seen(made)
        assert "script" not in seen.elements
        assert "\x1b" not in made
        assert "\u202e" not in made
        assert "\\x1b[2J" in seen.text
        assert "<script>alert(1)</script>" in seen.text
