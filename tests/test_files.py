"""Every command that writes to a file of the user's choice makes a new one, and none through what stands there."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.recordings import lost_letter
from wallsocket import files
from wallsocket.errors import UsageError
from wallsocket.wire import Ethernet, IPv4
from wallsocket.wire.pcap import write

#: Each way to write, as the words before the name of the file, and those behind it; IN is the folder of what is read.
WAYS = {
    "trace": (("trace", "-q", "-o"), ("--", "true")),
    "explain -- COMMAND": (("explain", "-q", "-o"), ("--", "true")),
    "explain of a capture": (("explain", "-q", "IN/a.pcapng", "-o"), ()),
    "explain --sarif": (("explain", "-q", "IN/a.wsrec", "--fail-on", "never", "--sarif"), ()),
    "capture, copied": (("capture", "-q", "-r", "IN/a.pcapng", "-w"), ()),
    "capture, converted": (("capture", "-q", "-r", "IN/a.pcap", "-w"), ()),
    "export": (("export", "-q", "IN/a.wsrec"), ("--to", "qlog")),
    "export pcapng": (("export", "-q", "IN/a.wsrec"), ("--to", "pcapng")),
    "export sarif": (("export", "-q", "IN/a.wsrec"), ("--to", "sarif")),
    "export html": (("export", "-q", "IN/a.wsrec"), ("--to", "html")),
    "redact": (("redact", "-q", "IN/a.wsrec", "-o"), ()),
    "freeze": (("freeze", "-q", "IN/a.wsrec", "-o"), ()),
    "lesson report": (("lesson", "report", "-q", "U23", "-o"), ()),
}


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what is read."""
    folder = tmp_path_factory.mktemp("given")
    with lost_letter(folder / "a.wsrec"):
        pass
    for name in ("a.pcapng", "a.pcap"):
        write(folder / name, [Ethernet() / IPv4("10.0.0.1", "10.0.0.2") / b"x"])
    return folder


def run(way: str, given: Path, file: Path, *more: str) -> subprocess.CompletedProcess[str]:
    before, after = WAYS[way]
    words = [*(word.replace("IN", str(given)) for word in before), str(file), *more, *after]
    return subprocess.run(
        [sys.executable, "-m", "wallsocket", *words], capture_output=True, text=True, check=False, timeout=100
    )


@pytest.mark.parametrize("way", WAYS)
def test_a_file_is_new_and_nobody_elses_to_read(way: str, given: Path, tmp_path: Path) -> None:
    file = tmp_path / "out.pcapng"
    old = os.umask(0)
    try:
        done = run(way, given, file)
    finally:
        os.umask(old)
    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE(file.lstat().st_mode) == 0o600
    assert file.stat().st_size > 0
    assert [path.name for path in tmp_path.iterdir()] == ["out.pcapng"]
    whole = file.read_bytes()
    refused = run(way, given, file)
    assert refused.returncode == 2
    assert "exists already" in refused.stderr
    assert "--overwrite" in refused.stderr
    assert file.read_bytes() == whole

    os.utime(file, (0, 0))
    again = run(way, given, file, "--overwrite")
    assert again.returncode == 0, again.stderr
    assert file.stat().st_mtime > 0
    assert file.stat().st_size > 0
    assert [path.name for path in tmp_path.iterdir()] == ["out.pcapng"]


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_written_through_a_link_a_pipe_or_a_device(way: str, given: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"kept")
    link = tmp_path / "link.pcapng"
    link.symlink_to(target)
    pipe = tmp_path / "pipe.pcapng"
    os.mkfifo(pipe)
    for place, what in ((link, "symbolic link"), (pipe, "special file"), (Path("/dev/null"), "special file")):
        done = run(way, given, place, "--overwrite")
        assert done.returncode == 2, done.stderr
        assert what in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert target.read_bytes() == b"kept"
    assert link.is_symlink()
    assert pipe.is_fifo()


@pytest.mark.root
@pytest.mark.parametrize("way", WAYS)
def test_a_file_of_another_user_is_never_replaced(way: str, given: Path, tmp_path: Path) -> None:
    file = tmp_path / "out.pcapng"
    file.write_bytes(b"theirs")
    os.chown(file, 65534, 65534)
    done = run(way, given, file, "--overwrite")
    assert done.returncode == 2
    assert "belongs to another user" in done.stderr
    assert file.read_bytes() == b"theirs"


def test_the_keys_of_tls_are_added_to_a_file_of_ones_own(tmp_path: Path) -> None:
    log = tmp_path / "keys"
    log.write_bytes(b"first\n")
    log.chmod(0o644)
    os.close(files.extend(log))
    assert log.read_bytes() == b"first\n"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    link = tmp_path / "link"
    link.symlink_to(log)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for place, what in ((link, "symbolic link"), (pipe, "special file"), (tmp_path, "directory")):
        with pytest.raises(UsageError, match=what):
            files.extend(place)


@pytest.mark.parametrize("write", [files.whole, files.grow])
def test_what_came_meanwhile_is_not_replaced(
    write: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    real = os.link

    def late(source: Path, target: Path, **more: bool) -> None:
        target.write_bytes(b"theirs")
        real(source, target, **more)

    monkeypatch.setattr(os, "link", late)
    with pytest.raises(UsageError, match="exists already"), write(file) as opened:  # type: ignore[attr-defined]
        opened.write(b"ours")
    assert file.read_bytes() == b"theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"before")
    with pytest.raises(ZeroDivisionError), files.whole(file, replace=True) as opened:
        opened.write(b"half")
        raise ZeroDivisionError
    assert file.read_bytes() == b"before"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
