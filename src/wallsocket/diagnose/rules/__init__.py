"""The rules, one family of faults per file; files do not import each other."""

from __future__ import annotations

from functools import cache

from ..rule import Rule
from . import addressing, closing, datagrams, performance, setup, streams, waiting

__all__ = ["all_rules", "rule_of"]


@cache
def all_rules() -> tuple[Rule, ...]:
    """One instance of each rule, in the order of ``docs/causes.md``."""
    families = (setup, addressing, datagrams, streams, closing, performance, waiting)
    return tuple(kind() for family in families for kind in family.RULES)


def rule_of(id: str) -> Rule | None:
    """The rule of that name."""
    return next((rule for rule in all_rules() if rule.id == id), None)
