"""The table of views, and asking for one by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from ..errors import UsageError
from . import compare, detail, finding, gauges, ladder, overview, river, sequence, states, topology
from .snapshot import Snapshot

__all__ = ["VIEWS", "View", "ask"]


class View(NamedTuple):
    """One view: the struct of its arguments, and the function that makes it."""

    arguments: type[msgspec.Struct]
    make: Callable[[Snapshot, Any], msgspec.Struct]


#: By name: of the function, of the address on the page, and of the module in ``web/static`` that shows it.
VIEWS: Final[dict[str, View]] = {
    "compare": View(compare.CompareAsked, compare.compared),
    "conversations": View(ladder.ConversationsAsked, ladder.conversations),
    "detail": View(detail.DetailAsked, detail.detail),
    "finding": View(finding.FindingAsked, finding.finding),
    "gauges": View(gauges.GaugesAsked, gauges.gauges),
    "ladder": View(ladder.LadderAsked, ladder.ladder),
    "locate": View(ladder.LocateAsked, ladder.locate),
    "overview": View(overview.OverviewAsked, overview.overview),
    "river": View(river.RiverAsked, river.river),
    "sequence": View(sequence.SequenceAsked, sequence.sequence),
    "states": View(states.StatesAsked, states.states),
    "topology": View(topology.TopologyAsked, topology.topology),
}


def ask(snapshot: Snapshot, name: str, arguments: Mapping[str, Any]) -> msgspec.Struct:
    """A view by its name, with arguments as they stand in an address: texts are turned into what the view wants.

    Raises:
        UsageError: no such view, a wrong argument, or nothing in the recording that fits.
        NotReady: it needs what is still being read.
    """
    view = VIEWS.get(name)
    if view is None:
        raise UsageError(f"no view {name!r}; there are {', '.join(VIEWS)}")
    unknown = arguments.keys() - set(view.arguments.__struct_fields__)
    if unknown:
        raise UsageError(f"{name}: no argument {sorted(unknown)[0]!r}")
    try:
        asked = msgspec.convert(dict(arguments), view.arguments, strict=False)
    except msgspec.ValidationError as error:
        raise UsageError(f"{name}: {error}") from None
    with snapshot.lock:
        return view.make(snapshot, asked)
