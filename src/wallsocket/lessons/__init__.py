"""Lessons: statements about sockets, each shown by an experiment on the running kernel.

A lesson is a Markdown file in one of the folders here (:mod:`.lesson` says what stands in it); :mod:`.catalogue` finds
lessons, :mod:`.play` runs the program of a claim and computes its verdict from what was seen. The names below are for the
programs::

    from wallsocket.lessons import attempt, until
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .experiment import (
        Ended,
        Found,
        Traced,
        attempt,
        counted,
        explained,
        meanwhile,
        run_file,
        state,
        traced,
        until,
    )

__all__ = [
    "Ended",
    "Found",
    "Traced",
    "attempt",
    "counted",
    "explained",
    "meanwhile",
    "run_file",
    "state",
    "traced",
    "until",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from . import experiment

        return getattr(experiment, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
