"""See what a socket program does, learn why it fails, and write socket programs that are right and fast."""

from __future__ import annotations

import importlib

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing is not imported for it: a quarter of the time that this import takes
    from typing import Any

    from .diagnose import explain

__all__ = ["__version__", "explain"]

#: Public modules, loaded when first used so that ``import wallsocket`` stays cheap.
_MODULES = frozenset(
    {"aio", "diagnose", "framing", "kernel", "lab", "options", "raw"}
    | {"reasons", "states", "tcp", "trace", "udp", "unix", "wire"}
)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name == "explain":
        return importlib.import_module(f"{__name__}.diagnose").explain
    if name == "__version__":
        from ._core import __version__

        return __version__
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
