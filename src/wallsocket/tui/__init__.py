"""A recording on a terminal screen, live while it grows: findings, sockets, the ladder, and all that is known of a row.

The screens show what :mod:`wallsocket.view` makes, as the page does; nothing is worked out here. Needs the extra ``tui``.
"""

from __future__ import annotations

from .watch import Watch

__all__ = ["Watch"]
