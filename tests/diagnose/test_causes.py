"""The catalogue of causes agrees with the rules."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

from wallsocket.diagnose import all_rules, trackers
from wallsocket.diagnose.tracker import Tracker

CAUSES = Path(__file__).parents[2] / "docs" / "causes.md"


def catalogue() -> dict[int, list[str]]:
    """Number of a cause -> the rules that the page names."""
    found: dict[int, list[str]] = {}
    for line in CAUSES.read_text(encoding="utf-8").splitlines():
        if re.match(r"\| \d+ \|", line):
            cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
            assert len(cells) == 6, line
            assert all(cells[:5]), line
            assert int(cells[0]) not in found, line
            found[int(cells[0])] = re.findall(r"`([a-z0-9-]+)`", cells[5])
    return found


def test_every_cause_is_listed_once_and_in_order() -> None:
    text = CAUSES.read_text(encoding="utf-8")
    assert sorted(catalogue()) == list(range(1, 164))
    assert "163 causes" in text
    for section in text.split("\n## ")[1:]:
        numbers = [int(number) for number in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)]
        assert numbers == sorted(numbers), section.splitlines()[0]


def test_the_page_marks_exactly_what_the_rules_cover() -> None:
    covered: dict[int, list[str]] = {number: [] for number in catalogue()}
    for rule in all_rules():
        for number in rule.covers:
            covered[number].append(rule.id)
    assert catalogue() == {number: sorted(rules) for number, rules in covered.items()}


def test_rules_are_named_once_and_refer_to_rules() -> None:
    names = [rule.id for rule in all_rules()]
    assert len(set(names)) == len(names)
    for rule in all_rules():
        assert set(rule.supersedes) | set(rule.effects) <= set(names)
        assert rule.id not in rule.supersedes


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
