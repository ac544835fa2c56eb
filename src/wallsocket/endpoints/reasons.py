"""Likely reasons of errors (to be filled in)."""

from __future__ import annotations

import os
from typing import Any


def attach(error: OSError, doing: str, endpoint: Any, target: Any, **more: Any) -> OSError:
    """Attach."""
    from . import addresses

    if not error.strerror or not error.args[1:]:
        made = OSError(error.errno, os.strerror(error.errno or 0))
        made.__traceback__ = error.__traceback__
        error = made
    error.add_note(f"{doing} {addresses.shown(target) if target is not None else ''}")
    return error
