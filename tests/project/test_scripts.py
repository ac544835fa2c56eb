"""What the scripts of the repository promise to the programs that they start."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.diagnose.rules.test_one_shot_spent import slept, spent
from tests.diagnose.story import Story
from tests.support.repository import ROOT


def test_the_suite_does_not_inherit_the_ignored_signals_of_a_background_job() -> None:
    """A shell without job control ignores SIGINT and SIGQUIT in what it starts with &, and nohup SIGHUP.

    Nothing else is asked: what started the shell may ignore a signal that no program can set back (glibc keeps 32 and
    33 for itself).
    """
    script = "trap '' HUP INT QUIT; exec scripts/as-ordinary-user grep SigIgn /proc/self/status"
    done = subprocess.run(["sh", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    ignored = int(done.stdout.split()[1], 16)
    assert not [name for name in ("HUP", "INT", "QUIT", "PIPE") if ignored >> signal.Signals[f"SIG{name}"] - 1 & 1]


@pytest.mark.parametrize("sleeps", [True, False])
def test_a_rule_that_is_silent_is_followed_to_the_line_where_it_gave_up(sleeps: bool, tmp_path: Path) -> None:
    story = Story()
    server, _ = spent(story)
    if sleeps:
        slept(story, server)
    words = [sys.executable, "scripts/try-rule", "one-shot-spent", str(story.save(tmp_path / "run.wsrec"))]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == (0 if sleeps else 1), done.stdout + done.stderr
    if sleeps:
        assert done.stdout.startswith("  found first, strong: ")
    else:
        assert "gave up with 1 of 1 subjects" in done.stdout
        assert "src/wallsocket/diagnose/rules/one_shot_spent.py:" in done.stdout
        assert "slept_ns = 0" in done.stdout
