"""``wallsocket lesson course``: orders in which the lessons can be taken."""

from __future__ import annotations

import sys

import click

from . import options, terminal

__all__ = ["command"]


@click.command("course")
@click.argument("name", metavar="[NAME]", required=False)
@options.json
def command(name: str | None, as_json: bool) -> None:
    """Print a course: which lessons, claims and exercises in which order, and how long each part takes."""
    from ..lessons.course import all_courses, course_named
    from ..trace.text import Style, json_line, paint, wrap

    if as_json:
        for course in all_courses() if name is None else (course_named(name),):
            sys.stdout.buffer.write(json_line(course) + b"\n")
        return
    colour, width = terminal.has_colour(), min(terminal.width(), 100)
    if name is None:
        for course in all_courses():
            click.echo(f"{course.id:<12} {course.minutes:>5} min  {course.title}")
        click.echo("\nwallsocket lesson course NAME prints one")
        return
    course = course_named(name)
    click.echo(paint(course.title, Style.BOLD, colour=colour))
    for line in wrap(course.how.split(), width):
        click.echo(line)
    for unit in course.units:
        click.echo(f"\n{unit.minutes:>5} min  " + paint(unit.title, Style.BOLD, colour=colour))
        for typed in unit.commands:
            click.echo(f"           {typed}")
