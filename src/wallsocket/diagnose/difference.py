"""What the rules say of two runs: what only one of them has."""

from __future__ import annotations

from collections import Counter

import msgspec

from .finding import Diagnosis, Finding

__all__ = ["Difference", "difference"]


class Difference(msgspec.Struct, frozen=True):
    """Findings of two runs, by where they are.

    Attributes:
        only_bad: what the bad run has beyond the good one, most probable cause first. only_good: the other way round.
        both: of the bad run, what the good one has as well.
    """

    only_bad: tuple[Finding, ...]
    only_good: tuple[Finding, ...]
    both: tuple[Finding, ...]


def difference(good: Diagnosis, bad: Diagnosis) -> Difference:
    """Compare findings by their rules: lines move from one version of a program to the next."""
    had = Counter(finding.rule for finding in good.findings)
    only_bad: list[Finding] = []
    both: list[Finding] = []
    for finding in bad.findings:
        if had[finding.rule]:
            had[finding.rule] -= 1
            both.append(finding)
        else:
            only_bad.append(finding)
    only_good = [
        finding for finding in reversed(good.findings) if had[finding.rule] and not had.subtract([finding.rule])
    ]
    return Difference(tuple(only_bad), tuple(reversed(only_good)), tuple(both))
