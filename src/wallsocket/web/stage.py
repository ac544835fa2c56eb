"""Two hosts, a link between them, and an example service that runs there and is recorded: what "Try it" shows."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec

from ..errors import UsageError
from ..lab import Host, Lab, Link, Process, hosts

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
    """Runs a service until :meth:`stop`.

    Args:
        service: which. names: of the client's and the server's host.
        settings: of the knobs that do not stand as usual.
        recording: the new file.
        begun: called when the recording is there.
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
        self._programs: list[Process] = []
        self._stack = contextlib.ExitStack()
        try:
            self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="wallsocket-stage.")))
            self._net: Lab = self._stack.enter_context(hosts(*names))
            self._hosts = [self._net[name] for name in names]
            self._link: Link = self._net.link_between(*names)
            self._write()
            self._set_link()
            self._stack.enter_context(self._net.trace(output=recording, user_code=[_PROGRAMS], title=[service.name]))
            begun(recording)
            self._start()
        except BaseException:
            self._stack.close()
            raise

    def _start(self) -> None:
        client, server = self._hosts
        listener = self._begin(server, "server", stdout=subprocess.PIPE)
        assert listener.stdout is not None
        # It says that it listens; when it has failed instead, the client shows that nobody is there.
        with listener.stdout as output:
            output.readline()
        self._begin(client, "client", server.address_on(client), stdout=subprocess.DEVNULL)

    def _begin(self, host: Host, role: Literal["client", "server"], *arguments: str, stdout: int) -> Process:
        settings = str(self._folder / "settings.json")
        command = [sys.executable, str(self._service.program(role)), settings, *arguments]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": stdout, "stderr": subprocess.DEVNULL}
        program = host.popen(command, capabilities=False, **quiet)
        self._programs.append(program)
        return program

    @property
    def running(self) -> bool:
        """Whether the programs run."""
        return not self._stopped and all(program.poll() is None for program in self._programs)

    @property
    def left_s(self) -> float:
        """How long it may still run."""
        return max(0.0, LASTS_S - (time.monotonic() - self._began_s))

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
        running = self.running
        ended = "" if running else self._ended or "Its programs ended early."
        return StageState(
            running, ended, self._service.name, places, ways, dict(self._settings), self._cut,
            round(self.left_s) if running else 0,
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
        if self.running:
            self._ended = why
        # What the link did is told afterwards, too.
        self._last = self._ways()
        self._stopped = True
        for program in self._programs:
            program.kill()
            program.wait()
        self._stack.close()


def _checked(service: Service, settings: Mapping[str, int]) -> dict[str, int]:
    knobs = {knob.name: knob for knob in service.knobs}
    for name, value in settings.items():
        knob = knobs.get(name)
        if knob is None:
            raise UsageError(f"{service.name} has no setting {name!r}; it has {', '.join(knobs)}")
        if not knob.least <= value <= knob.most:
            raise UsageError(f"{knob.label} is between {knob.least} and {knob.most} {knob.unit}".rstrip())
    return dict(settings)
