"""A talk over TCP, UDP and Unix sockets with a secret in everything that an export must not tell."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.canary import CANARY, TALK
from wallsocket.diagnose import diagnose
from wallsocket.errors import NotPermitted
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
def exported(tmp_path: Path) -> Callable[..., Path]:
    """Exports a recording with its findings; the file."""

    def make(recording: Path, name: str, **options: object) -> Path:
        with Recording.open(recording) as opened:
            export(opened, tmp_path / name, findings=diagnose(opened).findings, **options)  # type: ignore[arg-type]
        return tmp_path / name

    return make
