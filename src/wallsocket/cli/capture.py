"""``wallsocket capture``: frames from an interface or a file, printed or written."""

from __future__ import annotations

import contextlib
import json
import re
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from ..errors import UsageError
from ..files import grow, refuse
from . import ending, options

if TYPE_CHECKING:
    from .._core.wire import Frame
    from ..wire.capture import Capture
    from ..wire.pcap import Reader
    from ..wire.streams import Connection

__all__ = ["command", "frame_object"]


#: What is said of layers beside the common ones.
_OTHER_LAYERS = {
    "pppoe": ("session", "name"),
    "sctp": ("source_port", "destination_port", "verification_tag"),
    "ipsec": ("kind", "spi", "sequence_number"),
    "wireless": ("name", "receiver", "transmitter", "source", "destination", "cell", "signal_dbm", "channel_mhz"),
    "can": ("identifier", "extended", "length"),
}
_OF_THE_CAPTURE = ("number", "time_ns", "process_id", "summary")


def frame_object(frame: Frame) -> dict[str, Any]:
    """A frame for programs: what was decoded, without payload."""
    found: dict[str, Any] = {
        "number": frame.number,
        "time_ns": frame.timestamp_ns,
        "captured_length": len(frame),
        "original_length": frame.original_length,
    }
    if frame.vlans:
        found["vlans"] = frame.vlans
    if frame.ethernet is not None:
        found["ethernet"] = {"source": frame.ethernet.source, "destination": frame.ethernet.destination}
    if frame.ip is not None:
        ip = frame.ip
        found["ip"] = {
            "version": ip.version,
            "source": ip.source,
            "destination": ip.destination,
            "protocol": ip.protocol,
            "time_to_live": ip.time_to_live,
            "length": ip.length,
        }
        if ip.more_fragments or ip.fragment_offset:
            found["ip"] |= {"fragment_offset": ip.fragment_offset, "more_fragments": ip.more_fragments}
    if frame.tcp is not None:
        tcp = frame.tcp
        found["tcp"] = {
            "source_port": tcp.source_port,
            "destination_port": tcp.destination_port,
            "sequence_number": tcp.sequence_number,
            "acknowledgement_number": tcp.acknowledgement_number,
            "flags": tcp.flags_text,
            "window": tcp.window,
        }
    if frame.udp is not None:
        udp = frame.udp
        found["udp"] = {
            "source_port": udp.source_port,
            "destination_port": udp.destination_port,
            "length": udp.length,
        }
    if frame.icmp is not None:
        found["icmp"] = {"version": frame.icmp.version, "type": frame.icmp.type, "code": frame.icmp.code}
    if frame.arp is not None:
        arp = frame.arp
        found["arp"] = {
            "operation": arp.operation,
            "sender": arp.sender,
            "sender_hardware": arp.sender_hardware,
            "target": arp.target,
        }
    for name, fields in _OTHER_LAYERS.items():
        if (layer := getattr(frame, name)) is not None:
            found[name] = {field: getattr(layer, field) for field in fields}
    if frame.labels:
        found["labels"] = [label.label for label in frame.labels]
    if frame.tunnel is not None:
        found["tunnel"] = {"kind": frame.tunnel.kind, "identifier": frame.tunnel.identifier}
    if frame.inner is not None:
        # What the capture knows of a frame is told once.
        inner = frame_object(frame.inner)
        found["inner"] = {name: value for name, value in inner.items() if name not in _OF_THE_CAPTURE}
    found["payload_length"] = len(frame.payload)
    if frame.application is not None:
        found["application"] = frame.application
    if frame.process_id is not None:
        found["process_id"] = frame.process_id
    if frame.comments:
        found["comments"] = frame.comments
    if frame.problem is not None:
        found["problem"] = frame.problem
        found["malformed"] = frame.malformed
    found["summary"] = frame.summary()
    return found


