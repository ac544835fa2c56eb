"""A guardian that ends too early, or never begins, is told as what it is."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wallsocket.errors import NotAvailable
from wallsocket.trace.recording import Recording

#: The module: in its package ``run`` is a function.
run = importlib.import_module("wallsocket.trace.run")
WALLSOCKET = [sys.executable, "-m", "wallsocket"]
#: Tells who traces it, and waits.
PROGRAM = """
import os, socket, sys
a, b = socket.socketpair()
a.send(b"x")
print(os.getppid(), flush=True)
sys.stdin.readline()
"""


def test_an_order_that_the_guardian_does_not_understand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "TICK_MS", 1 << 20)  # more than its field holds, as a field of another version would be
    with pytest.raises(
        NotAvailable, match="guardian: this tracing program does not fit this version .* run make build"
    ):
        run.run(["true"], output=tmp_path / "r.wsrec")
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr().err == ""


def test_rows_that_the_recorder_does_not_understand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "guardian"
    other.write_text(
        f"#!{sys.executable}\nimport json, os, sys\nos.write(json.loads(sys.argv[1])['rows_fd'], b'\\xff' * 100)\n"
    )
    other.chmod(0o755)
    monkeypatch.setattr(run, "guardian_path", lambda: other)
    with pytest.raises(NotAvailable, match="does not fit this version"):
        run.run(["true"], output=tmp_path / "r.wsrec")


def test_a_guardian_that_cannot_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "guardian"
    other.write_bytes(b"\x7fELF of another machine")
    other.chmod(0o755)
    monkeypatch.setattr(run, "guardian_path", lambda: other)
    with pytest.raises(NotAvailable, match="cannot be started: Exec format error"):
        run.run(["true"], output=tmp_path / "r.wsrec")


@pytest.mark.parametrize(
    ("number", "words"),
    [(signal.SIGKILL, "the tracing program was killed"), (signal.SIGABRT, "the tracing program was killed by SIGABRT")],
)
def test_what_killed_it_is_said_and_is_no_success(number: signal.Signals, words: str, tmp_path: Path) -> None:
    path = tmp_path / "r.wsrec"
    command = [*WALLSOCKET, "explain", "-o", str(path), "--", sys.executable, "-c", PROGRAM]
    with subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-1, text=True) as process:
        assert process.stdout is not None
        os.kill(int(process.stdout.readline()), number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    flat = " ".join(errors.split())
    assert f": {words}; rules cannot tell what came after it;" in flat
    assert "Recording cut off at" in flat
    assert "No finding" not in flat
    with Recording.open(path) as recording:
        assert recording.failure == words
        assert recording.meta["end"] == "guardian died"
    again = subprocess.run([*WALLSOCKET, "explain", str(path)], capture_output=True, text=True, check=False)
    assert again.returncode == 2
    assert words in " ".join(again.stdout.split())


def test_a_guardian_whose_recorder_was_killed_looks_at_no_socket_any_more(tmp_path: Path) -> None:
    # It waits in a call that is not about sockets, and makes no other: nothing else wakes its guardian.
    command = [*WALLSOCKET, "trace", "-q", "-o", str(tmp_path / "r.wsrec"), "--", sys.executable, "-c", PROGRAM]
    with subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-1, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        guardian = int(process.stdout.readline())
        assert "sampler" in threads(guardian)
        process.kill()
        deadline = time.monotonic() + 60
        while "sampler" in threads(guardian):
            assert time.monotonic() < deadline, "it still samples"
            time.sleep(0.02)
        # The program is as it was, and its guardian ends with it.
        assert threads(guardian)
        process.stdin.write("go on\n")
        process.stdin.flush()
        assert process.stdout.read() == ""
        while threads(guardian):
            assert time.monotonic() < deadline, "it outlives its program"
            time.sleep(0.02)


def threads(pid: int) -> list[str]:
    """The names of the threads of a process; none when it has ended."""
    found = []
    for tid in os.listdir(f"/proc/{pid}/task") if os.path.exists(f"/proc/{pid}/task") else ():
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{pid}/task/{tid}/status").read_text()
            if "\nState:\tZ" not in status and "\nState:\tX" not in status:
                found.append(Path(f"/proc/{pid}/task/{tid}/comm").read_text().strip())
    return found
