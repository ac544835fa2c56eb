"""All examples of all rules under strace and a capture: which layer suffices for which, and no false alarm."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from wallsocket.diagnose import all_rules
from wallsocket.diagnose.play import EXAMPLES, examples
from wallsocket.errors import RecordingError, UsageError

from ..diagnose.test_examples import lab_works
from ..support.imports import CAPTURES, LOGS, TOGETHER, UNTOLD, findings, played, told_by

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace (apt install strace)"),
    pytest.mark.skipif(not lab_works(), reason="no namespaces here"),
]

#: What is said of healthy ones, and is so: the client of the first resets, the second ends with an error when strace makes it
#: so slow that its own network is gone before it has read all; who listens in the third may be gone before the last datagram.
SAID = {
    "dies-of-client-reset/healthy.py": ["connection-reset"],
    "fragments-lost/healthy.py": ["dies-of-datagram"],
    "sent-before-bound/healthy.py": ["datagram-refused"],
}


def programs() -> list[str]:
    every = [path for rule in all_rules() if rule.pictures != "only" for path in examples(rule)]
    return [str(path.relative_to(EXAMPLES)) for path in every]


@pytest.mark.parametrize("name", programs())
def test_an_example(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        log, capture = played(EXAMPLES / name, tmp_path)
    except UsageError as error:
        pytest.skip(str(error))
    rule = name.partition("/")[0]
    flow = any(one.subject == "flow" for one in all_rules() if one.id == rule)
    for what, paths, sufficient in (
        ("log", [log], LOGS),
        ("capture", [capture], CAPTURES),
        ("both", [capture, log], LOGS | CAPTURES | TOGETHER),
    ):
        if flow and what != "capture":
            continue
        try:
            found = [finding.rule for finding in findings(*paths)]
        except RecordingError as error:
            # Nothing that both saw: no frame at all, or none of a connection.
            assert what == "both", error
            assert "joined" in str(error) or "shares no connection" in str(error), error
            continue
        if "/healthy" in name:
            assert found in ([], SAID.get(name))
            continue
        told = found[:1] == [rule]
        with capsys.disabled():
            print(f"{what:<8} {'tells' if told else 'does not tell'} {name}{'' if told else f': {found}'}")
        if name in sufficient:
            assert told, (what, found)


def test_the_page_names_every_cause() -> None:
    told = {rule for rules in told_by().values() for rule in rules}
    untold = {rule for rules in UNTOLD.values() for rule in rules.split()}
    assert told | untold == {rule.id for rule in all_rules()}
