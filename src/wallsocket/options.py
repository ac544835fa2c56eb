"""Socket options by name: type, unit, what is in force, and a warning when the kernel grants less than was asked."""

from __future__ import annotations

from .endpoints.options import Options, OptionWarning, Setting, get, live, set_option
from .kernel.options import OptionValue, SocketOption, named, table

__all__ = [
    "OptionValue",
    "OptionWarning",
    "Options",
    "Setting",
    "SocketOption",
    "get",
    "live",
    "named",
    "set_option",
    "table",
]
