"""``wallsocket lab``: private networks of hosts, on one line or from a file."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..errors import NotAvailable, UsageError
from . import options

if TYPE_CHECKING:
    from pathlib import Path

    from ..lab import Lab, Process
    from ..trace.ring import Ring
    from ..trace.run import Rows, RunResult

__all__ = ["command", "record"]

_Function = TypeVar("_Function", bound=Callable[..., Any])

#: How long a command of ``lab run`` may take until it listens, before the next one starts all the same, in seconds.
_LISTEN_LIMIT_S = 2.0
#: How long a program has to end after SIGTERM before it is killed, in seconds.
_END_LIMIT_S = 2.0

_IMPAIRMENTS = (
    ("--loss", "5%", "Frames that are lost."),
    ("--burst", "1%,20%", "Loss in bursts: probability to begin one and to end it, at each frame."),
    ("--lose", "3,7", "Lose these frames of each flow, counted from 1."),
    ("--lose-every", "10", "Lose every Nth frame of each flow."),
    ("--delay", "50ms", "Time a frame is on its way."),
    ("--jitter", "5ms", "How much that time varies, at most."),
    ("--duplicate", "1%", "Frames that arrive twice."),
    ("--reorder", "1%", "Frames that are overtaken by later ones."),
    ("--reorder-gap", "3", "By how many frames they are overtaken."),
    ("--corrupt", "1%", "Frames in which one bit is flipped."),
    ("--rate", "10mbit", "Bits per second."),
    ("--queue", "100", "Frames that may wait when the rate is reached."),
    ("--largest", "1400", "IP packets larger than this vanish without a word."),
)


def _impairments(function: _Function) -> _Function:
    for name, example, text in reversed(_IMPAIRMENTS):
        function = click.option(name, metavar=example, help=text)(function)
    flag = click.option("--mend-checksum", is_flag=True, default=None, help="Give corrupted frames a correct checksum.")
    return flag(function)


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


_seed = click.option(
    "--seed",
    type=click.IntRange(0, 2**64 - 1),
    metavar="N",
    help="Seed of the randomness: the same seed, the same losses.",
)
_name = click.option("--name", metavar="LAB", help="Which lab, when several are up.")


@click.group()
def command() -> None:
    """Private networks of hosts on this machine, without root, with links as bad as you want."""


def _port_waits(pid: int) -> bool:
    """Whether a socket of the process's network namespace listens (TCP), or is bound and not connected (UDP)."""
    # Column 4 is the state (net/tcp_states.h): 0A listens; 07 is what UDP has while it is not connected.
    for table, state in (("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/net/{table}", encoding="ascii") as file:
                rows = file.readlines()[1:]
            if any(row.split()[3] == state for row in rows):
                return True
    return False


def _wait_until_it_listens(process: Process) -> None:
    deadline = time.monotonic() + _LISTEN_LIMIT_S
    while process.poll() is None and not _port_waits(process.pid) and time.monotonic() < deadline:
        time.sleep(0.002)


def _status(returncode: int) -> int:
    return 128 - returncode if returncode < 0 else returncode


def _publish(net: Lab, targets: tuple[str, ...]) -> None:
    from ..lab import publish

    for text in targets:
        target = publish.parse(text)
        made = net.publish(
            target.host, target.host_port, address=target.address, port=target.port, protocol=target.protocol
        )
        click.echo(str(made), err=True)


_published = click.option(
    "--publish",
    multiple=True,
    metavar="[ADDRESS:]PORT:HOST:PORT[/udp]",
    help="Forward a port of this machine to a host.",
)


@command.command("run")
@_impairments
@_seed
@_published
@click.option("--ipv6", is_flag=True, help="Give the hosts IPv6 addresses as well.")
@click.option(
    "--topology",
    metavar="FORM",
    help="A network of this form instead of one of the hosts named: line:N, star:N, router, nat, firewall, mtu_bottleneck.",
)
@click.argument("programs", nargs=-1, required=True, metavar="HOST=COMMAND...")
def run_lab(
    programs: tuple[str, ...],
    seed: int | None,
    publish: tuple[str, ...],
    ipv6: bool,
    topology: str | None,
    **values: Any,
) -> int:
    """Run a command in each of some hosts, and end when the last one named ends.

    The hosts are on one network and know each other by name. Commands start in the order given, each when the one
    before listens on a port or has ended; the others are ended when the last one is. The exit status is that of the last one
    or, if that is 0, of the first that had ended with another.

    \b
    wallsocket lab run --loss 5% --delay 50ms \\
        server='redis-server --protected-mode no' client='redis-cli -h server ping'
    """
    wanted = by_host(programs)
    ended = _end_by_signal()
    from .. import lab

    settings = _given(values)
    if len(wanted) == 1 and settings and topology is None:
        raise click.UsageError("a single host has no link that could be set")
    if topology is None:
        made = lab.hosts(*wanted, seed=seed or 0, ipv6=ipv6, **settings)
    else:
        made = _of_topology(topology, seed=seed or 0, ipv6=ipv6, **settings)
    with made as net:
        for name in wanted:
            net[name]
        _publish(net, publish)
        return run_in_turn(net, wanted, ended)


def by_host(programs: tuple[str, ...]) -> dict[str, str]:
    """Commands by the host that runs them, of words HOST=COMMAND."""
    wanted: dict[str, str] = {}
    for text in programs:
        name, equals, line = text.partition("=")
        if not equals or not line.strip():
            raise click.UsageError(f"{text!r} is not HOST=COMMAND")
        if name in wanted:
            raise click.UsageError(f"the host {name!r} is named twice")
        wanted[name] = line
    return wanted


def run_in_turn(net: Lab, wanted: dict[str, str], ended: list[int]) -> int:
    """Run commands in hosts, each when the one before listens or has ended, until the last one has ended; the exit status."""
    started: list[Process] = []
    try:
        for name, line in wanted.items():
            if started:
                _wait_until_it_listens(started[-1])
            try:
                started.append(net[name].popen(line))
            except ValueError as error:
                raise click.UsageError(f"{name}: {error} in {line!r}") from None
            except FileNotFoundError:
                return _cannot_start(name, line, "command not found", 127)
            except PermissionError as error:
                return _cannot_start(name, line, error.strerror or "cannot be run", 126)
        if ended:
            return 128 + ended[0]
        last = started[-1].wait()
        early = [process.poll() for process in started[:-1]]
    finally:
        _end(started)
    failed = next((status for status in early if status), 0)
    return _status(last or failed)


def record(
    file: Path,
    programs: tuple[str, ...],
    *,
    output: Path | None,
    replace: bool,
    payload: int | None,
    live: Callable[[Rows], None] | None,
    for_s: float | None,
    samples: bool = True,
    wire: bool = True,
    lines: bool = True,
    user_code: tuple[Path, ...],
    library: tuple[Path, ...],
    ring: Ring | None = None,
) -> RunResult:
    """Build the lab that a file describes, and record the programs of its hosts, those of the file first.

    Raises:
        UsageError: the file is wrong, or there is nothing to run.
    """
    import msgspec

    from .. import trace
    from ..lab import scenario

    document = scenario.read(file)
    try:
        scenario.check(document)
        named = by_host(programs)
        theirs = {name: entry.pop("run", None) for name, entry in document["hosts"].items()}
        wanted = {name: line for name, line in theirs.items() if line is not None and name not in named} | named
        if not wanted:
            raise UsageError('no host runs anything: give HOST=COMMAND, or run = "COMMAND" in the file')
        ended = _end_by_signal()
        net = scenario.load(document)
    except UsageError as error:
        raise UsageError(f"{file}: {error}") from error
    with net:
        for name in wanted:
            net[name]
        recorded = trace.lab(
            net,
            output=output,
            replace=replace,
            payload=payload,
            live=live,
            for_s=for_s,
            kernel=samples,
            wire=wire,
            lines=lines,
            user_code=user_code,
            library=library,
            recorder=ring,
            title=[f"{name}={line}" for name, line in wanted.items()],
        )
        with contextlib.suppress(KeyboardInterrupt), recorded:
            status = 128 + signal.SIGINT
            status = run_in_turn(net, wanted, ended)
    return msgspec.structs.replace(recorded.result, exit_status=status, attached=False, end="exit")


_TOPOLOGIES = ("line", "star", "router", "nat", "firewall", "mtu_bottleneck")


def _of_topology(text: str, **options: Any) -> Lab:
    """A lab of a form that is needed again and again; ``line:4`` and ``star:4`` have four hosts, without a number three."""
    from ..lab import topology

    name, colon, number = text.partition(":")
    counted = name in ("line", "star")
    if name not in _TOPOLOGIES or (colon and not (counted and number.isascii() and number.isdigit())):
        raise UsageError(f"no topology {text!r}: line:N, star:N, {', '.join(_TOPOLOGIES[2:])}")
    make: Callable[..., Lab] = getattr(topology, name)
    return make(int(number or 3), **options) if counted else make(**options)


def _without_programs(path: str) -> dict[str, Any]:
    """What a lab's file says of the network."""
    import tomllib

    try:
        with open(path, "rb") as file:
            document = tomllib.load(file)
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from error
    document.pop("publish", None)
    hosts = document.get("hosts")
    for host in hosts.values() if isinstance(hosts, dict) else ():
        if isinstance(host, dict):
            host.pop("run", None)
    return document


@command.command("draw")
@click.argument("what", metavar="FILE|TOPOLOGY")
def draw(what: str) -> int:
    """Draw the network that a TOML file describes, or a topology: line:N, star:N, router, nat, firewall, mtu_bottleneck."""
    from .. import lab

    is_form = what.partition(":")[0] in _TOPOLOGIES and not os.path.exists(what)
    with _of_topology(what) if is_form else lab.load(_without_programs(what)) as net:
        click.echo(net.draw())
    return 0


def _cannot_start(host: str, line: str, why: str, status: int) -> int:
    from ..trace.text import escape

    click.echo(f"wallsocket lab run: {host}: {escape(line.split()[0])}: {why}", err=True)
    return status


def _end(programs: list[Process]) -> None:
    for process in programs:
        if process.poll() is None:
            process.terminate()
    deadline = time.monotonic() + _END_LIMIT_S
    for process in programs:
        try:
            process.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()


def _end_by_signal() -> list[int]:
    """SIGTERM and SIGHUP end the command as Ctrl-C does: in order.

    Python loses what a handler raises while it runs a callback of its own; so the signals that came are also returned, to be
    looked at before waiting.
    """
    seen: list[int] = []

    def interrupt(number: int, _: Any) -> None:
        seen.append(number)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        sys.exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    return seen


@command.command("up")
@_seed
@_published
@click.option("--name", metavar="LAB", help="Name for other commands to find it by; the file's own without it.")
@click.argument("file", type=click.Path())
def up(file: str, name: str | None, seed: int | None, publish: tuple[str, ...]) -> int:
    """Build the network that a TOML file describes, and keep it up until Ctrl-C or `lab down`."""
    ended = _end_by_signal()
    from .. import lab
    from ..lab.control import Offer

    down = threading.Event()
    with lab.load(file, seed=seed) as net, _holder(net) as holder:

        def watch() -> None:
            select.select([own], [], [])
            down.set()

        own = os.dup(holder)  # the thread's, until the process ends
        threading.Thread(target=watch, name="holder", daemon=True).start()
        offer = Offer(net, name or os.path.splitext(os.path.basename(file))[0], on_down=down.set)
        try:
            _publish(net, publish)
            for host in net:
                addresses = " ".join(str(address) for face in host.interfaces for address in face.addresses)
                click.echo(f"{host.name}  {addresses}")
            click.echo(
                f"up as {offer.name!r}: wallsocket lab shell HOST, wallsocket lab link A-B --loss 5%; Ctrl-C ends it",
                err=True,
            )
            if not ended:
                down.wait()
                if select.select([holder], [], [], 0)[0]:
                    raise NotAvailable("the program that held the lab's networks has been killed: the lab is gone")
        except KeyboardInterrupt:
            pass
        finally:
            offer.close()
    return 0


@contextlib.contextmanager
def _holder(net: Lab) -> Iterator[int]:
    """A descriptor that becomes readable when the process that holds the lab's namespaces ends (pidfd_open(2))."""
    pid = net.holder
    if pid is None:
        raise NotAvailable("the lab has no network to hold")
    descriptor = os.pidfd_open(pid)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _enter(name: str | None, host: str) -> Any:
    from ..lab.control import Remote
    from ..lab.program import Entry

    _, descriptors = Remote(name).ask("enter", host=host)
    return Entry(host, descriptors)


def _take_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _run_inside(entry: Any, arguments: list[str], environment: dict[str, str] | None) -> int:
    from ..lab.program import Process

    # Ctrl-C is for the program inside; this command ends with it.
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Process(entry, arguments, env=environment, preexec_fn=_take_interrupts) as process:
            return _status(process.wait())
    finally:
        signal.signal(signal.SIGINT, previous)


@command.command("shell")
@_name
@click.argument("host")
def shell(host: str, name: str | None) -> int:
    """Your shell in a host of a lab that is up."""
    from ..lab import program

    arguments, environment = program.shell(host)
    return _run_inside(_enter(name, host), arguments, environment)


@command.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@_name
@click.argument("host")
@click.argument("arguments", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMAND [ARGUMENT]...")
def execute(host: str, arguments: tuple[str, ...], name: str | None) -> int:
    """Run a command in a host of a lab that is up; the exit status is the command's."""
    if arguments[0] == "--":
        # As of the commands that run one here; it is not needed.
        arguments = arguments[1:]
    if not arguments:
        raise click.UsageError("no command after --")
    entry = _enter(name, host)
    try:
        return _run_inside(entry, list(arguments), None)
    except (FileNotFoundError, PermissionError) as error:
        click.echo(f"wallsocket lab exec: {arguments[0]}: {error.strerror}", err=True)
        return 127 if isinstance(error, FileNotFoundError) else 126


def _table(answer: dict[str, Any]) -> None:
    for host in answer["hosts"]:
        click.echo(f"{host['host']}  {' '.join(host['addresses'])}")
    for link in answer["links"]:
        click.echo(f"{link['link']}{'  CUT' if link['cut'] else ''}")
        for way in link["ways"]:
            settings = " ".join(f"{name}={value}" for name, value in way["settings"].items()) or "unimpaired"
            counters = way["counters"]
            if counters is None:
                click.echo(f"  to {way['toward']}: plain cable")
                continue
            counts = " ".join(f"{name}={value}" for name, value in counters.items() if value)
            click.echo(f"  to {way['toward']}: {settings}  {counts}")


@command.command("link")
@_name
@_impairments
@click.option("--toward", metavar="HOST", help="Only the direction that leads to this end.")
@click.option("--clear", is_flag=True, help="First let every frame pass again.")
@click.option(
    "--cut", is_flag=False, flag_value="", metavar="[TIME]", help="Lose every frame, for a time or until --restore."
)
@click.option("--restore", is_flag=True, help="End a cut.")
@click.option("--reset-after", metavar="BYTES", help="Reset connections that have carried this much.")
@click.option("--refuse", type=options.Count(), metavar="N", help="Refuse the first N connections.")
@click.option("--blackhole", metavar="TIME", help="Swallow flows this long after their first frame.")
@click.argument("ends", metavar="A-B")
def link(
    ends: str,
    name: str | None,
    toward: str | None,
    clear: bool,
    cut: str | None,
    restore: bool,
    reset_after: str | None,
    refuse: int | None,
    blackhole: str | None,
    **values: Any,
) -> None:
    """Change a link of a lab that is up, such as `wallsocket lab link client-server --loss 5%`."""
    from ..lab.control import Remote

    remote = Remote(name)
    hosts, _ = remote.ask("status")
    known = [entry["link"] for entry in hosts["links"]]
    # A host's name may hold a hyphen, so the whole is compared, in both orders.
    pairs = {text: text_ends for text in known for text_ends in [_split(text, hosts)]}
    backward = {"-".join(reversed(pair)): pair for pair in pairs.values()}
    found = pairs.get(ends) or backward.get(ends)
    if found is None:
        raise UsageError(
            f"there is no link {ends!r} in the lab {remote.name!r} (there are: {', '.join(known) or 'none'})"
        )
    request: dict[str, Any] = {"ends": found, "settings": _given(values), "toward": toward, "clear": clear}
    request["scripts"] = _given({"reset_after": reset_after, "refuse": refuse})
    if blackhole is not None:
        request["blackhole"] = blackhole
    if cut is not None:
        request["cut"] = cut or None
    request["restore"] = restore
    answer, _ = remote.ask("link", **request)
    answer["hosts"] = []
    answer["links"] = [entry for entry in answer["links"] if entry["link"] == "-".join(found)]
    _table(answer)


def _split(text: str, status: dict[str, Any]) -> list[str]:
    entry = next(entry for entry in status["links"] if entry["link"] == text)
    first, second = (way["toward"] for way in entry["ways"])
    return [second, first]


@command.command("status")
@_name
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
def status(name: str | None, as_json: bool) -> None:
    """Hosts, links and counters of a lab that is up."""
    from ..lab.control import Remote

    remote = Remote(name)
    answer, _ = remote.ask("status")
    if as_json:
        import json

        click.echo(json.dumps({"lab": remote.name, **answer}))
    else:
        _table(answer)


@command.command("down")
@_name
def down(name: str | None) -> None:
    """End a lab that is up."""
    from ..lab.control import Remote, running

    remote = Remote(name)
    remote.ask("down")
    deadline = time.monotonic() + 10
    while remote.name in running() and time.monotonic() < deadline:
        time.sleep(0.01)


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line, for programs.")
def list_labs(as_json: bool) -> None:
    """Labs of yours that are up."""
    import json

    from ..lab.control import running

    for name in running():
        click.echo(json.dumps({"lab": name}) if as_json else name)
