"""A talk over TCP, UDP and Unix sockets with a secret in everything that an export must not tell."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.canary import CANARY, TALK
from tests.support.recordings import Script
from wallsocket.diagnose import diagnose
from wallsocket.errors import NotPermitted
from wallsocket.events import Known
from wallsocket.trace.export import export
from wallsocket.trace.recording import Recording
from wallsocket.trace.run import run


def record(folder: Path, *, lab: bool) -> Path:
    """The talk, traced."""
    program = folder / "talk.py"
    program.write_text(TALK)
    path = folder / ("lab.wsrec" if lab else "calls.wsrec")
    home = folder / f"{CANARY}-{'lab' if lab else 'calls'}"
    home.mkdir()
    run([sys.executable, str(program), str(home), "--password", CANARY], output=path, lab=lab, payload=None)
    return path


@pytest.fixture(scope="module")
def calls_only(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Without a wire."""
    return record(tmp_path_factory.mktemp("calls"), lab=False)


@pytest.fixture(scope="module")
def with_wire(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In a private network, with its packets."""
    try:
        return record(tmp_path_factory.mktemp("lab"), lab=True)
    except NotPermitted as error:
        pytest.skip(f"no private network here: {error}")


@pytest.fixture
def every_known(tmp_path: Path) -> Path:
    """Five calls whose lines are known in each way there is, and not at all."""
    script = Script(tmp_path / "a.wsrec", wire="needs CAP_NET_RAW")
    script.process(1, 70, "one")
    script.socket(1, 1, 0, local="127.0.0.1:1000", remote="127.0.0.1:2000")
    line = ("/srv/a.py", 7, "talk")
    for number, known in enumerate((1, 2, 3, 4, 0)):
        at, sent = 10 * number + 10, {"length": 5, "offset": 5 * number}
        script.call("sendto", at, 1, 5, fd=3, socket=1, line=line, known=known, **sent)
    with script.done(100) as recording:
        assert [call.known for call in recording.calls()] == [
            Known.DIRECT, Known.CREATOR, Known.AWAITING, Known.LIBRARY, Known.UNKNOWN
        ]  # fmt: skip
    return tmp_path / "a.wsrec"


@pytest.fixture
def exported(tmp_path: Path) -> Callable[..., Path]:
    """Exports a recording with its findings; the file."""

    def make(recording: Path, name: str, **options: object) -> Path:
        with Recording.open(recording) as opened:
            export(opened, tmp_path / name, findings=diagnose(opened).findings, **options)  # type: ignore[arg-type]
        return tmp_path / name

    return make