def _details(frame: Frame) -> list[str]:
    """What the line about a frame leaves out."""
    found = [f"{frame.original_length} bytes on the wire, {len(frame)} captured"]
    if frame.ethernet is not None:
        found.append(f"{frame.ethernet.source} > {frame.ethernet.destination}")
    if (ip := frame.ip) is not None:
        hops = "ttl" if ip.version == 4 else "hop limit"
        found.append(f"{hops} {ip.time_to_live}, class {ip.traffic_class:#04x}")
        if ip.version == 4:
            found[-1] += f", id {ip.identification}{', DF' if ip.dont_fragment else ''}"
        found.append(f"checksums: IP {frame.checksums[0]}, transport {frame.checksums[1]}")
    if frame.process_id is not None:
        found.append(f"process {frame.process_id}")
    return [*found, *frame.comments]


class _Rotation:
    """The files that a long capture is written to: when another one begins, what it is called, which are kept."""

    def __init__(self, megabytes: float | None, seconds: float | None, keep: int | None) -> None:
        self._bytes = None if megabytes is None else megabytes * 1e6
        self._seconds = seconds
        self._keep = keep
        self._made: list[Path] = []
        self._began = time.monotonic()
        self.is_wanted = megabytes is not None or seconds is not None

    def next(self, output: Path) -> Path:
        """The path of the next file: the name with a number before its endings. The oldest goes when there are too many."""
        self._began = time.monotonic()
        if not self.is_wanted:
            return output
        name, dot, endings = output.name.partition(".")
        number = len(self._made) + 1
        path = output.with_name(f"{name}-{number:05}{dot}{endings}")
        self._made.append(path)
        if self._keep is not None and number > self._keep:
            self._made[number - 1 - self._keep].unlink(missing_ok=True)
        return path

    def is_due(self, path: Path) -> bool:
        """Whether a file is large or old enough."""
        if self._seconds is not None and time.monotonic() - self._began >= self._seconds:
            return True
        return self._bytes is not None and path.stat().st_size >= self._bytes

    def in_the_way(self, output: Path) -> list[Path]:
        """Files of an earlier capture, whose names this one would want."""
        name, dot, endings = output.name.partition(".")
        pattern = re.compile(re.escape(name) + r"-\d{5,}" + re.escape(dot + endings))
        return sorted(path for path in output.parent.glob("*") if pattern.fullmatch(path.name))

    def left_s(self) -> float:
        """Until the next file begins by time."""
        return 3600.0 if self._seconds is None else max(0.001, self._began + self._seconds - time.monotonic())

    @property
    def files(self) -> int:
        """How many there were."""
        return len(self._made)


class _Files:
    """Opens what is written to."""

    def __init__(self, overwrite: bool) -> None:
        self._overwrite = overwrite

    def refuse(self, output: Path, rotation: _Rotation | None = None) -> None:
        """Refuse what stands in the way, before anything is captured."""
        if str(output) == "-":
            return
        for path in rotation.in_the_way(output) if rotation is not None and rotation.is_wanted else [output]:
            refuse(path, replace=self._overwrite)

    @contextlib.contextmanager
    def open(self, output: Path) -> Iterator[IO[bytes]]:
        """The file, or standard output."""
        if str(output) == "-":
            yield sys.stdout.buffer
        else:
            with grow(output, replace=self._overwrite) as file:
                yield file


def _ahead_of_utc_s(seconds: int) -> int:
    """By how many seconds clocks here are ahead of UTC at a time."""
    try:
        ahead = datetime.fromtimestamp(seconds).astimezone().utcoffset()
    except (OverflowError, OSError, ValueError):
        # Beyond what calendars know.
        return 0
    return 0 if ahead is None else int(ahead.total_seconds())


class _Printer:
    """One line per frame, with TCP numbers counted from the first ones seen, as tcpdump does."""

    def __init__(self, *, as_json: bool, dump: bool, absolute: bool, verbose: int = 0) -> None:
        from .._core.wire import Lines

        self._verbose = verbose
        self._as_json = as_json
        self._dump = dump
        self.lines = Lines(_ahead_of_utc_s, absolute=absolute)
        #: Lines and nothing else, which a file makes many of at once.
        self.is_plain = not (as_json or dump or verbose)

    def __call__(self, frame: Frame) -> None:
        if self._as_json:
            click.echo(json.dumps(frame_object(frame), ensure_ascii=False))
            return
        line = self.lines.line(frame).removesuffix("\n")
        if self._verbose:
            line += "\n    " + "; ".join(_details(frame))
        if self._verbose > 1 and not self._dump:
            from ..wire.frame import fields

            line += "".join(f"\n    {name} {value}".rstrip() for _, _, name, value in fields(frame))
        if self._dump:
            from ..wire.frame import hexdump

            line += "\n" + "\n".join(f"    {each}" for each in hexdump(frame).splitlines()[1:])
        click.echo(line)


