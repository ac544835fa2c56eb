"""Recording what a program does with its sockets, and reading such recordings.

>>> from wallsocket import trace
>>> with trace.run(["curl", "http://127.0.0.1/"]) as t:  # doctest: +SKIP
...     pass
>>> for call in t.recording.calls():  # doctest: +SKIP
...     print(call.entry_ns, call.result)
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .places import newest, recordings
    from .recording import Recording
    from .run import RunResult
    from .session import LabTrace, Trace, attach, lab, run

__all__ = ["LabTrace", "Recording", "RunResult", "Trace", "attach", "lab", "newest", "recordings", "run"]

_PLACES = {
    "LabTrace": "session",
    "lab": "session",
    "Recording": "recording",
    "RunResult": "run",
    "Trace": "session",
    "attach": "session",
    "newest": "places",
    "recordings": "places",
    "run": "session",
}


class _Package(ModuleType):
    """This package: ``run`` and ``attach`` are functions here, whoever imports the modules of those names, and whenever."""

    def __setattr__(self, name: str, value: Any) -> None:
        # Importing a module binds its name in the package.
        if not (isinstance(value, ModuleType) and name in _PLACES):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
    globals()[name] = value
    return value
