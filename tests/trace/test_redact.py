"""What a redacted recording still tells, and what it does not."""

from __future__ import annotations

import ipaddress
import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.canary import CANARY, PLAIN, TALK
from tests.support.recordings import Script, lost_letter, tcp_frame, unix
from tests.support.repository import ROOT
from wallsocket import wire
from wallsocket._core import segments
from wallsocket.diagnose import diagnose
from wallsocket.diagnose.redaction import redact_keeping_findings
from wallsocket.errors import NotPermitted, RecordingError, UsageError
from wallsocket.trace.recording import Recording
from wallsocket.trace.redact import _mapped, redact, shape
from wallsocket.trace.run import run

EXAMPLES = ROOT / "src/wallsocket/diagnose/examples"
KEY = b"a key for tests."


@given(
    st.integers(0, 2**32 - 1).map(ipaddress.IPv4Address),
    st.integers(0, 2**32 - 1).map(ipaddress.IPv4Address),
    st.binary(min_size=1, max_size=16),
)
def test_addresses_stay_what_they_are_for(one: ipaddress.IPv4Address, other: ipaddress.IPv4Address, key: bytes) -> None:
    mapped, second = _mapped(one, key), _mapped(other, key)
    for kind in ("is_private", "is_loopback", "is_multicast", "is_unspecified", "is_link_local", "is_global"):
        assert getattr(one, kind) == getattr(mapped, kind), kind
    assert (one == other) == (mapped == second)
    assert int(mapped) & 0xFF == int(one) & 0xFF


@given(st.integers(0, 2**16), st.integers(0, 2**16), st.sampled_from(["10.0.0.0/8", "192.168.0.0/16", "172.16.0.0/12"]))
def test_neighbours_stay_neighbours(one: int, other: int, network: str) -> None:
    base = ipaddress.IPv4Network(network)
    a, b = base[one % base.num_addresses], base[other % base.num_addresses]
    x, y = _mapped(a, KEY), _mapped(b, KEY)
    assert x in base
    common = 32 - (int(a) ^ int(b)).bit_length()
    assert 32 - (int(x) ^ int(y)).bit_length() == common


@given(st.integers(0, 2**128 - 1).map(ipaddress.IPv6Address))
def test_so_do_those_of_ipv6(one: ipaddress.IPv6Address) -> None:
    mapped = _mapped(one, KEY)
    for kind in ("is_loopback", "is_multicast", "is_unspecified", "is_link_local"):
        assert getattr(one, kind) == getattr(mapped, kind), kind
    assert (one.ipv4_mapped is None) == (mapped.ipv4_mapped is None)  # type: ignore[union-attr]


@given(st.binary(max_size=300))
def test_a_shape_has_no_letter_and_no_digit_of_its_own(payload: bytes) -> None:
    told = shape(payload)
    if segments.protocol(payload) is None:
        assert len(told) == len(payload)
        assert shape(told) == told
        assert (
            not set(told.replace(b"localhost", b"").replace(b"http", b""))
            & set(b"abcdefgijkmnqruvwyzABCDEFGHIJKLMNOPQRSTUVWYZ123456789")
            or b":" in payload
            or b"." in payload
        )


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        (b"Dear Sir,\nyour code is 4711\n", b"Xxxx Xxx,\nxxxx xxxx xx 0000\n"),
        (b"\0\0\x04\0secret", b"\0\0\x04\0xxxxxx"),
        (
            b"GET /secret?x=1 HTTP/1.1\r\nHost: me.example\r\n\r\nbody",
            b"GET /xxxxxx?x=0 HTTP/1.1\r\nHost: xx.xxxxxxx\r\n\r\nxxxx",
        ),
        (b"HTTP/1.1 404 Not here\r\n\r\n", b"HTTP/1.1 404 Xxx xxxx\r\n\r\n"),
        ("für dich".encode(), b"x\x80\x80x xxxx"),
        (b"", b""),
    ],
)
def test_shapes(payload: bytes, told: bytes) -> None:
    assert shape(payload) == told