@click.command()
@click.option("-i", "--interface", metavar="NAME", help="Capture here; without it, on every interface.")
@click.option("-r", "--read", "source", metavar="FILE", help="Read this capture file instead; - is standard input.")
@options.output(
    "Write a capture file instead of printing: .pcapng or .pcap, also .gz or .zst; - is standard output.", "-w"
)
@click.option("-c", "--count", type=options.Count(), metavar="N", help="Stop after N frames.")
@options.overwrite
@options.duration
@click.option("--promiscuous", is_flag=True, help="Also frames to other hosts.")
@click.option("-Q", "--direction", type=click.Choice(["both", "in", "out"]), default="both", help="Only one direction.")
@click.option(
    "-s",
    "--snap-length",
    type=click.IntRange(1, 262_144),
    default=262_144,
    metavar="BYTES",
    help="Bytes kept of each frame.",
)
@click.option("-x", "--hexdump", "dump", is_flag=True, help="Also the bytes, field by field.")
@click.option(
    "--list", "listed", is_flag=True, help="With -r: the TCP connections, with their numbers, instead of frames."
)
@click.option("--follow", type=options.Count(), metavar="N", help="With -r: what both sides of connection N sent.")
@click.option("-n", "numeric", is_flag=True, help="Addresses and ports as numbers: they always are.")
@click.option(
    "-v", "verbose", count=True, help="-v: link layer, hops and checksums; -vv: every field; -vvv: and all bytes."
)
@click.option(
    "-C",
    "--rotate-size",
    type=options.Number(1e-6),
    metavar="MB",
    help="With -w: begin another file, with a number after its name, every MB million bytes.",
)
@click.option(
    "-G", "--rotate-time", type=options.DURATION, metavar="TIME", help="With -w: begin another file every TIME."
)
@click.option("-W", "--keep", type=options.Count(), metavar="N", help="With -C or -G: keep the newest N files.")
@click.option("-S", "--absolute", is_flag=True, help="TCP numbers as they are, not counted from the first.")
@click.option("-f", "--growing", is_flag=True, help="With -r: wait for more at the end of a growing file.")
@options.json
@options.quiet
@click.argument("filter_words", metavar="[FILTER]", nargs=-1)
def command(
    interface: str | None,
    source: str | None,
    output: Path | None,
    overwrite: bool,
    count: int | None,
    for_s: float | None,
    promiscuous: bool,
    direction: Any,
    snap_length: int,
    dump: bool,
    absolute: bool,
    growing: bool,
    listed: bool,
    follow: int | None,
    numeric: bool,
    verbose: int,
    rotate_size: float | None,
    rotate_time: float | None,
    keep: int | None,
    as_json: bool,
    quiet: bool,
    filter_words: tuple[str, ...],
) -> int:
    """Record frames.

    FILTER is tcpdump's language, such as: tcp port 443 and host 192.0.2.1
    """
    text = " ".join(filter_words) or None
    printer = _Printer(as_json=as_json, dump=dump or verbose > 2, absolute=absolute, verbose=verbose)
    rotation = _Rotation(rotate_size, rotate_time, keep)
    files = _Files(overwrite)
    if (rotation.is_wanted or keep) and (output is None or source is not None or not rotation.is_wanted):
        raise UsageError("-C, -G and -W rotate the files that a live capture writes: -i NAME -w FILE -C MB")
    if source is not None:
        if interface is not None:
            raise UsageError("-i and -r cannot be combined")
        if listed or follow is not None:
            if output is not None or (listed and follow is not None):
                raise UsageError("--list, --follow and -w cannot be combined")
            return _streams(source, text, follow, as_json)
        return _from_file(source, output, files, count, text, growing, printer, quiet)
    if listed or follow is not None:
        raise UsageError("--list and --follow look at a file: -r FILE")
    if output is not None:
        files.refuse(output, rotation)
    from ..wire.capture import capture

    with capture(
        interface, filter=text, direction=direction, promiscuous=promiscuous, snap_length=snap_length
    ) as running:
        where = running.interface or "every interface"
        if not quiet:
            click.echo(f"capturing on {where}; Ctrl-C ends it", err=True)
        return _live(running, output, files, count, for_s, printer, quiet, rotation)


