"""View models: what a screen shows, as data, made of a recording once for the page, the terminal and notebooks.

A view is a function of a :class:`Snapshot` and its arguments, both structs: it can be tested without a screen, and its
answer goes to the page as JSON. Texts in the answers are made harmless already (:func:`wallsocket.trace.text.escape`);
bytes stay bytes, and each screen writes them in its own way.

>>> from wallsocket.view import Snapshot, ask
>>> with Snapshot.open("run.wsrec") as snapshot:  # doctest: +SKIP
...     print(ask(snapshot, "overview", {}).findings)
"""

from __future__ import annotations

from .asking import VIEWS, View, ask
from .feed import Feed, Status
from .snapshot import NotReady, Snapshot

__all__ = ["VIEWS", "Feed", "NotReady", "Snapshot", "Status", "View", "ask"]
