"""Comparison of a whole output with a file; `WALLSOCKET_EXPECTED=write pytest …` writes the files anew, to be read."""

from __future__ import annotations

import os
from pathlib import Path


def expect(folder: Path, name: str, text: str) -> None:
    """Fail unless ``text`` is what stands in ``folder/name.txt``."""
    path = folder / f"{name}.txt"
    if os.environ.get("WALLSOCKET_EXPECTED") == "write":
        folder.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
