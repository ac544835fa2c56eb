"""Two recordings side by side: where a bad run parts from a good one, in each layer, and what the rules say of it."""

from __future__ import annotations

import os
from typing import Final

import msgspec

from ..diagnose import diagnose
from ..diagnose.difference import difference
from ..errors import UsageError
from ..trace.compare import LAYERS, Divergence, Step, compare
from ..trace.text import escape
from .ladder import Locate, LocateAsked, locate
from .overview import FindingCard, finding_card
from .snapshot import NotReady, Snapshot, key_of

__all__ = ["CompareAsked", "Compared", "ComparedPair", "Parting", "Side", "compared"]

#: Pairs of sockets in one answer; those that part come first.
_MOST: Final = 500


class CompareAsked(msgspec.Struct, frozen=True):
    """All of it: there is nothing to choose."""


class Side(msgspec.Struct):
    """One step where two runs part, in one of them.

    Attributes:
        at_ns: when, since the beginning of its recording. where: line of code, in words. text: what happened.
        conversation: key of its conversation in its recording. index: position in that ladder; ``None`` unknown.
    """

    at_ns: int
    where: str
    text: str
    conversation: str | None
    index: int | None


class Parting(msgspec.Struct):
    """Where a layer of two sockets parts.

    Attributes:
        layer: ``calls``, ``kernel`` or ``wire``. pair: number of the pair. title: of the socket in the bad run.
        common: steps that are the same before. before: the last of those. good, bad: what came next; ``None``: nothing.
    """

    layer: str
    pair: int
    title: str
    common: int
    before: Side | None
    good: Side | None
    bad: Side | None


class ComparedPair(msgspec.Struct):
    """Two sockets with the same role.

    Attributes:
        number: its number. good, bad: titles of the sockets; empty: the run has none like it.
        good_key, bad_key: keys of their conversations. layers: those that part.
    """

    number: int
    good: str
    bad: str
    good_key: str | None
    bad_key: str | None
    layers: list[str]


class Compared(msgspec.Struct):
    """Two recordings side by side.

    Attributes:
        good, bad: their files. same: nothing parts.
        first: where each layer parts first. not_compared: layers that one of them lacks, with the reason.
        pairs: sockets, those that part first. more: pairs that are not told.
        only_bad, only_good, both: findings by where they are; numbers of ``only_good`` are of the good recording.
    """

    good: str
    bad: str
    same: bool
    first: list[Parting]
    not_compared: list[tuple[str, str]]
    pairs: list[ComparedPair]
    more: int
    only_bad: list[FindingCard]
    only_good: list[FindingCard]
    both: list[FindingCard]


def compared(snapshot: Snapshot, asked: CompareAsked) -> Compared:
    """A recording beside the good one that it was given."""
    del asked
    if snapshot.good is None:
        raise UsageError("there is no other recording to compare with: wallsocket web BAD --good GOOD")
    if snapshot.diagnosis is None:
        raise NotReady("the rules are still being checked")
    return snapshot.remember("compare", lambda: _compared(snapshot, snapshot.good))


def _compared(snapshot: Snapshot, good: Snapshot | None) -> Compared:
    assert good is not None
    found = compare(good.recording, snapshot.recording)
    bad_diagnosis = snapshot.diagnosis or diagnose(snapshot.recording)
    judged = difference(good.diagnosis or diagnose(good.recording), bad_diagnosis)
    titles = {pair.number: pair.bad_title or pair.good_title for pair in found.pairs}
    pairs = sorted(found.pairs, key=lambda pair: (not pair.divergences, pair.good is not None and pair.bad is not None))
    numbers = {id(finding): number for number, finding in enumerate(snapshot.findings, 1)}
    good_numbers = {id(finding): number for number, finding in enumerate(good.findings, 1)}
    return Compared(
        escape(os.path.basename(os.fspath(good.path))),
        escape(os.path.basename(os.fspath(snapshot.path))),
        found.same and not judged.only_bad and not judged.only_good,
        [_parting(snapshot, good, found.first[layer], titles) for layer in LAYERS if layer in found.first],
        [(layer, escape(reason)) for layer, reason in found.not_compared.items()],
        [
            ComparedPair(
                pair.number,
                pair.good_title,
                pair.bad_title,
                _key(good, pair.good),
                _key(snapshot, pair.bad),
                [divergence.layer for divergence in pair.divergences],
            )
            for pair in pairs[:_MOST]
        ],
        max(0, len(pairs) - _MOST),
        [finding_card(snapshot, numbers[id(finding)], finding) for finding in judged.only_bad],
        [finding_card(good, good_numbers[id(finding)], finding) for finding in judged.only_good],
        [finding_card(snapshot, numbers[id(finding)], finding) for finding in judged.both],
    )


def _parting(snapshot: Snapshot, good: Snapshot, divergence: Divergence, titles: dict[int, str]) -> Parting:
    return Parting(
        divergence.layer,
        divergence.pair,
        titles.get(divergence.pair, ""),
        divergence.common,
        _side(snapshot, divergence.before),
        _side(good, divergence.good),
        _side(snapshot, divergence.bad),
    )


def _side(snapshot: Snapshot, step: Step | None) -> Side | None:
    if step is None:
        return None
    where = f"{escape(os.path.basename(step.file))}:{step.line}" if step.file and step.line is not None else ""
    place = Locate(None, None)
    if step.call is not None:
        place = locate(snapshot, LocateAsked("call", step.call))
    elif step.packet is not None:
        place = locate(snapshot, LocateAsked("packet", step.packet))
    times = f" ×{step.times}" if step.times > 1 else ""
    return Side(step.at_ns, where, f"{step.text}{times}", place.conversation, place.index)


def _key(snapshot: Snapshot, socket: int | None) -> str | None:
    conversations = snapshot.of_socket.get(socket, ()) if socket is not None else ()
    return key_of(conversations[0]) if conversations else None
