"""What the scripts of the repository promise to the programs that they start."""

from __future__ import annotations

import signal
import subprocess

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