def test_everywhere_the_same_address_and_right_checksums(tmp_path: Path) -> None:
    script = Script(tmp_path / "a.wsrec")
    script.process(1, 70, "/home/alice/bin/tool", "--password", "hunter22")
    script.socket(1, 1, 0, local="192.168.7.9:1000", remote="8.8.4.4:53", type=2, protocol=17)
    script.socket(2, 1, 0, family=1, type=1, protocol=0, local=unix(b"/run/user/alice/app.sock\0"))
    script.call(
        "sendto",
        1,
        1,
        6,
        fd=3,
        socket=1,
        address="8.8.4.4:53",
        length=6,
        payload=b"hunter",
        line=("/home/alice/x/tool.py", 3, "f"),
    )
    script.call("setsockopt", 3, fd=3, socket=1, a=0, b=35, value=b"\xe0\0\0\x09" + bytes([192, 168, 7, 9]))
    sent = bytes(
        wire.Ethernet(source="00:16:3e:11:22:33", destination="00:16:3e:44:55:66")
        / wire.IPv4(source="192.168.7.9", destination="8.8.4.4")
        / wire.UDP(source_port=1000, destination_port=53)
        / wire.Raw(b"hunter")
    )
    script.frame(2, sent)
    answer = wire.IPv4(source="8.8.4.4", destination="192.168.7.9") / wire.ICMP(type=3, code=3) / wire.Raw(sent[14:42])
    script.frame(4, bytes(wire.Ethernet() / answer))
    script.frame(5, b"\xff" * 40)
    recording = script.done(100)
    done = redact(recording, tmp_path / "b.wsrec", key=KEY)
    whole = (tmp_path / "b.wsrec").read_bytes()
    for word in (
        b"hunter",
        b"alice",
        b"app.sock",
        bytes([192, 168, 7, 9]),
        b"192.168.7.9",
        bytes([8, 8, 4, 4]),
        bytes.fromhex("00163e112233"),
    ):
        assert word not in whole, word
    assert done.addresses == 2
    with Recording.open(tmp_path / "b.wsrec") as copy:
        local, remote = (str(_mapped(ipaddress.ip_address(text), KEY)) for text in ("192.168.7.9", "8.8.4.4"))
        assert copy.sql("SELECT address(local), address(remote) FROM socket WHERE id = 1")[0] == (
            f"{local}:1000",
            f"{remote}:53",
        )
        name = copy.sockets[2].local
        assert name is not None
        assert (len(name), name[2:12], name[-6:-5]) == (2 + 25, b"/run/user/", b".")
        frames = [wire.decode(packet.frame, original_length=packet.length) for packet in copy.packets()]
        assert (frames[0].ip.source, frames[0].ip.destination) == (local, remote)  # type: ignore[union-attr]
        assert frames[0].checksums[0] == "good"
        assert len(frames[0]) == 42
        assert frames[1].quoted is not None
        assert frames[1].quoted.ip.source == local  # type: ignore[union-attr]
        assert frames[2].bytes == b""
        call = next(copy.calls(numbers=[54]))
        assert call.value == b"\xe0\0\0\x09" + ipaddress.ip_address(local).packed
        assert copy.sources[1].file is not None
        assert copy.sources[1].file.endswith("/tool.py")
        assert json.loads(copy.processes[1].command or "")[0].endswith("/tool")
    assert (tmp_path / "b.wsrec").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("lab", [False, True])
