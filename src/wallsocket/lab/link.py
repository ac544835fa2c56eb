"""A link between two hosts, or a host and a switch: a cable, or a path that loses, delays, repeats and corrupts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import kernel
from .._core import lab as _core
from ..errors import UsageError
from .quantity import bits_per_second, count_of_bytes, probability, seconds

if TYPE_CHECKING:
    from ..wire.capture import Capture
    from .host import Host, Interface
    from .network import Lab, Switch

__all__ = ["IMPAIRMENTS", "Fate", "Link"]

#: The least and greatest size of a link's queue, in frames.
_QUEUE = range(1, 1_000_001)

#: What :meth:`Link.set` takes, each with one sentence; the command line and TOML files use the same names.
IMPAIRMENTS = {
    "loss": "probability that a frame is lost",
    "burst": "loss in bursts (Gilbert-Elliott): enter, leave, loss while bad, loss while good",
    "lose": "numbers of the frames of each flow that are lost, from 1",
    "lose_every": "every Nth frame of each flow is lost",
    "delay": "time a frame is on its way",
    "jitter": "how much that time varies at most; frames keep their order",
    "duplicate": "probability that a frame arrives twice",
    "reorder": "probability that a frame is held back until later ones of its flow have gone",
    "reorder_gap": "how many later frames overtake a held one",
    "corrupt": "probability that one bit of a frame is flipped",
    "mend_checksum": "make the checksum of corrupted frames right again",
    "rate": "bits per second",
    "queue": "frames that may wait for the rate",
    "largest": "IP packets larger than this vanish without an answer",
}


class Fate(NamedTuple):
    """What happened to one frame of an impaired link."""

    toward: str
    """Name of the end it travelled to."""
    flow: str
    """Protocol, service port, client, server and ordinal of the connection."""
    number: int
    """Its number in its flow and direction, from 1."""
    fate: str
    """``passed``, ``lost``, or one or several of ``duplicated``, ``held``, ``corrupted``."""


def _burst(value: str | Sequence[float | str]) -> tuple[float, float, float, float]:
    parts = value.split(",") if isinstance(value, str) else list(value)
    if not 2 <= len(parts) <= 4:
        raise UsageError(f"burst {value!r}: give enter, leave, and if wanted loss while bad and loss while good")
    names = ("burst enter", "burst leave", "burst loss while bad", "burst loss while good")
    numbers = [probability(part, name) for part, name in zip(parts, names, strict=False)]
    enter, leave, bad, good = numbers + [1.0, 0.0][len(numbers) - 2 :]
    return enter, leave, good, bad


def _numbers(value: int | str | Sequence[int]) -> list[int]:
    try:
        parts = value.split(",") if isinstance(value, str) else [value] if isinstance(value, int) else value
        numbers = [int(part) for part in parts]
    except (TypeError, ValueError):
        raise UsageError(f"lose {value!r}: give numbers of frames, such as 3,7") from None
    if any(number < 1 for number in numbers):
        raise UsageError(f"lose {value!r}: the first frame of a flow is number 1")
    return numbers


def _whole(value: int | str, name: str, least: int) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError):
        raise UsageError(f"{name} {str(value)[:40]!r} is not a whole number") from None
    if number >= 1 << 31:
        raise UsageError(f"{name} takes less than 2,147,483,648")
    if number < least:
        raise UsageError(f"{name} {number} is less than {least}")
    return number


def check(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of a link in the core's units.

    Raises:
        UsageError: one is unknown or not understood.
    """
    unknown = settings.keys() - IMPAIRMENTS.keys()
    if unknown:
        raise UsageError(f"a link knows no {', '.join(sorted(unknown))} (it knows: {', '.join(IMPAIRMENTS)})")
    given = {name: value for name, value in settings.items() if value is not None}
    queue = _whole(given.get("queue", 1000), "queue", 1)
    if queue not in _QUEUE:
        raise UsageError(f"a queue of {queue} frames is more than {_QUEUE.stop - 1}")
    checked: dict[str, Any] = {
        "loss": probability(given.get("loss", 0), "loss"),
        "burst": _burst(given["burst"]) if "burst" in given else None,
        "lost_numbers": _numbers(given.get("lose", [])),
        "lose_every": _whole(given["lose_every"], "lose_every", 1) if "lose_every" in given else None,
        "delay": seconds(given.get("delay", 0), "delay"),
        "jitter": seconds(given.get("jitter", 0), "jitter"),
        "duplicate": probability(given.get("duplicate", 0), "duplicate"),
        "reorder": probability(given.get("reorder", 0), "reorder"),
        "reorder_gap": _whole(given.get("reorder_gap", 1), "reorder_gap", 1),
        "corrupt": probability(given.get("corrupt", 0), "corrupt"),
        "mend_checksum": bool(given.get("mend_checksum", False)),
        "rate": bits_per_second(given["rate"]) if "rate" in given else None,
        "queue": queue,
        "largest": _whole(given["largest"], "largest", 68) if "largest" in given else None,
    }
    if checked["jitter"] > checked["delay"]:
        raise UsageError(
            f"a jitter of {given['jitter']} is more than the delay: frames cannot arrive before they are sent"
        )
    return checked