def _streams(source: str, text: str | None, number: int | None, as_json: bool) -> int:
    """Show the TCP connections of a file, or what both sides of one of them sent, in the order it was captured."""
    from ..wire import pcap
    from ..wire.streams import streams

    with pcap.read(source, filter=text) as reader:
        frames = list(reader) if number is not None else reader
        found = streams(frames)
        tail = reader.tail
    if number is None:
        for index, connection in enumerate(found, 1):
            click.echo(json.dumps(_connection_object(index, connection)) if as_json else _connection(index, connection))
    else:
        if number > len(found):
            raise UsageError(f"{source} has {len(found)} TCP connections; there is no number {number}")
        for side, data in found[number - 1].conversation():
            if as_json:
                click.echo(json.dumps({"from": side, "data": data.hex()}))
                continue
            shown = _printable(data)
            mark = ">" if side == "client" else "<"
            click.echo("\n".join(f"{mark} {line}" for line in shown.split("\n")))
    if tail is not None:
        click.echo(f"{source}: {tail.reason}; {tail.unusable_bytes} bytes were of no use", err=True)
        return 1
    return 0


def _printable(data: bytes) -> str:
    """Bytes for a terminal: text as it is, everything else as an escape."""
    text = data.decode("utf-8", "backslashreplace").replace("\r\n", "\n").removesuffix("\n")
    return "".join(
        each if each.isprintable() or each in "\n\t" else each.encode("unicode_escape").decode() for each in text
    )


def _connection(number: int, connection: Connection) -> str:
    client, server = connection.client, connection.server
    took = ((connection.ended_ns or 0) - (connection.started_ns or 0)) / 1e9
    words = [f"{client.length} bytes there", f"{server.length} back", f"{took:.3f} s"]
    again = client.retransmissions + server.retransmissions
    words += [f"{again} sent again"] if again else []
    words += [f"{len(client.gaps) + len(server.gaps)} gaps"] if client.gaps or server.gaps else []
    words += ["reset"] if client.reset or server.reset else ["open"] if not connection.is_closed else []
    ends = " > ".join(f"{address}.{port}" for address, port in (client.source, server.source))
    return f"{number:4}  {ends}: {', '.join(words)}"


def _connection_object(number: int, connection: Connection) -> dict[str, Any]:
    found: dict[str, Any] = {
        "number": number,
        "frames": connection.frames,
        "started_ns": connection.started_ns,
        "ended_ns": connection.ended_ns,
        "round_trip_s": connection.round_trip_s,
        "closed": connection.is_closed,
    }
    for name, side in (("client", connection.client), ("server", connection.server)):
        found[name] = {
            "address": side.source[0],
            "port": side.source[1],
            "bytes": side.length,
            "gaps": side.gaps,
            "retransmissions": side.retransmissions,
            "reset": side.reset,
        }
    return found


def _from_file(
    source: str,
    output: Path | None,
    files: _Files,
    count: int | None,
    text: str | None,
    growing: bool,
    printer: _Printer,
    quiet: bool,
) -> int:
    from ..wire import pcap

    number: int | None = 0
    status = 0
    with ending.in_order(), pcap.read(source, filter=text, follow=growing) as reader:
        if output is not None:
            reader.refuse(output)
            files.refuse(output)
        try:
            if output is None and printer.is_plain:
                for lines, more in reader.lines(printer.lines, count):
                    click.echo(lines, nl=False)
                    number = (number or 0) + more
            elif output is None:
                for number, frame in enumerate(reader, 1):
                    printer(frame)
                    if number == count:
                        break
            elif pcap.format_of(output)[:6] == reader.format[:6]:
                try:
                    with files.open(output) as file:
                        reader.copy(output, file=file, limit=count)
                finally:
                    number = reader.copied
            else:
                number = _convert(reader, output, files, count)
        except KeyboardInterrupt:
            # Ctrl-C is how a growing file ends.
            if output is None and not growing:
                raise
        except OSError as error:
            number = _failed(error, output)
            status = 2
        tail = None if number == count or growing else reader.tail
        if tail is not None:
            click.echo(
                f"{source}: {tail.reason}; {tail.unusable_bytes} bytes from byte {tail.offset} on were of no use",
                err=True,
            )
            status = status or 1
        if output is not None and number is not None and not quiet:
            click.echo(f"{number} frames written to {output}", err=True)
    return status