def test_a_secret_is_nowhere_in_the_file_and_the_findings_are(lab: bool, tmp_path: Path) -> None:
    (tmp_path / "talk.py").write_text(TALK)
    home = tmp_path / CANARY
    home.mkdir()
    path = tmp_path / "a.wsrec"
    try:
        run(
            [sys.executable, str(tmp_path / "talk.py"), str(home), "--password", CANARY],
            output=path,
            lab=lab,
            payload=None,
        )
    except NotPermitted as error:
        pytest.skip(f"no private network here: {error}")
    command = [sys.executable, "-m", "wallsocket", "redact", str(path), "-o", str(tmp_path / "b.wsrec")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    for text in (CANARY, CANARY[:8], PLAIN, PLAIN.upper()):
        for form in (text.encode(), text.encode().hex().encode(), text.encode().hex(" ").encode()):
            assert form not in (tmp_path / "b.wsrec").read_bytes() + done.stdout.encode()
    with Recording.open(path) as recording, Recording.open(tmp_path / "b.wsrec") as copy:
        before = [(finding.rule, finding.line) for finding in diagnose(recording).findings]
        assert before
        assert [(finding.rule, finding.line) for finding in diagnose(copy).findings] == before
        assert f"findings: {len(before)} of {len(before)} are the same in the copy" in done.stdout
        assert [json.loads(stored.value)["rule"] for stored in copy.findings()] == [rule for rule, _ in before]
        assert recording.sql("SELECT count(*) FROM call")[0] == copy.sql("SELECT count(*) FROM call")[0]


@pytest.mark.parametrize(
    ("name", "shaped"),
    [
        ("delimiter-missing", True),
        ("length-prefix-order", True),
        ("protocols-differ", True),
        ("character-cut", False),
        ("stale-unix-path", False),
        ("unix-name-differs", False),
        ("datagram-truncated", False),
    ],
)
def test_what_the_rules_find_is_found_in_the_copy(name: str, shaped: bool, tmp_path: Path) -> None:
    broken = EXAMPLES / name / "broken.py"
    run([sys.executable, str(broken)], output=tmp_path / "a.wsrec")
    with Recording.open(tmp_path / "a.wsrec") as recording:
        assert name in {finding.rule for finding in diagnose(recording).findings}
        done = redact_keeping_findings(recording, tmp_path / "b.wsrec")
    assert (done.lost, done.new) == ((), ())
    assert done.kept > 0
    assert (done.redacted.shaped_sockets > 0) is shaped


def test_what_rests_on_the_words_is_lost_and_said(tmp_path: Path) -> None:
    with lost_letter(tmp_path / "a.wsrec") as recording:
        done = redact_keeping_findings(recording, tmp_path / "b.wsrec")
    assert done.kept > 0
    assert done.redacted.payload_bytes > 128


def test_what_is_refused(tmp_path: Path) -> None:
    with lost_letter(tmp_path / "a.wsrec") as recording:
        with pytest.raises(UsageError, match="is the recording itself"):
            redact(recording, tmp_path / "a.wsrec", replace=True)
        (tmp_path / "b.wsrec").write_text("mine")
        with pytest.raises(RecordingError, match="exists already"):
            redact(recording, tmp_path / "b.wsrec")
    growing = Script(tmp_path / "c.wsrec")
    growing.writer.commit()
    with Recording.open(tmp_path / "c.wsrec") as recording, pytest.raises(UsageError, match="still being recorded"):
        redact(recording, tmp_path / "d.wsrec")
    growing.done(1).close()
    done = subprocess.run(
        [sys.executable, "-m", "wallsocket", "redact", str(tmp_path / "a.wsrec")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, "name the new recording: -o FILE" in done.stderr) == (2, True)


def test_frames_of_tcp_are_cut_behind_their_headers(tmp_path: Path) -> None:
    script = Script(tmp_path / "a.wsrec")
    frame = (
        wire.Ethernet()
        / wire.IPv4(source="10.1.2.3", destination="10.1.2.4")
        / wire.TCP(flags="P.")
        / wire.Raw(b"secret")
    )
    script.frame(1, bytes(frame))
    script.frame(2, tcp_frame("10.1.2.3:1", "10.1.2.4:2", "PA", payload=b"secret"))
    with script.done(5) as recording:
        redact(recording, tmp_path / "b.wsrec")
    with Recording.open(tmp_path / "b.wsrec") as copy:
        first, second = copy.packets()
        assert (len(first.frame), first.length) == (54, 60)
        assert b"secret" not in second.frame


def test_no_room_leaves_no_half_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.wsrec"
    script = Script(path)
    script.process(1, 70, "one")
    script.socket(1, 1, 0)
    for number in range(6000):
        script.call("sendto", number, 0.1, 5, fd=3, socket=1, length=5, payload=b"hello")
    script.done(7000).close()
    room = 160_000  # an empty recording has 100,000 bytes
    assert path.stat().st_size > 2 * room
    for words in (("redact", "-o", "b.wsrec"), ("freeze", "-o", "b.wsrec"), ("export", "b.ndjson")):
        command = [sys.executable, "-m", "wallsocket", words[0], str(path), *words[1:]]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=100, cwd=tmp_path,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)),
        )  # fmt: skip
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith(f"wallsocket: {words[-1]}: "), done.stderr
        assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.wsrec"], words
