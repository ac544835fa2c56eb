"""Test suites of others say under Wallsocket what they say without it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.suites import SUITES, Suite, difference

pytestmark = [pytest.mark.soak, pytest.mark.timeout(12_000)]

WALLSOCKET = [sys.executable, "-m", "wallsocket"]
#: A network of its own with nothing but loopback, as --lab gives one, without Wallsocket.
ALONE = [
    *("unshare", "--user", "--map-current-user", "--keep-caps", "--net", "sh", "-c"),
    'ip link set lo up && exec setpriv --ambient-caps=-all --inh-caps=-all "$@"',
    "sh",
]


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
@pytest.mark.parametrize("way", ["trace --via ptrace", "trace --via preload", "explain --lab"])
def test_a_suite_says_the_same_as_untraced(
    way: str, suite: Suite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = suite.missing()
    if missing:
        pytest.skip(f"missing: {', '.join(missing)}")
    lab = way == "explain --lab"
    if lab and not (os.geteuid() and shutil.which("unshare") and shutil.which("ip")):
        pytest.skip("the judge needs an ordinary user, unshare and ip")
    judge = ALONE if lab else []
    recording = tmp_path / "recording.wsrec"
    before = suite.run(*judge)
    got = suite.run(*WALLSOCKET, *way.split(), "-q", "-o", str(recording), "--")
    after = suite.run(*judge)
    varying = difference(before, after)
    differing = {name: pair for name, pair in difference(before, got).items() if name not in varying}
    last = json.loads(explained(recording).splitlines()[-1])
    with capsys.disabled():
        told = f"{len(got)} tests, {len(differing)} differ, {len(varying)} vary untraced, {last['lost']} events lost"
        print(
            f"\n{suite.name}, {way}: {told}; {last['summary']['error']} errors, {last['summary']['warning']} warnings"
        )
    assert differing == {}
    assert last["lost"] == 0
    assert last["summary"]["complete"]


def explained(recording: Path) -> str:
    """What explain says of it, as JSON."""
    words = [*WALLSOCKET, "explain", "--json", "--fail-on", "never", str(recording)]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout
