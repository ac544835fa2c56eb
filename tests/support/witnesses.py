"""One run of ``witnessed.py`` in a network of its own, recorded in one way beside tcpdump and ss.

Run as ``python -m tests.support.witnesses WAY FOLDER`` there; the folder then has ``run.wsrec``, ``run.pcap`` and, as JSON,
``ss``: the states and queues of TCP sockets as ss printed them when the recording had come to say the same, or what both said
at last.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from socket import SOCK_STREAM

from wallsocket.errors import RecordingError
from wallsocket.kernel import names
from wallsocket.kernel.address import Address
from wallsocket.trace.recording import Recording

from .repository import ROOT

__all__ = ["PROGRAM", "States"]

PROGRAM = ROOT / "tests/programs/witnessed.py"
WALLSOCKET = [sys.executable, "-m", "wallsocket"]
PATIENCE_S = 60.0
#: Local address: state, bytes received or connections to be accepted, bytes sent or backlog.
States = dict[str, list[object]]


def until(done: Callable[[], bool], what: str) -> None:
    """Wait for a fact."""
    deadline = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def of_ss() -> States:
    words = ["ss", "--tcp", "--all", "--numeric", "--no-header"]
    lines = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    found: States = {}
    for state, receive, send, local, peer, *_ in (line.split() for line in lines):
        # What waits for its last moment, or to be accepted, is no descriptor's.
        if state != "TIME-WAIT" and (local, peer) != ("127.0.0.1:4000", "127.0.0.1:4012"):
            found[f"{local} {peer}".replace("*", "0")] = [state, int(receive), int(send)]
    return found


def of_recording(path: Path) -> States:
    """The latest that was recorded of each TCP socket that is open."""
    found: States = {}
    try:
        with Recording.open(path) as recording:
            latest = {}
            for state in recording.states():
                if state.state is not None:
                    latest[state.socket] = state
            for socket in recording.sockets.values():
                state = latest.get(socket.id)
                is_open = socket.ended_ns is None and socket.type == SOCK_STREAM
                if is_open and state is not None and socket.local is not None:
                    ends = " ".join(map(_end, (socket.local, socket.remote)))
                    name = names.tcp_state(state.state).replace("ESTABLISHED", "ESTAB").replace("_", "-")
                    # As ss spells it.
                    name = name.replace("FIN-WAIT", "FIN-WAIT-")
                    found[ends] = [name, state.receive_queue, state.send_queue]
    except RecordingError:
        return {}
    return found


def _end(sockaddr: bytes | None) -> str:
    if sockaddr is None:
        return "0.0.0.0:0"
    address = Address.decode(sockaddr)
    return f"{address.host}:{address.port}"


def main(way: str, folder: Path) -> int:
    """Play it; ``way`` is ``ptrace``, ``preload`` or ``attach``."""
    recording = folder / "run.wsrec"
    words = [*WALLSOCKET, "trace", "-o", str(recording), "--payload", "256"]
    program = ["/usr/bin/python3", str(PROGRAM), str(folder)]
    # In immediate mode its ring has room for so many frames of the greatest length: small ones, and all fit.
    capture = [
        "tcpdump",
        "-i",
        "lo",
        "-w",
        str(folder / "run.pcap"),
        "--immediate-mode",
        "-U",
        "-s",
        "2048",
        "-B",
        "16384",
    ]
    with (
        (folder / "tcpdump").open("wb") as said,
        subprocess.Popen(capture, stderr=said) as tcpdump,
        (folder / "trace").open("wb") as trace,
    ):
        try:
            until(lambda: b"listening on" in (folder / "tcpdump").read_bytes(), "tcpdump does not listen")
            target = None
            if way == "attach":
                target = subprocess.Popen(program)
                recorder = subprocess.Popen([*words, "-p", str(target.pid)], stderr=trace)
                until(lambda: b"attached to" in (folder / "trace").read_bytes(), "not attached")
            else:
                recorder = subprocess.Popen([*words, "--via", way, "--", *program], stderr=trace)
            (folder / "start").touch()
            until((folder / "ready").exists, "the program did not come so far")
            deadline = time.monotonic() + PATIENCE_S
            while (ss := of_ss()) != (own := of_recording(recording)) and time.monotonic() < deadline:
                time.sleep(0.05)
            (folder / "ss").write_text(json.dumps([ss, own]))
            (folder / "go").touch()
            status = recorder.wait(PATIENCE_S)
            if target is not None:
                status = status or target.wait(PATIENCE_S)
        finally:
            tcpdump.terminate()
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
