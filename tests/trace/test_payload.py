"""What is not to be kept of payload stands nowhere: in no row, in no view, whatever kind of socket it went through."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from wallsocket.cli import main
from wallsocket.trace.export import FORMATS
from wallsocket.trace.recording import Recording

PROGRAM = Path(__file__).parent.parent / "programs" / "every_family.py"
WALLSOCKET = [sys.executable, "-m", "wallsocket"]
#: Given to the program through a file: its command line is recorded.
SECRET = "kZ7qX9vW3jQ8hT5mLb"
VIEWS = [
    ["show"],
    ["show", "--all"],
    ["show", "--calls", "--all"],
    ["show", "--calls", "--stack"],
    ["show", "--states"],
    ["show", "--packets"],
    ["show", "--summary"],
    ["show", "--json"],
    ["explain"],
    ["explain", "--json"],
    ["explain", "--github"],
    ["explain", "--sarif", "-"],
]
#: Commands that write a file: at {} stands its name, and the recording's comes before or behind.
FILES = {
    **{name: ["export", "-q", "--with-payload", "--to", name, "RECORDING", "FILE"] for name in FORMATS},
    "redact": ["redact", "-q", "-o", "FILE", "RECORDING"],
    "freeze": ["freeze", "-q", "-o", "FILE", "RECORDING"],
}
#: Without these the test would prove little.
NEEDED = {"tcp", "tcp6", "fast open", "udp", "udp6", "refused", "dns", "tls, http", "unix", "options"}


def record(path: Path, payload: str, *options: str, front: int = 0) -> set[str]:
    """Trace the program; what it managed to send through."""
    secret = path.with_suffix(".secret")
    secret.write_text(SECRET)
    code = f"import sys; sys.argv = ['p', open({str(secret)!r}).read(), '{front}']; exec(open({str(PROGRAM)!r}).read())"
    command = [
        *WALLSOCKET,
        "trace",
        "-q",
        "--payload",
        payload,
        "-o",
        str(path),
        *options,
        "--",
        sys.executable,
        "-c",
        code,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return set(done.stdout.splitlines())


Tell = Callable[[Path], list[str]]


@pytest.fixture
def traces_of_the_secret(capfdbinary: pytest.CaptureFixture[bytes]) -> Tell:
    """Where four bytes in a row of it stand, or eight of their digits: in the file, or in what a command tells of it."""
    pieces = [SECRET[start : start + 4].encode() for start in range(len(SECRET) - 3)]
    # Six bytes at any place among the threes that base64 takes together, without the digits that depend on neighbours.
    coded = {base64.b64encode(b"..."[:lead] + SECRET.encode())[4 * (lead > 0) : -4] for lead in range(3)}
    shapes = [*pieces, *(piece.hex().encode() for piece in pieces)]
    shapes += [whole[start : start + 8] for whole in coded for start in range(len(whole) - 7)]

    def tell(path: Path) -> list[str]:
        def told(words: list[str], *also: Path) -> bool:
            capfdbinary.readouterr()
            status = main(words)
            printed = capfdbinary.readouterr()
            assert status in (0, 1), printed.err
            whole = b"".join((printed.out, printed.err, *(other.read_bytes() for other in also)))
            return any(shape in whole for shape in shapes)

        log = path.with_name(path.name + "-wal")
        found = [name.name for name in (path, log) if name.exists() and any(s in name.read_bytes() for s in shapes)]
        found += [" ".join(view) for view in VIEWS if told([*view, str(path)])]
        for name, words in FILES.items():
            file = path.with_name(f"{path.stem}.{name}")
            values = {"RECORDING": str(path), "FILE": str(file)}
            if told([values.get(word, word) for word in words], file):
                found.append(name)
        return found

    return tell


@pytest.mark.parametrize("options", [["--ring", "60s"], ["--lab"], ["--via", "preload"]], ids=" ".join)
def test_without_payload_no_byte_of_it_is_kept(tmp_path: Path, options: list[str], traces_of_the_secret: Tell) -> None:
    path = tmp_path / "none.wsrec"
    assert record(path, "none", *options) >= NEEDED
    assert traces_of_the_secret(path) == []
    with Recording.open(path) as recording:
        assert recording.meta["payload"] == "none"
        assert all(call.payload is None for call in recording.calls())


@pytest.mark.root
def test_without_payload_no_byte_of_raw_and_packet_sockets_is_kept(tmp_path: Path, traces_of_the_secret: Tell) -> None:
    path = tmp_path / "none.wsrec"
    assert record(path, "none") >= NEEDED | {"raw 1", "raw 6", "raw 17", "raw 253", "written headers", "packet"}
    with Recording.open(path) as recording:
        assert sum(1 for _ in recording.packets()) > 50
    assert traces_of_the_secret(path) == []


@pytest.mark.parametrize("options", [[], ["--lab"]])
def test_no_byte_behind_the_first_ones_is_kept(tmp_path: Path, options: list[str], traces_of_the_secret: Tell) -> None:
    path = tmp_path / "some.wsrec"
    assert record(path, "16", *options, front=16) >= NEEDED - {"options"}
    assert traces_of_the_secret(path) == []
    with Recording.open(path) as recording:
        assert max(len(call.payload or b"") for call in recording.calls()) == 16


def test_the_secret_would_be_found(tmp_path: Path, traces_of_the_secret: Tell) -> None:
    path = tmp_path / "all.wsrec"
    record(path, "all", "--lab")
    views = {"show --json", "show --calls --all", "show --packets"}
    exports = {"pcapng", "perfetto", "qlog", "mermaid", "ndjson", "html", "freeze"}
    assert {path.name, *views, *exports} <= set(traces_of_the_secret(path))


def test_of_a_very_long_call_the_beginning_is_kept_and_said(tmp_path: Path) -> None:
    code = (
        "import socket, threading\na, b = socket.socketpair()\n"
        "threading.Thread(target=lambda: b.recv(64 << 20, socket.MSG_WAITALL), daemon=True).start()\n"
        "a.sendall(bytes(17 << 20))\na.send(b'x')\n"
    )
    path = tmp_path / "r.wsrec"
    command = [sys.executable, "-m", "wallsocket", "trace", "--payload", "all", "-o", str(path), "--"]
    done = subprocess.run([*command, sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "of 1 call only the first 16 MiB were kept; the length of each is recorded" in done.stderr
    with Recording.open(path) as recording:
        assert (17 << 20, 16 << 20) in [(call.result, len(call.payload or b"")) for call in recording.calls()]
