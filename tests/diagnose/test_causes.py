"""The catalogue of causes agrees with the rules."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from tests.diagnose.lacking import catalogue, lacking
from wallsocket.diagnose import all_rules, trackers
from wallsocket.diagnose.tracker import Tracker

CAUSES = Path(__file__).parents[2] / "docs" / "causes.md"


def test_every_cause_is_listed_once_and_in_order() -> None:
    text = CAUSES.read_text(encoding="utf-8")
    listed = catalogue()
    assert sorted(listed) == list(range(1, len(listed) + 1))
    assert f"{len(listed)} causes" in text, f"docs/causes.md: its first line counts {len(listed)} causes"
    for section in text.split("\n## ")[1:]:
        numbers = [int(number) for number in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)]
        assert numbers == sorted(numbers), section.splitlines()[0]


@pytest.mark.parametrize("rule", [rule.id for rule in all_rules()])
def test_nothing_is_lacking(rule: str) -> None:
    assert list(lacking(rule)) == []


def test_rules_are_named_once() -> None:
    names = [rule.id for rule in all_rules()]
    assert len(set(names)) == len(names)


def test_the_page_names_rules_that_there_are() -> None:
    assert {name for names in catalogue().values() for name in names} <= {rule.id for rule in all_rules()}


def test_the_page_about_rules_lists_every_tracker_once() -> None:
    page = (CAUSES.parent / "rules.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(\w+\.\w+)` \|", page, re.MULTILINE)
    found = []
    for path in sorted(Path(trackers.__path__[0]).glob("[a-z]*.py")):
        module = import_module(f"{trackers.__name__}.{path.stem}")
        found += [
            f"{path.stem}.{name}"
            for name, value in vars(module).items()
            if isinstance(value, type)
            and issubclass(value, Tracker)
            and value.__module__ == module.__name__
            and not name.startswith("_")
        ]
    assert sorted(listed) == sorted(found)
