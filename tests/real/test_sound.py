"""No finding at warning or above on well-known programs that work, both ends seen, in a private network."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.diagnose.test_examples import lab_works
from tests.real import ready
from tests.real.harness import PATH, WALLSOCKET
from tests.real.sound import SOUND, Sound
from tests.support.agreement import assert_views_agree

pytestmark = pytest.mark.timeout(900)
#: A loaded machine, a tracer, and thousands of requests.
DEADLINE_S = 600
#: Status of a script that cannot be run on this machine.
NOT_HERE = 77


@pytest.mark.parametrize(
    "sound", [pytest.param(one, id=one.name, marks=() if one.quick else pytest.mark.soak) for one in SOUND]
)
def test_nothing_is_said_against_programs_that_work(sound: Sound, tmp_path: Path) -> None:
    if missing := sound.missing():
        pytest.skip(f"not installed: {', '.join(missing)}")
    if not lab_works():
        pytest.skip("no namespaces here")
    for name, text in sound.files.items():
        (tmp_path / name).write_text(text)
    wait = shlex.join([sys.executable, ready.__file__])
    left = "for one in $server $front $first $second $near $far; do kill $one 2>/dev/null || :; done"
    script = f"set -e\ntrap '{left}' EXIT\nbound() {{ {wait} $1 tcp 120; }}\n{sound.script}"
    recording = tmp_path / "run.wsrec"
    words = [*WALLSOCKET, "explain", "--lab", "--json", "-o", str(recording), "--", "sh", "-c", script]
    # A file: who reads the findings from a pipe would wait for a server that was left behind.
    report = tmp_path / "report"
    with report.open("wb") as stdout, (tmp_path / "said").open("wb") as stderr:
        subprocess.run(
            words,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            timeout=DEADLINE_S,
            env={**os.environ, "PATH": PATH, "PYTHON": sys.executable, "LC_ALL": "C.UTF-8", "HOME": str(tmp_path)},
        )
    said = (tmp_path / "said").read_text(errors="replace")
    lines = [json.loads(line) for line in report.read_text().splitlines() if line.startswith('{"')]
    assert lines, said
    summary = lines[-1]
    if summary["summary"]["target_status"] == NOT_HERE:
        pytest.skip(f"{sound.name} cannot be run here: {said.splitlines()[-1] if said else 'no reason given'}")
    assert summary["summary"]["target_status"] == 0, said
    assert summary["lost"] == 0
    if not sound.quick:
        assert_views_agree(recording)
    grave = [line for line in lines if line.get("severity") in ("error", "warning")]
    assert not grave, "\n".join(f"{one['rule']}: {one['title']}: {one['why']}" for one in grave)
