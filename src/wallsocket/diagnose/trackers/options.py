"""Socket options: what was set, and what was in force."""

from __future__ import annotations

from ..call import CallFacts
from ..sample import Sample
from ..subjects import SocketFacts
from ..tracker import SocketTracker, on_sample, returned
from ..vocabulary import SO_LINGER, SOL_SOCKET
from .sockets import Sockets

__all__ = ["OptionFacts", "Options"]

#: Different options of one socket that are kept.
_OPTIONS = 64


class OptionFacts:
    """Options of one socket."""

    __slots__ = ("first", "in_force", "set")

    def __init__(self) -> None:
        self.set: dict[tuple[int, int], CallFacts] = {}  #: the latest setsockopt of each option that succeeded
        self.first: dict[tuple[int, int], CallFacts] = {}  #: the first one of each
        self.in_force: Sample | None = None  #: the latest sample that read options


class Options(SocketTracker[OptionFacts]):
    """Keeps the latest setsockopt of each option and the latest values that the kernel told."""

    needs = (Sockets,)
    kept = OptionFacts

    @returned("setsockopt")
    def was_set(self, call: CallFacts) -> None:
        """An option was set."""
        option = call.option
        if call.succeeded and call.socket is not None and option is not None:
            facts = self.keep(call.socket)
            if option in facts.set or len(facts.set) < _OPTIONS:
                facts.set[option] = call
                facts.first.setdefault(option, call)

    @on_sample(more=True)
    def see(self, socket: SocketFacts, sample: Sample) -> None:
        """A sample with options."""
        if sample.row.options:
            self.keep(socket).in_force = sample

    def call(self, socket: SocketFacts, level: int, name: int) -> CallFacts | None:
        """The latest successful setsockopt of an option."""
        return self.of(socket).set.get((level, name))

    def first(self, socket: SocketFacts, level: int, name: int) -> CallFacts | None:
        """The first successful setsockopt of an option."""
        return self.of(socket).first.get((level, name))

    def number_set(self, socket: SocketFacts, level: int, name: int) -> int | None:
        """The number that was last set; ``None``: never set, or not recorded."""
        call = self.call(socket, level, name)
        return call.option_number if call is not None else None

    def sampled(self, socket: SocketFacts, level: int, name: int) -> bytes | None:
        """The bytes of an option in the latest sample that read options; ``None``: not sampled."""
        sample = self.of(socket).in_force
        return sample.options.get((level, name)) if sample is not None else None

    def in_force(self, socket: SocketFacts, level: int, name: int) -> int | None:
        """The value of an option in force; of a ``struct timeval`` 1 or 0; ``None``: not sampled."""
        value = self.sampled(socket, level, name)
        if value is None or len(value) < 4:
            return None
        return int.from_bytes(value, "little", signed=True) if len(value) == 4 else int(any(value))

    def on(self, socket: SocketFacts, level: int, name: int) -> bool:
        """Whether a switch was set, or was in force."""
        return bool(self.number_set(socket, level, name) or self.in_force(socket, level, name))

    def limited(self, socket: SocketFacts, name: int) -> bool | None:
        """Whether waits have a time limit (``SO_RCVTIMEO``, ``SO_SNDTIMEO``); ``None``: not known."""
        call = self.call(socket, SOL_SOCKET, name)
        if call is not None:
            return any(call.value)
        in_force = self.in_force(socket, SOL_SOCKET, name)
        if in_force is not None:
            return bool(in_force)
        if socket.late or self.facts.pictures:
            return None
        if socket.origin == "accept":
            # It has the options that its listener had (net/core/sock.c, sk_clone_lock).
            listener = self.facts[Sockets].get(socket.parent)
            # A listener was not accepted itself: in a file that says so, parents may form a circle.
            return self.limited(listener, name) if listener is not None and listener.origin != "accept" else None
        return False if socket.origin in ("socket", "socketpair") else None

    def aborts(self, socket: SocketFacts) -> bool:
        """Whether the program asked for a reset at close: SO_LINGER on with a time of 0."""
        call = self.call(socket, SOL_SOCKET, SO_LINGER)
        value = call.call.value if call is not None else self.sampled(socket, SOL_SOCKET, SO_LINGER)
        return value is not None and len(value) >= 8 and value[:4] != bytes(4) and value[4:8] == bytes(4)
