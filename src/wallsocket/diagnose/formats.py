"""Findings for the tools around a build: SARIF 2.1.0, and GitHub's workflow commands.

Both leave payload and argument values out: of a finding they have the rule, the sentence and the place.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from ..trace.text import escape
from .finding import Finding, Severity
from .rule import Rule

__all__ = ["github", "sarif"]

#: SARIF 2.1.0, 3.27.10: level.
_LEVELS: Final[dict[Severity, str]] = {"error": "error", "warning": "warning", "note": "note"}
#: Workflow commands for GitHub Actions: error, warning, notice.
_COMMANDS: Final[dict[Severity, str]] = {"error": "error", "warning": "warning", "note": "notice"}


def sarif(findings: Sequence[Finding], rules: Iterable[Rule], *, version: str, root: Path) -> dict[str, Any]:
    """A SARIF log of one run.

    Args:
        findings: in the order of rank.
        rules: those that were asked; the findings' own among them.
        version: of Wallsocket.
        root: files below it are named relative to it, as SRCROOT.
    """
    known = list(rules)
    index = {rule.id: number for number, rule in enumerate(known)}
    return {
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "wallsocket",
                        "version": version,
                        "rules": [_descriptor(rule) for rule in known],
                    }
                },
                "originalUriBaseIds": {"SRCROOT": {"uri": root.resolve().as_uri().rstrip("/") + "/"}},
                "columnKind": "unicodeCodePoints",
                "results": [_result(finding, index, root) for finding in findings],
            }
        ],
    }


def _descriptor(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.sentence},
        "help": {"text": f"{rule.fix}\n\nWhat would disprove it: {rule.disproof}"},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": {"covers": list(rule.covers)},
    }


def _result(finding: Finding, index: dict[str, int], root: Path) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "level": _LEVELS[finding.severity],
        "message": {"text": f"{finding.title}. {finding.why} Usual fix: {finding.fix}"},
        "rank": max(0.0, 100.0 - (finding.rank - 1)),
        "properties": {"certainty": finding.certainty, "covers": list(finding.covers), "rank": finding.rank},
    }
    if finding.rule in index:
        result["ruleIndex"] = index[finding.rule]
    if finding.follows_from is not None:
        result["properties"]["follows_from"] = finding.follows_from
    location: dict[str, Any] = {}
    if finding.file is not None:
        location["physicalLocation"] = {"artifactLocation": _artifact(finding.file, root)}
        if finding.line is not None and finding.line > 0:
            location["physicalLocation"]["region"] = {"startLine": finding.line}
    if finding.process is not None:
        location["logicalLocations"] = [{"name": finding.process.command or "process", "kind": "process"}]
    if location:
        result["locations"] = [location]
    # The same fault in the next run is the same result: line numbers move, rule and file stay.
    place = os.path.basename(finding.file) if finding.file is not None else ""
    result["partialFingerprints"] = {"ruleAndFile/v1": f"{finding.rule}:{place}"}
    return result


def _artifact(file: str, root: Path) -> dict[str, str]:
    path = Path(file)
    if path.is_absolute():
        try:
            return {"uri": quote(path.relative_to(root.resolve()).as_posix()), "uriBaseId": "SRCROOT"}
        except ValueError:
            return {"uri": path.as_uri()}
    return {"uri": quote(path.as_posix())}


def github(findings: Sequence[Finding], *, root: Path) -> list[str]:
    """One workflow command per finding, which GitHub shows at the line in a pull request."""
    lines = []
    for finding in findings:
        properties = {}
        if finding.file is not None:
            properties["file"] = os.path.relpath(finding.file, root) if os.path.isabs(finding.file) else finding.file
            if finding.line is not None:
                properties["line"] = str(finding.line)
        properties["title"] = f"{finding.title} [{finding.rule}]"
        given = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
        line = f"::{_COMMANDS[finding.severity]} {given}::{_data(f'{finding.why} Usual fix: {finding.fix}')}"
        # A name that a reader would be shown in another order fits no file, and harms no log.
        lines.append(escape(line))
    return lines


def _data(text: str) -> str:
    # The runner decodes these three in the message, and two more in properties.
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
