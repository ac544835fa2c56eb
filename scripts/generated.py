"""What the pages that are written from the package have in common: docs/rule and docs/lesson."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["link", "plain", "write"]


def link(reference: str) -> str:
    """A manual page, an RFC or a file of the kernel as a link to where it can be read; anything else as it is."""
    if found := re.fullmatch(r"RFC (\d+)(?:,? (?:section )?(\d[\d.]*))?(\W.*)?", reference):
        number, section, rest = found.groups()
        text = f"RFC {number}" + (f", section {section}" if section else "")
        address = f"https://www.rfc-editor.org/rfc/rfc{number}" + (f"#section-{section}" if section else "")
        return f"[{text}]({address}){plain(rest or '')}"
    if found := re.fullmatch(r"([\w.-]+)\((\d)(\w*)\)(.*)", reference):
        name, section, suffix, rest = found.groups()
        text = f"{plain(name)}({section}{suffix})"
        if suffix or section in "18":
            return f"[{text}](https://manpages.debian.org/{name}.{section}{suffix}){plain(rest)}"
        return f"[{text}](https://man7.org/linux/man-pages/man{section}/{name}.{section}.html){plain(rest)}"
    if found := re.fullmatch(r"((?:net|include|kernel|fs|drivers|Documentation)/[\w/.-]+)(.*)", reference):
        path, rest = found.groups()
        return f"[{plain(path)}](https://github.com/torvalds/linux/blob/master/{path}){plain(rest)}"
    return plain(reference)


def plain(text: str) -> str:
    """A sentence as Markdown that shows it as it is."""
    return re.sub(r"([\\`*_<>\[\]#|])", r"\\\1", text)


def write(path: Path, text: str) -> None:
    """Only what is new, so that Sphinx builds only that again."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
