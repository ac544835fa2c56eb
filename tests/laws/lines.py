"""What text from outside must be before it is printed."""

from __future__ import annotations

import unicodedata


def is_one_line(text: str) -> bool:
    """Whether the text has no controls and no characters that hide or reorder others."""
    return all(unicodedata.category(character) not in ("Cc", "Cf", "Zl", "Zp", "Cs") for character in text)