def _convert(reader: Reader, output: Path, files: _Files, count: int | None) -> int:
    """Write the frames of a file to one of another format; their number."""
    from ..wire.pcap import Writer

    places: dict[int, int] = {}
    with files.open(output) as file, Writer(output, file=file) as writer:
        try:
            for frame in reader:
                place = places.get(frame.interface)
                if place is None:
                    described = reader.interfaces[frame.interface]
                    place = places[frame.interface] = writer.interface(
                        frame.link_type,
                        name=described["name"],
                        description=described["description"],
                        filter=described["filter"],
                        snap_length=described["snap_length"],
                    )
                writer.write(frame, interface=place)
                if writer.count == count:
                    break
        except KeyboardInterrupt:
            pass
    return writer.count


def _failed(error: OSError, output: Path | None) -> int | None:
    """Say that the disk is full; how many frames the file holds, if that can be seen. Any other error goes on."""
    from ..wire import pcap
    from ..wire.capture import disk_full

    line = None if output is None else disk_full(error, output)
    if output is None or line is None:
        raise error
    click.echo(line, err=True)
    if not output.is_file():
        return None
    try:
        with pcap.read(output) as reader:
            return sum(len(batch) for batch in reader.columns(["number"]))
    except UsageError:
        # Not even its header had room.
        return 0


def _live(
    running: Capture,
    output: Path | None,
    files: _Files,
    count: int | None,
    for_s: float | None,
    printer: _Printer,
    quiet: bool,
    rotation: _Rotation,
) -> int:
    from ..wire.capture import InterfaceGone
    from ..wire.pcap import Writer

    end = None if for_s is None else time.monotonic() + for_s
    number: int | None = 0
    before = 0
    writer: Writer | None = None
    place = output
    status = 0

    def left(slice_s: float) -> float:
        return slice_s if end is None else min(slice_s, end - time.monotonic())

    with ending.in_order():
        try:
            if output is None:
                seen = 0
                while (count is None or seen < count) and left(1.0) > 0:
                    for frame in running.read(left(1.0)):
                        printer(frame)
                        number = seen = seen + 1
                        if seen == count:
                            break
                    sys.stdout.flush()
            else:
                kind = None if running.interface is None else running.link_type
                before = 0
                while (count is None or before < count) and left(1.0) > 0:
                    place = rotation.next(output)
                    with files.open(place) as file:
                        writer = Writer(place, file=file, link_type=kind)
                        try:
                            with writer:
                                while (count is None or before + writer.count < count) and (wait := left(0.5)) > 0:
                                    limit = None if count is None else count - before - writer.count
                                    wait = min(wait, rotation.left_s())
                                    running.save(writer, duration_s=wait, limit=limit)
                                    writer.flush()
                                    if rotation.is_wanted and rotation.is_due(place):
                                        break
                        finally:
                            before += writer.count
                            number = before
        except KeyboardInterrupt:
            click.echo(err=True)
        except InterfaceGone as error:
            click.echo(f"{error}; what came before was kept", err=True)
            status = 2
        except OSError as error:
            held = _failed(error, place)
            number = None if held is None or writer is None else before - writer.count + held
            status = 2
        statistics = running.statistics()
        if not quiet:
            rotated = f" in {rotation.files} files" if rotation.is_wanted else ""
            where = f" written to {output}{rotated}" if output is not None else ""
            click.echo(
                f"{number or 0} frames{where}; {statistics.seen} matched, {statistics.dropped} dropped", err=True
            )
    return status
