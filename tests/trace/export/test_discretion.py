"""What was sent, arguments and paths of Unix sockets leave with no export unless they are asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.canary import CANARY, PLAIN
from wallsocket.events import Packet
from wallsocket.trace.export import FORMATS
from wallsocket.trace.export.discretion import Discretion
from wallsocket.trace.recording import Recording

NAMES = list(FORMATS)
#: The secret as it may hide: as it is, in hexadecimal digits with and without spaces, and its beginning, where payload is cut.
SHAPES = [
    shape
    for text in (CANARY.encode(), CANARY[:8].encode(), PLAIN.encode(), PLAIN.upper().encode())
    for shape in (text, text.hex().encode(), text.hex(" ").encode())
]


def wallsocket(*words: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "wallsocket", *map(str, words)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["calls_only", "with_wire"])
def test_no_export_tells_the_secret(name: str, kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    recording = request.getfixturevalue(kind)
    done = wallsocket("export", recording, tmp_path / "file", "--to", name)
    whole = (tmp_path / "file").read_bytes() + done.stdout + done.stderr
    assert len(whole) > 500
    for shape in SHAPES:
        assert shape not in whole, shape
    assert b"without payload, argument values and Unix paths" in done.stderr


def test_it_leaves_where_it_is_asked_for(calls_only: Path, with_wire: Path, tmp_path: Path) -> None:
    for name in ("pcapng", "ndjson", "qlog", "perfetto"):
        wallsocket("export", with_wire, tmp_path / name, "--to", name, "--with-payload")
        whole = (tmp_path / name).read_bytes()
        assert any(shape in whole for shape in SHAPES), name
    wallsocket("export", calls_only, tmp_path / "calls", "--to", "pcapng", "--with-payload")
    assert CANARY.encode() in (tmp_path / "calls").read_bytes()


def test_what_is_left_is_of_use(calls_only: Path, tmp_path: Path) -> None:
    wallsocket("export", calls_only, tmp_path / "a.ndjson")
    objects = [json.loads(line) for line in (tmp_path / "a.ndjson").read_text().splitlines()]
    kinds = {next(iter(item)) for item in objects}
    assert kinds >= {"process", "socket", "call", "state", "conversation", "line", "finding"}
    calls = [item["call"] for item in objects if "call" in item]
    assert {"connect", "sendto", "recvfrom"} <= {call["name"] for call in calls}
    assert any(call["file"].endswith("talk.py") and call["line"] for call in calls if call["file"])
    assert any(item["socket"]["local"] == "unix:…" for item in objects if "socket" in item)
    findings = [item["finding"] for item in objects if "finding" in item]
    assert "close-with-unread-data" in {finding["rule"] for finding in findings}
    # Sentences stay sentences.
    assert all(finding["why"].count("…") <= 4 for finding in findings), [finding["why"] for finding in findings]


@pytest.fixture
def discretion(calls_only: Path) -> Iterator[Discretion]:
    with Recording.open(calls_only) as recording:
        yield Discretion(recording, with_payload=False)


def test_a_sentence_loses_only_what_was_sent(discretion: Discretion) -> None:
    whole = "500 bytes had not been read at call 12 close(): the kernel answered the peer with RST instead of FIN."
    assert discretion.text(whole) == whole
    assert discretion.text(f"asked for {CANARY}.example.com at 127.0.0.1:53") == "asked for … at 127.0.0.1:53"
    assert discretion.text(f"unix:@{CANARY} has nobody") == "unix:@… has nobody"
    assert discretion.text("read 00 00 04 00 as a length") == "read … as a length"


def test_a_frame_is_told_as_far_as_it_is_a_header(discretion: Discretion) -> None:
    junk = Packet(1, 0, "lo", 1, 200, bytes(12) + b"\x12\x34" + CANARY.encode() * 9)
    assert CANARY.encode()[:4] not in discretion.frame(junk)
