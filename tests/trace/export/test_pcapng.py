"""pcapng, read by tshark: which line sent packet 12?"""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.canary import CANARY
from tests.support.recordings import Script, lost_letter
from wallsocket import wire
from wallsocket.cli import main
from wallsocket.errors import UsageError
from wallsocket.trace.export import export
from wallsocket.trace.recording import Recording

Exported = Callable[..., Path]
needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark")


def tshark(path: Path, *fields: str, where: str = "frame") -> list[list[str]]:
    words = ["tshark", "-r", str(path), "-Y", where, "-T", "fields", *(f"-e{field}" for field in fields)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return [line.split("\t") for line in done.stdout.splitlines()]


@needs_tshark
def test_which_line_sent_a_packet(tmp_path: Path) -> None:
    with lost_letter(tmp_path / "a.wsrec") as recording:
        export(recording, tmp_path / "a.pcapng")
    ((comment,),) = tshark(tmp_path / "a.pcapng", "frame.comment", where="frame.number == 6")
    assert comment == "upper.py (pid 70): sendto(1024) = 1024 at /srv/upper.py:7"
    ((comment,),) = tshark(tmp_path / "a.pcapng", "frame.comment", where="frame.number == 8")
    assert comment == "upper.py (pid 70): close() = 0 at /srv/upper.py:8"
    assert tshark(tmp_path / "a.pcapng", "frame.comment", where="frame.number == 4") == [
        ["nc (pid 71): write(3000) = 3000, line unknown"]
    ]
    assert "sent by the kernel" in tshark(tmp_path / "a.pcapng", "frame.comment", where="frame.number == 2")[0][0]
    # The process is told in a field of its own too.
    with wire.read(tmp_path / "a.pcapng") as frames:
        assert [frame.process_id for frame in frames][3:6] == [71, 70, 70]


@needs_tshark
def test_findings_stand_at_their_packets(with_wire: Path, exported: Exported) -> None:
    comments = [
        row[0] for row in tshark(exported(with_wire, "a.pcapng"), "frame.comment", where="tcp.flags.reset == 1")
    ]
    assert any("[close-with-unread-data]" in comment and "talk.py:9" in comment for comment in comments), comments


@needs_tshark
def test_headers_alone_with_the_length_that_there_was(with_wire: Path, exported: Exported) -> None:
    rows = tshark(exported(with_wire, "a.pcapng"), "frame.len", "frame.cap_len", "tcp.len", where="tcp.len > 0")
    assert rows
    assert all(int(length) - int(kept) == int(payload) for length, kept, payload in rows)


def test_numbers_that_no_tracer_writes_are_written_as_far_as_the_format_goes(with_wire: Path, tmp_path: Path) -> None:
    path = tmp_path / "damaged.wsrec"
    shutil.copyfile(with_wire, path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE packet SET length = 1 << 40, at_ns = 9223372036854775807")
        connection.execute("UPDATE meta SET value = '9223372036854775807' WHERE key = 'started_realtime_ns'")
    with Recording.open(path) as recording:
        export(recording, tmp_path / "a.pcapng")
    assert main(["export", str(path), str(tmp_path / "a.html")]) == 0
    with wire.read(tmp_path / "a.pcapng") as reader:
        frames = list(reader)
    assert frames
    assert {(frame.original_length, frame.timestamp_ns) for frame in frames} == {(2**32 - 1, 2**63 - 1)}


@needs_tshark
def test_payload_goes_along_when_it_is_asked_for(with_wire: Path, exported: Exported) -> None:
    path = exported(with_wire, "a.pcapng", with_payload=True)
    requests = tshark(path, "tcp.payload", where="tcp.len > 0")
    assert any(bytes.fromhex(row[0]).startswith(b"GET /" + CANARY.encode()[:10]) for row in requests if row[0])
    assert b"Payload was left out" not in path.read_bytes()


@needs_tshark
def test_calls_imply_packets(calls_only: Path, exported: Exported) -> None:
    path = exported(calls_only, "a.pcapng")
    rows = tshark(path, "frame.comment", "_ws.col.Protocol", "_ws.col.Info", "frame.len")
    assert all(row[0].startswith("implied, not captured; ") for row in rows)
    flags = [row[0] for row in tshark(path, "tcp.flags.str", where="tcp.port != 1 && tcp") if row[0]]
    assert [re.sub("[^A-Z]", "", each) for each in flags[:3]] == ["S", "AS", "A"]
    assert any("R" in each for each in flags)
    # The refused one.
    refused = [re.sub("[^A-Z]", "", row[0]) for row in tshark(path, "tcp.flags.str", where="tcp.port == 1")]
    assert refused == ["S", "AR"]
    # Sequence numbers are those of one honest stream: nothing is lost or sent twice.
    assert tshark(path, "frame.number", where="tcp.analysis.retransmission || tcp.analysis.lost_segment") == []
    unix = [row for row in rows if row[1] == "Unix"]
    assert any(f"Unix: {len(CANARY)} bytes; " in row[0] and "talk.py:" in row[0] for row in unix), unix
    assert any("dns" in row[1].lower() or "udp" in row[1].lower() for row in rows)
    assert b"No packet was captured" in path.read_bytes()


@needs_tshark
def test_of_one_end_alone_what_the_other_did_follows_from_its_calls(tmp_path: Path) -> None:
    script = Script(tmp_path / "a.wsrec", wire="needs CAP_NET_RAW")
    script.process(1, 70, "server")
    script.socket(1, 1, 0, local="127.0.0.1:80")
    script.socket(2, 1, 5, 90, local="127.0.0.1:80", remote="10.0.0.9:5000", origin="accept", parent=1)
    script.call("accept4", 1, 4, 4, fd=3, socket=1, made=2, address="10.0.0.9:5000")
    script.call("recvfrom", 10, 2, 5, fd=4, socket=2, a=0, length=100, offset=0)
    script.call("sendto", 20, 2, 70000, fd=4, socket=2, a=0, length=70000, offset=0)
    script.call("recvfrom", 30, 2, 0, fd=4, socket=2, a=0, length=100, offset=5)
    script.call("close", 89, 1, fd=4, socket=2)
    with script.done(100) as recording:
        export(recording, tmp_path / "a.pcapng")
    rows = tshark(tmp_path / "a.pcapng", "ip.src", "tcp.flags.str", "tcp.len", "tcp.seq")
    assert [(row[0], re.sub("[^A-Z]", "", row[1]), row[2]) for row in rows] == [
        ("10.0.0.9", "S", "0"), ("127.0.0.1", "AS", "0"), ("10.0.0.9", "A", "0"), ("10.0.0.9", "AP", "5"),
        ("127.0.0.1", "AP", "65000"), ("127.0.0.1", "AP", "5000"), ("10.0.0.9", "AF", "0"), ("127.0.0.1", "AF", "0"),
    ]  # fmt: skip


@needs_tshark
def test_a_comment_says_what_the_line_is_to_the_call(every_known: Path, tmp_path: Path) -> None:
    with Recording.open(every_known) as recording:
        export(recording, tmp_path / "a.pcapng")
    told = [
        row[0].partition(" = 5")[2].partition(";")[0]
        for row in tshark(tmp_path / "a.pcapng", "frame.comment")
        if " = 5" in row[0]
    ]
    where = "/srv/a.py:7"
    assert told == [
        f" at {where}", f", on a socket made at {where}", f", awaited at {where}", f" in {where}", ", line unknown"
    ]  # fmt: skip


@needs_tshark
def test_keys_stand_before_what_they_open_and_the_file_says_so(tmp_path: Path) -> None:
    log = b"CLIENT_RANDOM " + b"00" * 32 + b" " + b"11" * 48 + b"\n"
    with lost_letter(tmp_path / "a.wsrec") as recording:
        with pytest.raises(UsageError, match="--with-payload"):
            export(recording, tmp_path / "a.pcapng", tls_keys=log)
        with pytest.raises(UsageError, match="no key of a TLS session"):
            export(recording, tmp_path / "a.pcapng", tls_keys=b"-----BEGIN CERTIFICATE-----\n", with_payload=True)
        assert not (tmp_path / "a.pcapng").exists()
        export(recording, tmp_path / "a.pcapng", tls_keys=log, with_payload=True)
    whole = (tmp_path / "a.pcapng").read_bytes()
    assert b"THIS FILE CONTAINS KEYS" in whole
    assert whole.index(log) < whole.index(b"upper.py (pid 70): sendto")
    assert len(tshark(tmp_path / "a.pcapng", "frame.number")) == 8


@needs_tshark
def test_into_a_pipe(tmp_path: Path) -> None:
    lost_letter(tmp_path / "a.wsrec").close()
    command = [sys.executable, "-m", "wallsocket", "export", str(tmp_path / "a.wsrec"), "-", "--to", "pcapng"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=100)
    assert (done.returncode, done.stderr) == (0, b"")
    (tmp_path / "b.pcapng").write_bytes(done.stdout)
    assert len(tshark(tmp_path / "b.pcapng", "frame.number")) == 8


def test_a_recording_without_sockets_is_an_empty_capture(tmp_path: Path) -> None:
    with Script(tmp_path / "a.wsrec").done(1) as recording:
        export(recording, tmp_path / "a.pcapng")
    with wire.read(tmp_path / "a.pcapng") as frames:
        assert list(frames) == []


def test_the_file_is_new_whole_and_private(tmp_path: Path) -> None:
    (tmp_path / "a.pcapng").write_text("older")
    (tmp_path / "a.pcapng").chmod(0o644)
    with lost_letter(tmp_path / "a.wsrec") as recording:
        export(recording, tmp_path / "a.pcapng", replace=True)
    assert (tmp_path / "a.pcapng").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pcapng", "a.wsrec"]
    (tmp_path / "folder.pcapng").mkdir()
    with Recording.open(tmp_path / "a.wsrec") as recording, pytest.raises(UsageError, match="is a directory"):
        export(recording, tmp_path / "folder.pcapng")
