"""The benchmarks say what they could not compare with."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench import __main__ as runner
from bench import measure


def test_what_is_missing_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(rounds: int) -> list[measure.Table]:
        assert measure.present("sh") is not None
        assert measure.present("no-such-tracer") is None
        return [measure.Table("What was measured", ("a",), [("1",)])]

    monkeypatch.setattr(runner, "RESULTS", tmp_path)
    monkeypatch.setattr("bench.attach.run", run)
    monkeypatch.setattr(sys, "argv", ["bench", "attach", "--rounds", "1"])
    assert runner.main() == 0
    printed = capsys.readouterr().out
    assert "## What was measured" in printed
    assert "Missing here, so not compared: no-such-tracer." in printed


def test_a_peer_that_cannot_be_built_is_missing_not_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "peer.c").write_text('#include "no-such-header.h"\n')
    monkeypatch.setattr(measure, "PEERS", tmp_path)
    monkeypatch.setattr(measure, "BIN", tmp_path / "bin")
    monkeypatch.setattr(runner, "RESULTS", tmp_path)
    monkeypatch.setattr("bench.attach.run", lambda rounds: [measure.compiled("peer")])
    monkeypatch.setattr(sys, "argv", ["bench", "attach"])
    assert runner.main() == 0
    assert "Not measured: peer.c cannot be compiled: " in capsys.readouterr().out
