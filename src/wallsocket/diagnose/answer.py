"""``explain(...)``: a diagnosis of whatever is at hand."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..trace.recording import Recording
from .engine import diagnose
from .finding import Diagnosis
from .rule import Rule
from .rules import all_rules, rule_of

if TYPE_CHECKING:
    from ..trace.session import Trace

__all__ = ["explain"]


def explain(
    what: Recording | Trace | str | os.PathLike[str] | Sequence[str],
    *,
    rules: Iterable[str] | None = None,
    **options: Any,
) -> Diagnosis:
    """Say what is wrong: of a recording, of a trace, or of a command that is run for it.

    Args:
        what: an open recording, a trace (a command is waited for, other programs are let go of), the path of a recording,
            of a capture or of a log of strace, or a command as a list of words.
        rules: ids of the only rules to ask; all by default.
        options: of :func:`wallsocket.trace.run`, for a command.

    Returns:
        The findings, most probable cause first, and what could not be told. Nothing found is not "all is well":
        ``checked``, ``cannot_tell``, ``not_judged`` and ``lost`` say how much was looked at.

    Raises:
        RecordingError: the file is no recording.
        UsageError: there is no such rule.
        NotStarted, NotPermitted: as of :func:`wallsocket.trace.run`.

    """
    chosen = all_rules() if rules is None else [_rule(name) for name in rules]
    if isinstance(what, Recording):
        return diagnose(what, chosen)
    if isinstance(what, (str, os.PathLike)):
        from ..trace.importing import open_files

        with open_files([Path(what)]) as recording:
            return diagnose(recording, chosen)
    from ..trace.session import Trace, run

    trace = what if isinstance(what, Trace) else run(what, **options)
    with trace:
        pass  # its end waits for a command, and lets go of programs that ran before
    return diagnose(trace.recording, chosen)


def _rule(name: str) -> Rule:
    found = rule_of(name)
    if found is None:
        raise UsageError(f"there is no rule {name!r}; wallsocket rule list has them")
    return found
