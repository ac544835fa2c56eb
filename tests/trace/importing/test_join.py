"""A log and a capture of one run, joined by ports and time."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.talk import MS, S, Talk
from wallsocket.diagnose import diagnose
from wallsocket.errors import RecordingError
from wallsocket.trace import importing
from wallsocket.trace.recording import Recording

ROOT = Path(__file__).parents[3]
BEGIN = 1_796_021_221
DECORATED = "3<TCP:[10.0.0.1:40000->10.0.0.2:80]>"
WHERE = '{sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("10.0.0.2")}'


def capture(folder: Path, connections: int = 1) -> Path:
    talk = Talk()
    for number in range(connections):
        talk.ports = (40000 + number, 80)
        talk.opens()
        talk.says(0, b"GET / HTTP/1.1\r\n\r\n")
        talk.says(1, b"HTTP/1.1 204 \r\n\r\n")
        talk.wait(S)
    return talk.written(folder / "talk.pcapng")


def log(folder: Path, *, clock: str = "date", decorated: bool = True, skew_s: float = 0.0) -> Path:
    """The client's log of the same: the SYN leaves 40 µs after connect was entered."""

    def at(seconds: float) -> str:
        seconds += skew_s - 0.00004
        if clock == "date":
            return f"{BEGIN + seconds:.6f}"
        if clock == "day":
            # One hour east of the capture's clock.
            day = (BEGIN + seconds + 3600) % 86400
            return f"{int(day // 3600):02d}:{int(day // 60 % 60):02d}:{day % 60:09.6f}"
        return f"     {max(0.0, seconds - at.before):.6f}"

    at.before = -0.00005  # type: ignore[attr-defined]
    fd = DECORATED if decorated else "3"
    lines = [
        (0, f"connect({fd if not decorated else '3<TCP:[7]>'}, {WHERE}, 16) = 0 <0.001300>"),
        (0.0014, f'sendto({fd}, "GET / HTTP/1.1\\r\\n\\r\\n", 18, 0, NULL, 0) = 18 <0.00002>'),
        (0.0015, f'recvfrom({fd}, "HTTP/1.1 204 \\r\\n\\r\\n", 100, 0, NULL, NULL) = 17 <0.000300>'),
        (0.0021, f"close({fd}) = 0 <0.00001>"),
    ]
    text = []
    for seconds, call in [(-0.00001, "socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 3 <0.000005>"), *lines]:
        text.append(f"{at(seconds)} {call}")
        at.before = seconds + skew_s - 0.00004  # type: ignore[attr-defined]
    path = folder / "strace.log"
    path.write_text("\n".join(text) + "\n")
    return path


def syn_after_connect(recording: Recording) -> int:
    call = next(one for one in recording.calls() if one.address is not None)
    return next(recording.packets()).at_ns - call.entry_ns


@pytest.mark.parametrize("clock", ["date", "day", "relative"])
@pytest.mark.parametrize("decorated", [True, False], ids=["-yy", ""])
def test_clocks_and_ends(tmp_path: Path, clock: str, decorated: bool) -> None:
    files = [capture(tmp_path), log(tmp_path, clock=clock, decorated=decorated)]
    if clock == "relative" and not decorated:
        # One connection to the same place may be another run's.
        with pytest.raises(RecordingError, match="shares no connection"):
            importing.open_files(files)
        return
    with importing.open_files(files) as recording:
        assert recording.meta["imported"] == '["talk.pcapng", "strace.log"]'
        assert 0 <= syn_after_connect(recording) < MS
        assert [one.origin for one in recording.sockets.values()] == ["socket"]
        one = recording.sockets[1]
        assert one.local is not None
        assert int.from_bytes(one.local[2:4], "big") == 40000


def test_a_clock_that_is_wrong_is_set_right_where_both_ends_are_known(tmp_path: Path) -> None:
    wire = capture(tmp_path)
    with importing.open_files([wire, log(tmp_path, skew_s=17.5)]) as recording:
        assert abs(syn_after_connect(recording)) < MS
    with pytest.raises(RecordingError, match="shares no connection"):
        importing.open_files([wire, log(tmp_path, skew_s=17.5, decorated=False)])


