"""The recording: one SQLite file that a trace writes and everything else reads.

Only this package imports ``sqlite3``. ``schema.sql`` is the definition, ``wallsocket.events`` holds one class per table.
:class:`Writer` is used by the recorder and by :func:`write_findings`; :class:`Recording` reads. ``schema.py`` knows the tables,
``file.py`` the file on the disk, ``window.py`` a recording that keeps only its latest part.
"""

from __future__ import annotations

from .file import is_being_written
from .reader import Event, Evidence, Recording, StoredFinding, event_time_ns
from .schema import APPLICATION_ID, SCHEMA_VERSION
from .window import freeze_window
from .writer import Writer, write_findings

__all__ = [
    "APPLICATION_ID",
    "SCHEMA_VERSION",
    "Event",
    "Evidence",
    "Recording",
    "StoredFinding",
    "Writer",
    "event_time_ns",
    "freeze_window",
    "is_being_written",
    "write_findings",
]
