"""Findings that a comment in the source accepts: ``wallsocket: ignore[RULE]`` at the end of the line.

Any comment will do (``#``, ``//``, ``/* */``, ``--``); several rules are separated by commas, and ``wallsocket: ignore``
alone accepts whatever is found at that line. What follows from an accepted finding is accepted with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import msgspec

from .finding import Diagnosis, Finding
from .text import source_text

__all__ = ["without_accepted"]

_COMMENT: Final = re.compile(r"wallsocket:\s*ignore(?:\[([A-Za-z0-9 ,_-]*)\])?")


def without_accepted(
    diagnosis: Diagnosis, recorded_s: float | None = None, text_of: Callable[..., str] = source_text
) -> tuple[Diagnosis, int]:
    """The diagnosis without the findings that the source accepts, and how many those were.

    Args:
        diagnosis: what the rules said.
        recorded_s: when it was recorded (Unix time); files that changed later are not read.
        text_of: gives the text of a line: file, line, `recorded_s`.
    """
    accepted: set[str] = set()
    kept: list[Finding] = []
    for finding in diagnosis.findings:
        if _accepts(text_of(finding.file, finding.line, recorded_s), finding.rule):
            accepted.add(finding.rule)
        else:
            kept.append(finding)
    # In the order of rank a cause stands before what follows from it.
    standing = {finding.rule for finding in kept}
    remaining: list[Finding] = []
    for finding in kept:
        if finding.follows_from in accepted and finding.follows_from not in standing:
            accepted.add(finding.rule)
            standing.discard(finding.rule)
        else:
            remaining.append(finding)
    found = tuple(msgspec.structs.replace(finding, rank=rank) for rank, finding in enumerate(remaining, 1))
    return msgspec.structs.replace(diagnosis, findings=found), len(diagnosis.findings) - len(found)


def _accepts(line: str, rule: str) -> bool:
    matched = _COMMENT.search(line)
    if matched is None:
        return False
    rules = matched[1]
    return rules is None or rule in {name.strip() for name in rules.split(",")}
