"""Why a socket program does not work: rules over a recording.

>>> from wallsocket.diagnose import diagnose
>>> from wallsocket.trace.recording import Recording
>>> with Recording.open("run.wsrec") as recording:  # doctest: +SKIP
...     for finding in diagnose(recording).findings:
...         print(finding.rank, finding.title, finding.file, finding.line)
"""

from __future__ import annotations

from .answer import explain
from .engine import Engine, diagnose
from .finding import CannotTell, Diagnosis, Finding, Proof
from .rule import Evidence, Rule
from .rules import all_rules, rule_of

__all__ = [
    "CannotTell",
    "Diagnosis",
    "Engine",
    "Evidence",
    "Finding",
    "Proof",
    "Rule",
    "all_rules",
    "diagnose",
    "explain",
    "rule_of",
]