def test_a_frame_may_leave_late_in_a_call(tmp_path: Path) -> None:
    """As on a busy machine: the call says how long it took."""
    path = log(tmp_path, skew_s=-0.2, decorated=False)
    path.write_text(path.read_text().replace("<0.001300>", "<0.250000>"))
    with importing.open_files([capture(tmp_path), path]) as recording:
        assert syn_after_connect(recording) == pytest.approx(200 * MS, abs=MS)


def test_conversations_that_were_not_traced_have_inferred_ends(tmp_path: Path) -> None:
    with importing.open_files([capture(tmp_path, connections=3), log(tmp_path)]) as recording:
        assert [one.origin for one in recording.sockets.values()] == ["socket", *["inferred"] * 4]


def test_a_capture_alone(tmp_path: Path) -> None:
    with importing.open_files([capture(tmp_path)]) as recording:
        assert recording.meta["calls"] == "a capture holds no calls"
        assert [(one.id, one.origin, one.process) for one in recording.sockets.values()] == [
            (1, "inferred", 0),
            (2, "inferred", 0),
        ]
        assert recording.meta_int("started_realtime_ns") == BEGIN * S
        assert not list(recording.calls())


def test_the_same_files_give_the_same_recording(tmp_path: Path) -> None:
    files = [capture(tmp_path), log(tmp_path)]
    for name in ("one", "two"):
        importing.write(files, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert (tmp_path / "one").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("end", [".pcap", ".pcapng.gz", ".pcapng.zst"])
def test_what_the_wire_reads_is_read(tmp_path: Path, end: str) -> None:
    talk = Talk()
    talk.opens()
    with importing.open_files([talk.written(tmp_path / f"talk{end}")]) as recording:
        assert len(list(recording.packets())) == 3


def test_a_capture_that_was_cut_off_cannot_tell_of_what_is_missing(tmp_path: Path) -> None:
    wire = capture(tmp_path)
    wire.write_bytes(wire.read_bytes()[:-10])
    with importing.open_files([wire]) as recording:
        assert recording.meta["wire"].startswith("incomplete: the file's last")


def run(*words: str, where: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "wallsocket", *words], cwd=where, capture_output=True, text=True, timeout=100
    )


def test_the_commands_of_the_page(tmp_path: Path) -> None:
    page = (ROOT / "docs/import.md").read_text()
    assert importing.strace.COMMAND in page
    capture(tmp_path)
    log(tmp_path)
    commands = re.findall(r"^\$ wallsocket (.*)$", page, re.MULTILINE)
    assert len(commands) == 6
    for command in commands:
        done = run(*command.split(), where=tmp_path)
        assert (done.returncode, done.stderr) == (0, ""), (command, done.stderr)
        assert done.stdout
    assert (tmp_path / "incident.wsrec").stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace (apt install strace)")
def test_the_command_of_the_page_makes_a_log_that_is_read(tmp_path: Path) -> None:
    words = importing.strace.COMMAND.removesuffix(" COMMAND").split()
    subprocess.run([*words, sys.executable, "-c", "import socket; socket.socketpair()"], cwd=tmp_path, check=True)
    with importing.open_files([tmp_path / "strace.log"]) as recording:
        assert recording.meta["exit_status"] == "0"
        assert [one.origin for one in recording.sockets.values()] == ["socketpair", "socketpair"]


def test_what_frames_alone_tell_is_told_of_both_where_nothing_else_is_said(tmp_path: Path) -> None:
    talk = Talk()
    talk.ports = (40000, 80)
    talk.opens()
    talk.says(0, b"GET / HTTP/1.1\r\n\r\n")
    talk.wait(S)
    talk.segment(1, "R.")
    wire = talk.written(tmp_path / "talk.pcapng")
    path = log(tmp_path)
    lines = [line for line in path.read_text().splitlines() if "recvfrom" not in line and "close" not in line]
    path.write_text("\n".join([*lines, f"{BEGIN + 2}.000000 close({DECORATED}) = 0 <0.00001>"]) + "\n")
    for files in ([wire], [wire, path]):
        with importing.open_files(files) as recording:
            assert [finding.rule for finding in diagnose(recording).findings] == ["connection-reset"]
