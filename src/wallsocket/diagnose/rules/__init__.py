"""The rules: each file holds one, named as its id with underscores. They are found by their files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from typing import Final

from ..rule import Rule

__all__ = ["all_rules", "picture_rules", "rule_of"]

#: The rules whose `pictures` is not "no": to load all takes a quarter of a second, which `inspect` need not wait for.
_OF_PICTURES: Final = (
    "accept-queue-full",
    "accept-queue-stands",
    "both-wait",
    "close-wait",
    "connect-unanswered",
    "kept-open-elsewhere",
    "lock-held-in-wait",
    "lock-of-parent",
    "loop-not-woken",
    "loop-stands",
    "no-time-limit-for-answer",
    "peer-does-not-read",
    "peer-unreachable",
    "pipe-stands",
    "receive-buffer-overflow",
    "silent-peer",
    "unread-data",
    "waits-for-itself",
    "waits-for-name-server",
)


@cache
def all_rules() -> tuple[Rule, ...]:
    """One instance of each rule, in the order of ``docs/causes.md``."""
    files = sorted(name for name in os.listdir(__path__[0]) if name.endswith(".py") and not name.startswith("_"))
    return _loaded(file.removesuffix(".py") for file in files)


@cache
def picture_rules() -> tuple[Rule, ...]:
    """Those of them that can be proven from pictures of a running program."""
    return _loaded(name.replace("-", "_") for name in _OF_PICTURES)


def _loaded(names: Iterable[str]) -> tuple[Rule, ...]:
    found: list[Rule] = []
    for name in names:
        module = import_module(f"{__name__}.{name}")
        found += [
            value()
            for value in vars(module).values()
            if isinstance(value, type) and issubclass(value, Rule) and value.__module__ == module.__name__
        ]
    return tuple(sorted(found, key=lambda rule: (min(rule.covers), rule.id)))


def rule_of(id: str) -> Rule | None:
    """The rule of that name."""
    return next((rule for rule in all_rules() if rule.id == id), None)
