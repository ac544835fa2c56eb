"""Two hosts, a link between them, and an example service that runs there and is recorded: what "Try it" shows."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec

from ..errors import UsageError, WallsocketError
from ..lab import Lab, Link, hosts
from ..trace.run import Control, run

__all__ = ["SERVICES", "Knob", "Service", "Stage", "StageState", "service_named"]

_PROGRAMS: Final = Path(__file__).with_name("services")
#: Longer than this nobody looks on, and a longer recording takes longer to read each time it has grown.
LASTS_S: Final = 180.0


class Knob(msgspec.Struct, frozen=True):
    """What can be turned while it runs.

    Attributes:
        name: of the setting. label, unit: for people.
        least, most, step: of the slider. normal: where it stands at first.
        what: what it means, in a sentence.
        of: the ``link``, the ``client`` or the ``server``.
    """

    name: str
    label: str
    unit: str
    least: int
    most: int
    step: int
    normal: int
    what: str
    of: Literal["link", "client", "server"]


class Service(msgspec.Struct, frozen=True):
    """An example service: the programs ``NAME_server.py`` and ``NAME_client.py``, and what can be turned."""

    name: str
    title: str
    what: str
    knobs: tuple[Knob, ...]

    def program(self, host: Literal["client", "server"]) -> Path:
        """The file of one of its programs."""
        return _PROGRAMS / f"{self.name}_{host}.py"


_LINK: Final = (
    Knob("loss", "Loss", "%", 0, 60, 1, 0, "frames that are lost, each way", "link"),
    Knob("delay", "Delay", "ms", 0, 500, 5, 20, "time a frame is on its way", "link"),
    Knob("jitter", "Jitter", "ms", 0, 100, 5, 0, "how much that time varies; frames keep their order", "link"),
    Knob("duplicate", "Duplicates", "%", 0, 50, 1, 0, "frames that arrive twice", "link"),
    Knob(
        "rate", "Rate", "kbit/s", 0, 10_000, 50, 0, "how much the link carries; 0: as much as this machine can", "link"
    ),
)
_PAUSE: Final = Knob(
    "pause_ms", "Pause", "ms", 200, 5000, 100, 1000, "how long it waits before it begins again", "client"
)

#: The services, the simplest first.
SERVICES: Final = (
    Service(
        "requests",
        "Requests and answers (TCP)",
        "Clients connect, send a line and wait for the answer. The server takes one connection after the other.",
        (
            *_LINK,
            Knob("clients", "Clients at once", "", 1, 12, 1, 1, "connections that are opened at the same time", "client"),
            _PAUSE,
            Knob("backlog", "Backlog", "", 0, 20, 1, 5, "of listen(): connections that may wait for accept()", "server"),
            Knob("work_ms", "Work", "ms", 0, 2000, 50, 50, "time the server needs for an answer", "server"),
        ),
    ),
    Service(
        "transfer",
        "A large transfer (TCP)",
        "The client sends many bytes on one connection. The server takes them in pieces.",
        (
            *_LINK,
            Knob("size", "Size", "bytes", 1000, 500_000, 1000, 40_000, "bytes of one transfer", "client"),
            Knob("send_buffer", "Send buffer", "bytes", 0, 200_000, 1000, 0, "SO_SNDBUF; 0: the kernel's own size", "client"),
            _PAUSE,
            Knob("receive_buffer", "Receive buffer", "bytes", 0, 200_000, 1000, 0, "SO_RCVBUF; 0: the kernel's own size", "server"),
            Knob("read", "Piece", "bytes", 100, 65_000, 100, 4000, "the argument of recv()", "server"),
            Knob("work_ms", "Work", "ms", 0, 500, 5, 10, "time the server needs for a piece", "server"),
        ),
    ),
    Service(
        "datagrams",
        "Questions and answers (UDP)",
        "The client asks by datagrams, and asks again when no answer comes in time.",
        (
            *_LINK,
            Knob("timeout_ms", "Timeout", "ms", 10, 3000, 10, 500, "how long the client waits for an answer", "client"),
            Knob("tries", "Tries", "", 1, 8, 1, 3, "how often it asks", "client"),
            _PAUSE,
            Knob("work_ms", "Work", "ms", 0, 2000, 10, 20, "time the server needs for an answer", "server"),
        ),
    ),
)  # fmt: skip


def service_named(name: str) -> Service:
    """The service of that name.

    Raises:
        UsageError: there is none.
    """
    for service in SERVICES:
        if service.name == name:
            return service
    raise UsageError(f"no service {name!r}; there are {', '.join(service.name for service in SERVICES)}")


class Place(msgspec.Struct, frozen=True):
    """A host: its name, its address, and what runs there."""

    name: str
    address: str
    program: str


class Way(msgspec.Struct, frozen=True):
    """One direction of the link: frames that set out, that arrived, and that were lost on the way."""

    toward: str
    received: int
    sent: int
    lost: int


class StageState(msgspec.Struct, frozen=True):
    """How it stands.

    Attributes:
        running: the programs run. ended: why they do not any more; empty.
        service: the name of the service.
        hosts: client and server. ways: what the link did to frames, there and back.
        settings: of all knobs. cut: the link loses everything.
        left_s: seconds until it ends by itself.
    """

    running: bool
    ended: str
    service: str
    hosts: list[Place]
    ways: list[Way]
    settings: dict[str, int]
    cut: bool
    left_s: int


class Stage:
    """Runs a service until :meth:`stop`, or until its time is over.

    Args:
        service: which. names: of the client's and the server's host.
        settings: of the knobs that do not stand as usual.
        recording: the new file.
        begun: called when the recording is there, in a thread.
    """

    def __init__(
        self, service: Service, names: tuple[str, str], settings: Mapping[str, int], recording: Path, begun: Callable[[Path], None]
    ) -> None:  # fmt: skip
        """Build the lab and start the programs.

        Raises:
            UsageError: a name or a setting is not possible.
            NotPermitted, NotAvailable: private networks, or tracing, are refused here.
        """
        self._service = service
        self._settings = {knob.name: knob.normal for knob in service.knobs} | _checked(service, settings)
        self._ended = ""
        self._cut = False
        self._stopped = False
        self._last: list[Way] = []
        self._began_s = time.monotonic()
        self._stack = contextlib.ExitStack()
        try:
            self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="wallsocket-stage.")))
            self._net: Lab = self._stack.enter_context(hosts(*names))
            self._hosts = [self._net[name] for name in names]
            self._link: Link = self._net.link_between(*names)
            self._write()
            self._set_link()
            self._start(recording, begun)
        except BaseException:
            self._stack.close()
            raise

    def _start(self, recording: Path, begun: Callable[[Path], None]) -> None:
        client, server = self._hosts
        settings = str(self._folder / "settings.json")
        address = server.address_on(client)
        jobs = []
        files: list[tuple[int, int]] = []
        for host, program in ((server, [self._service.program("server"), settings]),
                              (client, [self._service.program("client"), settings, address])):  # fmt: skip
            own = host._enter()
            # They keep their numbers, which nothing else has here.
            files += [(descriptor, descriptor) for descriptor in own]
            command = [sys.executable, *map(str, program)]
            jobs.append({"host": host.name, "descriptors": own, "command": command})
        orders, self._orders = os.pipe()
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.write(self._orders, json.dumps(jobs).encode() + b"\n")
        self._began = begun
        self._told = threading.Event()
        control = _Control(self)

        def work() -> None:
            try:
                result = run(
                    [sys.executable, "-m", "wallsocket.web.starter"],
                    output=recording,
                    for_s=LASTS_S,
                    kill=True,
                    user_code=[_PROGRAMS],
                    files=[(orders, 0), (nothing, 1), (nothing, 2), *files],
                    control=control,
                )
                over = f"It ended by itself after {LASTS_S / 60:g} minutes."
                self._ended = self._ended or (over if result.end != "exit" else "Its programs ended early.")
            except (WallsocketError, OSError) as error:
                self._ended = str(error)
                self._failure: BaseException | None = error
            finally:
                os.close(orders)
                os.close(nothing)
                self._told.set()

        self._failure = None
        self._thread = threading.Thread(target=work, name="stage", daemon=True)
        self._thread.start()
        self._told.wait()
        if self._failure is not None:
            self._thread.join()
            os.close(self._orders)
            raise self._failure

    def begun(self, path: Path) -> None:
        """The recording is there."""
        self._began(path)
        self._told.set()

    @property
    def running(self) -> bool:
        """Whether the programs run."""
        return self._thread.is_alive()

    def set(self, settings: Mapping[str, int]) -> None:
        """Turn knobs.

        Raises:
            UsageError: there is no such knob, or it cannot stand there.
        """
        self._settings |= _checked(self._service, settings)
        self._write()
        if any(knob.of == "link" and knob.name in settings for knob in self._service.knobs):
            self._set_link()

    def cut(self, cut: bool) -> None:
        """Let the link lose every frame, or no longer."""
        self._cut = cut
        if cut:
            self._link.cut()
        else:
            self._link.restore()

    def _write(self) -> None:
        # The programs read it at any time: it is there as a whole, or as it was.
        new = self._folder / "settings.new"
        new.write_text(json.dumps(self._settings))
        new.replace(self._folder / "settings.json")

    def _set_link(self) -> None:
        settings = self._settings
        self._link.set(
            loss=settings["loss"] / 100,
            duplicate=settings["duplicate"] / 100,
            delay=settings["delay"] / 1000,
            jitter=settings["jitter"] / 1000,
            rate=f"{settings['rate']}kbit" if settings["rate"] else None,
        )

    def state(self) -> StageState:
        """How it stands."""
        client, server = self._hosts
        ways = self._last if self._stopped else self._ways()
        places = [
            Place(client.name, client.address or "", self._service.program("client").read_text()),
            Place(server.name, server.address or "", self._service.program("server").read_text()),
        ]
        left_s = max(0, round(LASTS_S - (time.monotonic() - self._began_s))) if self.running else 0
        return StageState(
            self.running, "" if self.running else self._ended, self._service.name, places, ways, dict(self._settings),
            self._cut, left_s,
        )  # fmt: skip

    def _ways(self) -> list[Way]:
        client, server = self._hosts
        ways = []
        for host in (server, client):
            counters = self._link.counters(host)
            lost = counters["lost"] + counters["cut"] + counters["queue_full"]
            ways.append(Way(host.name, counters["received"], counters["sent"], lost))
        return ways

    def stop(self, why: str = "") -> None:
        """End the programs and the lab; what was recorded stays."""
        if self._stopped:
            return
        self._stopped = True
        if self.running:
            self._ended = why
        os.close(self._orders)
        self._thread.join()
        # What the link did is told afterwards, too.
        self._last = self._ways()
        self._stack.close()


class _Control(Control):
    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self._stage = stage

    def begun(self, path: Path) -> None:
        self._stage.begun(path)


def _checked(service: Service, settings: Mapping[str, int]) -> dict[str, int]:
    knobs = {knob.name: knob for knob in service.knobs}
    for name, value in settings.items():
        knob = knobs.get(name)
        if knob is None:
            raise UsageError(f"{service.name} has no setting {name!r}; it has {', '.join(knobs)}")
        if not knob.least <= value <= knob.most:
            raise UsageError(f"{knob.label} is between {knob.least} and {knob.most} {knob.unit}".rstrip())
    return dict(settings)
