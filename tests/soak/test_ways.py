"""All examples of all rules, recorded with stops, by the preloaded library, and attached to: the same findings each time."""

from __future__ import annotations

from pathlib import Path

import pytest

from wallsocket.diagnose import all_rules
from wallsocket.diagnose.play import EXAMPLES, examples
from wallsocket.errors import UsageError

from ..diagnose.test_examples import lab_works
from ..support.ways import WAYS, findings

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(700),
    pytest.mark.skipif(not lab_works(), reason="no namespaces here"),
]

#: What is said of a cause in every way. Which of its effects are seen may hang on which of two ends dies first.
_SAID = ("rule", "severity", "certainty", "file", "line")


def programs() -> list[str]:
    every = [rule for rule in all_rules() if rule.pictures != "only" and rule.subject != "flow"]
    return [str(path.relative_to(EXAMPLES)) for rule in every for path in examples(rule)]


@pytest.mark.parametrize("name", programs())
def test_an_example(name: str, tmp_path: Path) -> None:
    told = {}
    for way in WAYS:
        try:
            found, summary, status = findings(EXAMPLES / name, way, tmp_path)
        except UsageError as error:
            pytest.skip(str(error))
        assert summary["lost"] == 0, way
        told[way] = [tuple(one[word] for word in _SAID) for one in found if one["follows_from"] is None]
        if "/healthy" in name:
            assert status in (0, None), way
    assert told["preload"] == told["ptrace"]
    assert told["attach"] == told["ptrace"]
    assert bool(told["ptrace"]) == ("/healthy" not in name)
