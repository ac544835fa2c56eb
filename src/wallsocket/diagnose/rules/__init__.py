"""The rules: each file holds one, named as its id with underscores. They are found by their files."""

from __future__ import annotations

import os
from functools import cache
from importlib import import_module

from ..rule import Rule

__all__ = ["all_rules", "rule_of"]


@cache
def all_rules() -> tuple[Rule, ...]:
    """One instance of each rule, in the order of ``docs/causes.md``."""
    files = sorted(name for name in os.listdir(__path__[0]) if name.endswith(".py") and not name.startswith("_"))
    found: list[Rule] = []
    for file in files:
        module = import_module(f"{__name__}.{file.removesuffix('.py')}")
        found += [
            value()
            for value in vars(module).values()
            if isinstance(value, type) and issubclass(value, Rule) and value.__module__ == module.__name__
        ]
    return tuple(sorted(found, key=lambda rule: (min(rule.covers), rule.id)))


def rule_of(id: str) -> Rule | None:
    """The rule of that name."""
    return next((rule for rule in all_rules() if rule.id == id), None)
