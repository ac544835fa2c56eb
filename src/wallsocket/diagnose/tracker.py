"""What a tracker is: it collects one kind of fact while events pass, and judges nothing.

A tracker lives in a file of its own under ``trackers/`` and says by decorators which events it wants; the engine makes its
tables of handlers from that, so an event costs only those who asked for it::

    class Accepts(SocketTracker[AcceptFacts]):
        kept = AcceptFacts

        @returned(*ACCEPTS)
        def accepted(self, call: CallFacts) -> None:
            if call.succeeded and call.socket is not None:
                self.keep(call.socket).count += 1

A rule names the trackers that it reads in ``needs``; a tracker names those that it reads itself. Only trackers that
some rule needs are fed. Within one event a tracker is called after those that it needs.

What is kept of a socket belongs to the socket (:class:`SocketTracker`) and goes when the socket is retired: closed, judged
and forgotten. What must outlive it (sums per destination, per creating line, per process) is kept by the tracker
itself, in bounded tables (:class:`Recent`), as calls ``without_samples``. Memory must not grow with the length of a
recording.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from .facts import Facts
    from .subjects import SocketFacts

__all__ = [
    "NONE_YET",
    "Latest",
    "LatestOf",
    "Recent",
    "SocketTracker",
    "Tracker",
    "Wish",
    "entered",
    "failed",
    "on_counter",
    "on_each_packet",
    "on_end",
    "on_fact",
    "on_mark",
    "on_met",
    "on_packet",
    "on_retire",
    "on_sample",
    "on_thread",
    "returned",
]

_F = TypeVar("_F", bound=Callable[..., None])
_K = TypeVar("_K")
_V = TypeVar("_V")


class Wish(NamedTuple):
    """What a method of a tracker wants to be told."""

    kind: str  #: what happened
    method: str
    names: tuple[str, ...] = ()  #: of calls; empty: every one
    of: str | None = None  #: only of sockets of which this attribute of ``SocketFacts`` is true; frames: of the tracker
    given: bool = False  #: only of sockets of which the tracker keeps something already
    moved: bool = False  #: only calls that moved bytes, or made a descriptor
    waited: bool = False  #: only calls that took so long that other events happened meanwhile: 20 ms
    states: tuple[int, ...] = ()  #: only samples in these states
    between: bool = False  #: only samples that were taken at no call, while the socket lived
    queued: bool = False  #: only samples with something in the receive or accept queue
    unacknowledged: bool = False  #: only samples with something in the send queue
    more: bool = False  #: only samples that tell addresses, options or timers: few of those taken at calls do
    changed: bool = False  #: only samples whose state or drops are not those of the one before


def _wants(kind: str, **more: Any) -> Callable[[_F], _F]:
    def mark(function: _F) -> _F:
        function.__dict__.setdefault("wishes", []).append(Wish(kind, function.__name__, **more))
        return function

    return mark


def entered(*names: str, of: str | None = None, given: bool = False, waited: bool = False) -> Callable[[_F], _F]:
    """``method(call)`` when a call of these names is entered; without names every call. Conditions: :class:`Wish`."""
    return _wants("entered", names=names, of=of, given=given, waited=waited)


def returned(
    *names: str, of: str | None = None, given: bool = False, moved: bool = False, waited: bool = False
) -> Callable[[_F], _F]:
    """``method(call)`` when a call of these names has returned; without names every call. Conditions: :class:`Wish`."""
    return _wants("returned", names=names, of=of, given=given, moved=moved, waited=waited)


def failed(function: _F) -> _F:
    """``method(call)`` when any call has returned with an error, after :func:`returned`."""
    return _wants("failed")(function)


def on_thread(function: _F) -> _F:
    """``method(process, tid)`` when a thread is met for the first time."""
    return _wants("thread")(function)


def on_sample(
    *states: int,
    of: str | None = None,
    given: bool = False,
    between: bool = False,
    queued: bool = False,
    unacknowledged: bool = False,
    more: bool = False,
    changed: bool = False,
) -> Callable[[_F], _F]:
    """``method(socket, sample)`` for samples of a socket in these states; without states in any. Conditions: :class:`Wish`.

    ``socket.last`` is still the one before.
    """
    return _wants(
        "sample",
        states=states,
        of=of,
        given=given,
        between=between,
        queued=queued,
        unacknowledged=unacknowledged,
        more=more,
        changed=changed,
    )


def on_met(function: _F) -> _F:
    """``method(socket)`` when a socket is met for the first time, and when its row in the table changes."""
    return _wants("met")(function)


def on_packet(function: _F) -> _F:
    """``method(packet, segment)`` for each frame but TCP segments without SYN and RST, which are most.

    ``segment`` is as of ``trace.wire``, or ``None``.
    """
    return _wants("packet")(function)


def on_each_packet(attribute: str) -> Callable[[_F], _F]:
    """The same for each frame, as long as this attribute of the tracker is true."""
    return _wants("packet", of=attribute)


def on_counter(function: _F) -> _F:
    """``method(counter, row)`` for each counter; ``row`` is its position counted from 1."""
    return _wants("counter")(function)


def on_fact(function: _F) -> _F:
    """``method(fact)`` for what the kernel said about the host."""
    return _wants("fact")(function)


def on_mark(function: _F) -> _F:
    """``method(mark)`` for what was no call."""
    return _wants("mark")(function)


def on_retire(function: _F) -> _F:
    """``method(socket)`` when a socket has been judged and is about to be forgotten."""
    return _wants("retire")(function)


def on_end(function: _F) -> _F:
    """``method()`` once, when the recording has ended and before the last subjects are judged."""
    return _wants("end")(function)


class Tracker:
    """Collects one kind of fact."""

    needs: ClassVar[tuple[type[Tracker], ...]] = ()  #: trackers that it reads
    wishes: ClassVar[tuple[Wish, ...]] = ()

    def __init_subclass__(cls, **rest: Any) -> None:
        super().__init_subclass__(**rest)
        own = [wish for value in vars(cls).values() for wish in getattr(value, "wishes", ()) if callable(value)]
        overridden = {wish.method for wish in own}
        cls.wishes = (*(wish for wish in cls.wishes if wish.method not in overridden), *own)

    def __init__(self, facts: Facts) -> None:
        self.facts = facts  #: to reach the trackers that it needs, the tables and the time


#: What has not come yet, in facts of which most sockets have none: a table of its own for each takes 64 bytes or more.
NONE_YET: Final[Mapping[Any, Any]] = MappingProxyType({})


class Latest(list[_K]):
    """The latest of many, in order. Of most sockets there are none or few, and an empty ``deque`` takes 600 bytes."""

    __slots__ = ("_limit",)

    def __init__(self, limit: int) -> None:
        self._limit = limit

    def append(self, one: _K) -> None:
        """Take the next one; the oldest goes when there are too many."""
        list.append(self, one)
        if len(self) > self._limit:
            del self[0]


class Recent(OrderedDict[_K, _V]):
    """A table that outlives sockets: of more than ``limit`` keys the one that was set longest ago goes.

    So a program that lives long and one that has just begun are both in it, however many there were between.
    """

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def __setitem__(self, key: _K, value: _V) -> None:
        super().__setitem__(key, value)
        self.move_to_end(key)
        if len(self) > self._limit:
            self.popitem(last=False)


class LatestOf(Generic[_K, _V]):
    """A table of the latest values by key: ``each`` of one key at most, and of all keys together what weighs ``limit``.

    When there is more, the key that was given a value longest ago goes with all of its values.

    Args:
        limit: how much is kept of all together.
        each: how many values of one key.
        weigh: what a value weighs, at least 1.
    """

    def __init__(self, limit: int, each: int, weigh: Callable[[_V], int] = lambda _: 1) -> None:
        self._limit, self._each, self._weigh = limit, each, weigh
        self._of: OrderedDict[_K, list[_V]] = OrderedDict()
        self.weight = 0  #: of all that is kept

    def add(self, key: _K, value: _V) -> None:
        """Keep the next value of a key."""
        kept = self._of.setdefault(key, [])
        self._of.move_to_end(key)
        kept.append(value)
        self.weight += self._weigh(value)
        while self.weight > self._limit and len(self._of) > 1:
            self.weight -= sum(map(self._weigh, self._of.popitem(last=False)[1]))
        while len(kept) > self._each or (self.weight > self._limit and kept):
            self.weight -= self._weigh(kept.pop(0))

    def of(self, key: _K) -> Sequence[_V]:
        """What is kept of a key, in order."""
        return self._of.get(key, ())


class SocketTracker(Tracker, Generic[_K]):
    """Keeps one object of :attr:`kept` for each socket of which it has seen something."""

    kept: type[_K]  #: made without arguments

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.place = facts.new_place()
        self._nothing = self.kept()
        self._given = any(wish.given for wish in self.wishes)

    def of(self, socket: SocketFacts) -> _K:
        """What is known of a socket, to be read; empty when nothing has been seen."""
        found = socket.kept.get(self.place)
        return self._nothing if found is None else found

    def keep(self, socket: SocketFacts) -> _K:
        """The same, to be written by the tracker itself."""
        found = socket.kept.get(self.place)
        if found is None:
            found = socket.kept[self.place] = self.kept()
            if self._given:
                socket.audience = None
        return found

    def drop(self, socket: SocketFacts) -> None:
        """Keep nothing more of a socket: there is no question left."""
        if socket.kept.pop(self.place, None) is not None and self._given:
            socket.audience = None
