"""The one exception tree.

::

    WallsocketError            everything below; never raised itself
    ├── UsageError             the caller asked for something that cannot be: wrong argument, wrong order
    ├── NotPermitted           the kernel or a policy refused; says which permission and the way without it
    ├── NotAvailable           this kernel, machine or installation lacks what is needed
    └── RecordingError         a recording cannot be read or written

``OSError`` is never renamed away: where one is the reason, it is the ``__cause__``.
"""

from __future__ import annotations

__all__ = ["NotAvailable", "NotPermitted", "RecordingError", "UsageError", "WallsocketError"]


class WallsocketError(Exception):
    """Base of all exceptions of this package; the command line prints its text as one line."""


class UsageError(WallsocketError):
    """The caller asked for something that cannot be."""


class NotPermitted(WallsocketError):
    """The kernel or a policy refused; the text names the permission and the way without it."""


class NotAvailable(WallsocketError):
    """This kernel, machine or installation lacks what is needed."""


class RecordingError(WallsocketError):
    """A recording cannot be read or written."""
