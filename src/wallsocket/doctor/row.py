"""One row of the table."""

from __future__ import annotations

from enum import Enum

import msgspec

__all__ = ["Row", "Status"]


class Status(Enum):
    """How a feature fared."""

    WORKS = "works"
    REFUSED = "refused"  #: the kernel or a policy said no; ``refused_by`` names it
    MISSING = "missing"  #: a program, library or kernel feature is not here
    UNKNOWN = "unknown"  #: the probe did not end, or ended in a way that says nothing


class Row(msgspec.Struct, frozen=True, omit_defaults=True):
    """A feature, how it fared, and what to do about it."""

    feature: str
    status: Status
    purpose: str  #: what needs it
    detail: str = ""  #: what was seen
    refused_by: str = ""  #: the setting or policy; "unknown" when none could be found
    allow: str = ""  #: the command that allows it, for this program alone where such a line exists
    without: str = ""  #: what works all the same
    essential: bool = False  #: without it nothing can be traced
