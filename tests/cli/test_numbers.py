"""Numbers of any size and kind that a person can give to an option."""

from __future__ import annotations

import math
from collections.abc import Iterator

import click
import pytest

from wallsocket import cli

NUMBERS = ["-1", "0", "1", "3.5", "", " 1", "1_000", "0x10", "٣", "²", "nan", "inf", "-inf", "1e308", "1e400"]
NUMBERS += ["9" * 18, "9" * 25, "9" * 400, "-" + "9" * 400, "9" * 5000]
NUMBERS += [
    f"{number}{unit}" for number in ("3", "-1", "٣", "²", "nan", "1e400", "9" * 400, "9" * 5000) for unit in ("s", "ms")
]


def every_option(command: click.Command, context: click.Context, name: str) -> Iterator[tuple[str, click.Option]]:
    if isinstance(command, click.Group):
        for word in command.list_commands(context):
            inner = command.get_command(context, word)
            assert inner is not None
            yield from every_option(inner, click.Context(inner, parent=context, info_name=word), f"{name} {word}")
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not (parameter.is_flag or parameter.count):
            yield f"{name} {parameter.opts[0]}", parameter


OPTIONS = dict(every_option(cli.commands, click.Context(cli.commands), "wallsocket"))


def test_there_are_options() -> None:
    assert {"wallsocket trace --payload", "wallsocket lab link --refuse", "wallsocket replay --speed"} <= OPTIONS.keys()


@pytest.mark.parametrize("name", OPTIONS)
def test_a_number_is_one_to_reckon_with_or_a_complaint(name: str) -> None:
    option = OPTIONS[name]
    context = click.Context(cli.commands)
    for text in NUMBERS:
        try:
            value = option.type.convert(text, option, context)
        except click.UsageError as error:
            # What is too long is not said again.
            assert "Traceback" not in error.format_message()
            continue
        if isinstance(value, float):
            assert math.isfinite(value) or (name, text) == ("wallsocket replay --speed", "inf")
        elif isinstance(value, int):
            assert -(2**63) <= value < 2**64
