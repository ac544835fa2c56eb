"""What is recorded of a run is what strace, tcpdump and ss saw: nothing is missing, nothing invented."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support.repository import ROOT
from tests.support.witnesses import PROGRAM
from wallsocket.events import Call
from wallsocket.trace import importing
from wallsocket.trace.recording import Recording
from wallsocket.trace.syscalls import names

NAMES = names("x86_64")
#: A network of its own; tcpdump, unlike one that root starts, gives up nothing there.
ALONE = [
    "unshare",
    "--user",
    "--map-current-user",
    "--keep-caps",
    "--net",
    "sh",
    "-c",
    'ip link set lo up && exec "$@"',
    "sh",
]
WITNESSES = ("strace", "tcpdump", "ss", "unshare", "ip")

pytestmark = [
    pytest.mark.timeout(400),
    pytest.mark.skipif(not all(map(shutil.which, WITNESSES)), reason=f"needs {', '.join(WITNESSES)}"),
    pytest.mark.skipif(not Path("/usr/bin/python3").exists(), reason="needs a Python of the system"),
]


def seen(call: Call) -> tuple[Any, ...]:
    """A call with all that strace tells as well: its arguments, its result, what it moved."""
    # Which socket a poll is about strace does not say.
    fd = None if NAMES[call.number] == "poll" else call.fd
    arguments = (fd, call.length, call.flags, call.a, call.b, call.c, call.address, call.value)
    return (NAMES[call.number], *arguments, call.result, call.payload or b"")


def calls(recording: Recording) -> list[list[tuple[Any, ...]]]:
    """Of each process, in the order in which it made them."""
    found: dict[int, list[tuple[Any, ...]]] = {}
    for call in recording.calls():
        found.setdefault(call.process, []).append(seen(call))
    return list(found.values())


def captured(path: Path) -> Counter[bytes]:
    """The frames of a capture file (pcap-savefile(5)), without any code of ours."""
    data = path.read_bytes()
    frames: Counter[bytes] = Counter()
    at = 24
    while at < len(data):
        length, whole = struct.unpack_from("<II", data, at + 8)
        assert length == whole
        frames[data[at + 16 : at + 16 + length]] += 1
        at += 16 + length
    return frames


@pytest.fixture(scope="module")
def strace_saw(tmp_path_factory: pytest.TempPathFactory) -> list[list[tuple[Any, ...]]]:
    folder = tmp_path_factory.mktemp("strace")
    for name in ("start", "go"):
        (folder / name).touch()
    words = importing.strace.COMMAND.replace("strace.log COMMAND", str(folder / "log")).split()
    command = [*ALONE, *words, "/usr/bin/python3", str(PROGRAM), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if "unshare" in done.stderr or "PTRACE" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    with importing.open_files([folder / "log"]) as recording:
        return calls(recording)


@pytest.mark.parametrize("way", ["ptrace", "preload", "attach"])
def test_the_witnesses_agree(way: str, strace_saw: list[list[tuple[Any, ...]]], tmp_path: Path) -> None:
    command = [*ALONE, sys.executable, "-m", "tests.support.witnesses", way, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    if "Couldn't change to" in (tmp_path / "tcpdump").read_text():
        pytest.skip("tcpdump gives its rights up when root starts it")
    assert done.returncode == 0, done.stderr
    with Recording.open(tmp_path / "run.wsrec") as recording:
        assert recording.meta["lost"] == "0"
        assert recording.meta["wire"] == "yes"
        recorded = calls(recording)
        frames = Counter(bytes(packet.frame) for packet in recording.packets())
    assert [len(one) for one in recorded] == [len(one) for one in strace_saw]
    assert recorded == strace_saw
    assert frames == captured(tmp_path / "run.pcap")
    ss, own = json.loads((tmp_path / "ss").read_text())
    assert own == ss
    # A listener with one in its queue, and three connections of which two ends each are open but the unaccepted one's.
    assert ss["127.0.0.1:4000 0.0.0.0:0"] == ["LISTEN", 1, 5]
    assert ss["127.0.0.1:4000 127.0.0.1:4010"] == ["ESTAB", 3, 0]
    assert ss["127.0.0.1:4011 127.0.0.1:4000"][0] == "FIN-WAIT-2"
