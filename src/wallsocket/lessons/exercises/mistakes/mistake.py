"""What a mistake is, and how one is told."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Final, Literal, NamedTuple

from ..case import Case, Place

__all__ = ["Mistake", "Spotted"]

_NOWHERE: Final = Place(None, None)


class Spotted(NamedTuple):
    """A mistake that was found."""

    why: str
    place: Place = _NOWHERE
    certainty: Literal["certain", "strong", "hint"] = "certain"


@dataclasses.dataclass(frozen=True)
class Mistake:
    """A mistake.

    Attributes:
        id: its name.
        title: in a few words.
        hint: what to think about.
        spot: looks for it; ``None`` where only the other end can tell, which names it.
        first: goes before findings of rules, because it is the nearer cause where both speak.
        where: the call whose line is shown where the other end tells it: the last ``send`` or ``receive`` of the
            conversation, its ``end``, the last ``accept``, or ``wait``, where the program stands.
        yields_to: mistakes, or rules of the same id, that name the nearer cause where they speak.

    """

    id: str
    title: str
    hint: str
    spot: Callable[[Case], Spotted | None] | None = None
    first: bool = False
    where: Literal["send", "receive", "end", "accept", "wait"] = "send"
    yields_to: tuple[str, ...] = ()
