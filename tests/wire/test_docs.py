"""Every example of docs/wire.md runs as it stands, in one program from top to bottom."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from wallsocket import lab
from wallsocket.errors import WallsocketError

PAGE = Path(__file__).parents[2] / "docs/wire.md"


def test_the_examples_of_the_page_run(tmp_path, monkeypatch):
    try:
        lab.hosts("a", "b").close()
    except (WallsocketError, OSError) as error:
        pytest.skip(f"no lab here: {error}")
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text()
    examples = list(re.finditer(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    assert len(examples) >= 8
    names: dict[str, object] = {}
    for example in examples:
        line = text.count("\n", 0, example.start(1))
        # Empty lines before it, so that an error names the line of the page.
        exec(compile("\n" * line + example[1], str(PAGE), "exec"), names)


def test_every_command_on_the_page_exists():
    import click

    from wallsocket.cli import commands

    text = PAGE.read_text()
    named = set(re.findall(r"^wallsocket ([a-z]+)", text, re.MULTILINE))
    assert named == {"capture", "inject", "replay", "ping", "traceroute", "arp"}
    for name in named:
        assert commands.get_command(click.Context(commands), name) is not None
