"""``wallsocket lesson exercise``: tasks for programs of one's own."""

from __future__ import annotations

import sys

import click

from . import options, terminal

__all__ = ["command"]


@click.command("exercise")
@click.argument("name", required=False)
@options.json
def command(name: str | None, as_json: bool) -> None:
    """List the exercises, or print the task of one.

    \b
    wallsocket lesson exercise                  all, by level
    wallsocket lesson exercise uppercase-tcp    what the program must do
    """
    from ..lessons.exercises import all_exercises, exercise_named
    from ..lessons.exercises import text as texts

    chosen = all_exercises() if name is None else (exercise_named(name),)
    if as_json:
        from ..trace.text import json_line

        for exercise in chosen:
            document = {
                "exercise": exercise.name,
                "title": exercise.title,
                "level": exercise.level,
                "protocol": exercise.protocol,
                "role": exercise.role,
                "usage": exercise.usage,
                "task": exercise.task,
                "lessons": exercise.lessons,
                "scenarios": [{"scenario": one.name, "title": one.title} for one in exercise.scenarios],
            }
            sys.stdout.buffer.write(json_line(document) + b"\n")
        return
    if name is None:
        lines = texts.list_lines(chosen, width=terminal.width())
    else:
        lines = texts.task_lines(chosen[0], width=terminal.width(), colour=terminal.has_colour())
    for line in lines:
        click.echo(line)
    if name is None:
        click.echo(
            "\nwallsocket lesson exercise NAME prints a task; wallsocket lesson check FILE -e NAME checks a program"
        )
