"""What an exercise is: a task that a student reads, and the scenarios that a program for it must survive."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from .stage import Stage

__all__ = ["Exercise", "Scenario"]


@dataclasses.dataclass(frozen=True)
class Scenario:
    """One thing that happens to a program.

    Attributes:
        name: its word in ``--json``.
        title: what happens, as part of a sentence: "a long message in parts".
        play: does it; raises :class:`~.stage.Mismatch` when the program does not do its part.
        mistake: what a program that fails here, and only here, most probably does (a name of :mod:`.mistakes`).
        beside: rules that also speak of right programs here, because of what our end does; they say nothing about a cause.

    """

    name: str
    title: str
    play: Callable[[Stage], None]
    mistake: str | None = None
    beside: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Exercise:
    """A task and how a program for it is judged.

    Attributes:
        name: its word on the command line.
        title: in a few words.
        level: 1 (first program) to 4.
        protocol: what its sockets speak.
        role: whether the program is asked, or asks.
        usage: how it is started, such as ``FILE PORT``.
        task: what it must do, for a student; plain text, paragraphs with blank lines between.
        scenarios: what is played, the simplest first; each with a fresh start of the program.
        lessons: those that have what a program for it needs to know, in the order of reading.
        at_once: whether it must serve several clients at the same time.

    """

    name: str
    title: str
    level: int
    protocol: Literal["tcp", "udp", "icmp"]
    role: Literal["server", "client"]
    usage: str
    task: str
    scenarios: tuple[Scenario, ...]
    lessons: tuple[str, ...]
    at_once: bool = False