class Link:
    """A cable between two interfaces. Made by :meth:`Lab.link`.

    Without impairments it is a plain virtual cable of the kernel. The first impairment, script or frame function puts a
    forwarder into it; the end ``b`` (of a switch: the switch's end) then gets a new interface that equals the old one, so
    only captures on that interface notice.
    """

    def __init__(self, lab: Lab, a: Host | Switch, b: Host | Switch, mtu: int, impairments: dict[str, Any]) -> None:
        self.lab = lab
        self.a = a
        self.b = b
        self.mtu = mtu
        self._settings: list[dict[str, Any]] = [dict(impairments), dict(impairments)]
        self._checked = check(impairments)
        self._interfaces: list[Interface] = []
        self._forwarder: _core.Forwarder | None = None
        self._wires: tuple[int, int] | None = None
        self._down = False

    def __str__(self) -> str:
        return f"{self.a.name}-{self.b.name}"

    def __repr__(self) -> str:
        return f"<Link {self} {'plain' if self._forwarder is None else 'with a forwarder'}>"

    # Life

    def _ends(self) -> list[_core._End]:
        ends = (self.a, self.b)
        return [
            (
                end._number,
                face.name,
                face.index,
                face.mac,
                face.mtu,
                [(str(address.ip), address.network.prefixlen) for address in face.addresses],
            )
            for end, face in zip(ends, self._interfaces, strict=True)
        ]

    def _plug(self, near: Interface, far: Interface) -> None:
        """Make the interfaces, connected and up."""
        self._interfaces = [near, far]
        ends = self._ends()
        if any(self._settings):
            wires = [self._wire(end) for end in ends]
            self._start(wires[0], wires[1])
        else:
            self.lab._namespaces.connect(ends[0], ends[1], self.lab.offloads)
        for end, face in zip((self.a, self.b), self._interfaces, strict=True):
            self._plug_into_switch(end, face)

    def _plug_into_switch(self, end: Host | Switch, face: Interface) -> None:
        from .network import Switch

        if isinstance(end, Switch):
            self.lab._namespaces.port(end._number, face.index, end._bridge)

    def _wire(self, end: _core._End) -> int:
        """Connect an end to the namespace in which forwarders work; number of the interface there."""
        host, index, name = self.lab._next_wire_end()
        wire: _core._End = (host, name, index, self.lab._mac(), self.mtu, [])
        self.lab._namespaces.connect(end, wire, False)
        return index

    def _start(self, near: int, far: int) -> None:
        self._wires = near, far
        host = self.lab._wires_host()
        self._forwarder = _core.Forwarder(
            self.lab._namespaces, host, near, far, self.mtu, self.lab.seed, self.lab._ring_bytes()
        )
        for direction in (0, 1):
            self._forwarder.set(direction, **check(self._settings[direction]))

    def _wait(self) -> None:
        """Return when a forwarder that was started carries frames."""
        if self._forwarder is not None:
            try:
                self._forwarder.wait()
            except OSError as error:
                self._forwarder.stop()
                self._forwarder = None
                text = (
                    f"cannot start the forwarder of the link {self}: {error.strerror}; it carries nothing until one is"
                )
                raise OSError(error.errno, text) from error

    def _engine(self) -> _core.Forwarder:
        """The forwarder; put into the link if it is plain so far."""
        if self._forwarder is None and self._wires is not None:
            # The link has been taken apart for a forwarder that could not start.
            self._start(*self._wires)
            self._wait()
        if self._forwarder is None:
            from .network import Switch, wait_for_ipv6

            # A switch's end has no addresses and no programs: the better one to exchange.
            side = 0 if isinstance(self.a, Switch) else 1
            end = (self.a, self.b)[side]
            host, _, name = self.lab._next_wire_end()
            _, far, far_name = self.lab._next_wire_end()
            wire: _core._End = (host, far_name, far, self.lab._mac(), self.mtu, [])
            try:
                near = self.lab._namespaces.splice(self._ends()[side], host, name, wire)
            finally:
                self._plug_into_switch(end, self._interfaces[side])
            self._start(*((near, far) if side == 1 else (far, near)))
            self._wait()
            wait_for_ipv6(self._interfaces)
            if self._down and self._forwarder is not None:
                self._forwarder.cut(None)
        if self._forwarder is None:
            raise AssertionError("_start makes it")
        return self._forwarder

    def _end(self) -> None:
        """Begin to end; :meth:`_close` waits. The kernel is slow at it (packet_release), so links end together."""
        if self._forwarder is not None:
            self._forwarder.end()

    def _close(self) -> None:
        if self._forwarder is not None:
            self._forwarder.stop()

    def _directions(self, toward: Host | Switch | str | None) -> list[int]:
        if toward is None:
            return [0, 1]
        name = toward if isinstance(toward, str) else toward.name
        for direction, end in ((0, self.b), (1, self.a)):
            if end.name == name:
                return [direction]
        raise UsageError(f"the link {self} does not lead to {name!r}")

    # Impairments

    def set(self, *, toward: Host | Switch | str | None = None, **impairments: Any) -> None:
        """Change what the link does to frames, from now on; what is not named stays as it is, None sets it back.

        Args:
            toward: change only the direction that leads to this end; both without it.
            impairments: ``loss``, ``duplicate``, ``reorder``, ``corrupt`` (``"5%"`` or ``0.05``), ``delay``, ``jitter``
                (``"50ms"``), ``rate`` (``"10mbit"``), ``queue`` (frames), ``lose`` (``[3, 7]``), ``lose_every``,
                ``burst`` (``("1%", "20%")``), ``reorder_gap``, ``mend_checksum``, ``largest`` (bytes); :data:`IMPAIRMENTS` says
                what each means.

        Raises:
            UsageError: a name or a value is not understood; nothing is changed then.
        """
        directions = self._directions(toward)
        wanted = []
        for direction in directions:
            merged = {**self._settings[direction], **impairments}
            merged = {name: value for name, value in merged.items() if value is not None}
            wanted.append((direction, merged, check(merged)))
        engine = self._engine()
        for direction, merged, checked in wanted:
            self._settings[direction] = merged
            engine.set(direction, **checked)

    def clear(self) -> None:
        """Let every frame pass at once and unchanged again: no impairments, scripts, frame function or cut."""
        self._settings = [{}, {}]
        self._down = False
        if self._forwarder is not None:
            for direction in (0, 1):
                self._forwarder.set(direction, **check({}))
            self._forwarder.clear_scripts()
            self._forwarder.set_hook(None)
            self._forwarder.restore()

    def settings(self, toward: Host | Switch | str) -> dict[str, Any]:
        """What was set for the direction that leads to an end."""
        (direction,) = self._directions(toward)
        return dict(self._settings[direction])

    def cut(self, duration: float | str | None = None) -> None:
        """Lose every frame, for a duration or until :meth:`restore`. The interfaces stay up: nobody is told."""
        time = None if duration is None else seconds(duration)
        engine = self._engine()
        self._down = duration is None
        engine.cut(time)

    def restore(self) -> None:
        """End a cut."""
        self._down = False
        if self._forwarder is not None:
            self._forwarder.restore()

    @property
    def is_cut(self) -> bool:
        """Whether the link is cut now."""
        return self._forwarder is not None and self._forwarder.is_cut

    # Scripts

    def reset_after(self, bytes: int | str, *, port: int | None = None) -> None:
        """Reset TCP connections, for both ends, once one direction has carried so many bytes, and no byte more.

        Args:
            bytes: payload bytes, counted once however often they are repeated.
            port: only connections to this service.
        """
        self._script("reset_after", count_of_bytes(bytes, "bytes"), port)

    def refuse(self, first: int, *, port: int | None = None) -> None:
        """Answer the first so many TCP connection attempts with a reset, as a host without the service does."""
        self._script("refuse", _whole(first, "first", 1), port)

    def blackhole(
        self, *, after: float | str | None = None, after_bytes: int | str | None = None, port: int | None = None
    ) -> None:
        """Swallow everything of a flow some time after its first frame, or once a direction has carried so many bytes.

        Raises:
            UsageError: not exactly one of ``after`` and ``after_bytes`` is given.
        """
        if (after is None) == (after_bytes is None):
            raise UsageError("a black hole begins after=TIME or after_bytes=COUNT: give one of them")
        if after is not None:
            self._script("black_hole_after", seconds(after, "after"), port)
        elif after_bytes is not None:
            self._script("black_hole_after_bytes", count_of_bytes(after_bytes, "after_bytes"), port)

    def _script(self, name: str, value: float, port: int | None) -> None:
        if port is not None and not 0 < port < 65536:
            raise UsageError(f"port {port} is not between 1 and 65535")
        if value >= 1 << 31:
            raise UsageError(f"{name} takes less than 2,147,483,648, not {value:.0f}")
        self._engine().script(name, value, port)

    def on_frame(self, function: Callable[[Host | Switch, bytes], bool | bytes | list[bytes] | None] | None) -> None:
        """Let a function decide about every frame, before anything else happens to it; None takes it away.

        The function gets the end that the frame travels to and its bytes from the Ethernet header on. None or True passes
        the frame, False drops it, bytes or a list of bytes take its place. It runs in the link's own thread, with the
        interpreter's lock: a link with a function carries tens of thousands of frames a second, not a hundred thousand.
        An exception in it is reported by ``sys.unraisablehook``, and the frame passes.
        """
        if function is None:
            if self._forwarder is not None:
                self._forwarder.set_hook(None)
            return
        ends = (self.b, self.a)
        self._engine().set_hook(lambda direction, frame: function(ends[direction], frame))

    # What happened

    @property
    def counts(self) -> bool:
        """Whether the link has a forwarder, and so counts frames."""
        return self._forwarder is not None

    def counters(self, toward: Host | Switch | str) -> dict[str, int]:
        """Counts of the direction that leads to an end, since the link has a forwarder.

        ``received`` and ``sent`` frames (and ``_bytes``), and why frames are not among the sent ones, or twice: ``lost``,
        ``queue_full``, ``cut``, ``too_large``, ``hooked``, ``scripted``, ``duplicated``, ``reordered``, ``corrupted``.
        ``overrun`` counts frames that were lost although nobody asked for it: the machine was too slow, or an end was down.

        Raises:
            UsageError: the link does not lead there, or is a plain cable that counts nothing.
        """
        (direction,) = self._directions(toward)
        if self._forwarder is None:
            raise UsageError(f"the link {self} is a plain cable and counts nothing; call record() or set() first")
        return self._forwarder.counters(direction)

    def capture(self, **options: Any) -> Capture:
        """Capture the frames of this link at one end, both directions; options are those of :meth:`Host.capture`.

        The end is ``a``, or ``b`` where ``a`` is a switch. What this host sends is seen before the link loses, delays or
        changes it, and what comes to it after that. With :meth:`record`, :meth:`fates` says what became of each frame.
        """
        face = next(face for face in self._interfaces if isinstance(face.host, kernel.Host))
        return face.host.capture(face.name, **options)

    def record(self, on: bool = True) -> None:
        """Record the fate of every frame from now on (the newest million), or stop."""
        self._engine().record(on)

    def fates(self) -> list[Fate]:
        """The recorded fates, in the order in which the frames came."""
        if self._forwarder is None:
            return []
        ends = (self.b.name, self.a.name)
        return [Fate(ends[direction], flow, number, fate) for direction, flow, number, fate in self._forwarder.fates()]
