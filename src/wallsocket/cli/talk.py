"""What the talking commands share: pipes in both directions, framing, hex view, JSON lines, progress, reasons."""

from __future__ import annotations

import base64
import functools
import json
import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import click

from ..endpoints import addresses, reasons
from ..endpoints.steps import READABLE
from ..errors import DeadlinePassed, EndOfStream, WallsocketError, WouldBlock
from ..framing import Framing, from_text
from ..framing.text import GRAMMAR
from . import options

__all__ = ["Talk", "failed", "hex_view", "talking", "text_of", "timeout"]

#: Seconds after which a transfer shows progress on a terminal.
_PROGRESS_AFTER_S: Final = 1.0
_CHUNK: Final = 65536
#: How long standard input may be silent after the peer has finished before it counts as ended. A listener's input may stay
#: open for ever, and a peer that waits for our end would wait with it; input that still flows is sent whole.
_SILENCE_S: Final = 1.0


if TYPE_CHECKING:
    _ParamType = click.ParamType[Framing[bytes]]  # generic to the type checker only, before click 8.5
else:
    _ParamType = click.ParamType


class FramingName(_ParamType):
    """A framing named in one word."""

    name = "FRAMING"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Framing[bytes]:
        """Return the framing; fail with the grammar."""
        if not isinstance(value, str):
            return value  # type: ignore[no-any-return]
        try:
            return from_text(value)
        except ValueError as error:
            self.fail(str(error), parameter, context)


#: What `talking` may be given.
_OPTIONS: Final = {
    "idle": click.option("--idle", "idle_s", type=options.DURATION, help="End when nothing moved for this time."),
    "framing": click.option("--framing", "codec", type=FramingName(), help=f"Cut the stream into messages: {GRAMMAR}."),
    "hex": click.option("--hex", "as_hex", is_flag=True, help="Show received bytes as hex and characters."),
    "json": options.json,
    "quiet": options.quiet,
}
timeout = click.option("--timeout", "timeout_s", type=options.DURATION, help="Give up connecting after this time.")


def talking(*names: str) -> Callable[[Callable[..., None]], Callable[..., int]]:
    """Give a command the options of `_OPTIONS` as a `Talk`, its first argument, and let it fail as commands do."""

    def decorate(body: Callable[..., None]) -> Callable[..., int]:
        @functools.wraps(body)
        def command(**arguments: Any) -> int:
            talk = Talk(
                codec=arguments.pop("codec", None),
                as_json=arguments.pop("as_json", False),
                as_hex=arguments.pop("as_hex", False),
                quiet=arguments.pop("quiet", False),
                idle_s=arguments.pop("idle_s", None),
            )
            return run_talk(functools.partial(body, talk, **arguments), talk)

        for name in reversed(names):
            command = _OPTIONS[name](command)
        return command

    return decorate


def hex_view(data: bytes, start: int = 0) -> Iterator[str]:
    """Yield lines of offset, sixteen bytes and their printable characters."""
    for at in range(0, len(data), 16):
        part = data[at : at + 16]
        digits = f"{part[:8].hex(' ')}  {part[8:].hex(' ')}"
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        yield f"{start + at:08x}  {digits:<49} |{shown}|"


def text_of(data: bytes) -> dict[str, Any]:
    """Return bytes for JSON: ``text`` when they are UTF-8, else ``base64``."""
    try:
        return {"text": data.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


#: How long the end of a command may take longer for the reason of its failure.
_REASON_S: Final = 1.0


def failed(error: BaseException) -> click.ClickException:
    """Return an error for the command line: one line, with its reason."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    # A person reads this: a reason that comes late is worth a moment.
    reason = reasons.settle(error, _REASON_S)
    notes = list(getattr(error, "__notes__", []))
    if reason is not None and reason.cause is None:
        notes = [note for note in notes if note != str(reason)]
    where = "; ".join(notes)
    return click.ClickException(f"{text}" + (f" ({where})" if where else ""))


class Talk:
    """Joins standard input and output with an endpoint.

    Args:
        codec: framing of the stream; ``None``: bytes as they come.
        as_json: one object per line instead of bytes.
        as_hex: show bytes as offset, hex and characters.
        quiet: say nothing on stderr.
        idle_s: end when nothing moved for so long; ``None``: never.

    """

    def __init__(self, *, codec: Framing[bytes] | None, as_json: bool, as_hex: bool, quiet: bool, idle_s: float | None):
        self.codec = codec
        self.as_json = as_json
        self.as_hex = as_hex
        self.quiet = quiet
        self.idle_s = idle_s
        self.bytes_out = self.bytes_in = 0
        self._began = time.monotonic()
        self._shown = self._began
        self._terminal = sys.stderr.isatty()

    # Saying

    def say(self, text: str) -> None:
        """Say something to the person, not to the pipe."""
        if not self.quiet:
            click.echo(text, err=True)

    def event(self, what: str, **facts: Any) -> None:
        """Report something that happened: as JSON on stdout, else as a line on stderr."""
        if self.as_json:
            click.echo(json.dumps({"event": what, **facts}))
        elif not self.quiet:
            rest = " ".join(f"{name} {value}" for name, value in facts.items())
            click.echo(f"{what} {rest}".rstrip(), err=True)

    def show(self, data: bytes, **facts: Any) -> None:
        """Write what was received."""
        self.bytes_in += len(data)
        if self.as_json:
            sys.stdout.write(json.dumps({"received": len(data), **text_of(data), **facts}) + "\n")
            sys.stdout.flush()
        elif self.as_hex:
            start = self.bytes_in - len(data) if self.codec is None and not facts else 0
            header = [f"{len(data)} bytes" + "".join(f" {name} {value}" for name, value in facts.items())]
            lines = ([] if self.codec is None and not facts else header) + list(hex_view(data, start))
            click.echo("\n".join(lines))
        else:
            out = sys.stdout.buffer
            out.write(data)
            if self.codec is not None and not self.codec.ends_with_stream and not data.endswith(b"\n"):
                out.write(b"\n")
            out.flush()

    def progress(self) -> None:
        """Show how much has moved, once a second, on a terminal and only for transfers that take long."""
        now = time.monotonic()
        if self.quiet or not self._terminal or now - self._began < _PROGRESS_AFTER_S or now - self._shown < 1:
            return
        self._shown = now
        rate = (self.bytes_in + self.bytes_out) / (now - self._began)
        click.echo(
            f"\r{_amount(self.bytes_out)} out, {_amount(self.bytes_in)} in, {_amount(rate)}/s\x1b[K", nl=False, err=True
        )

    def summary(self) -> None:
        """Say at the end what moved, when it took long enough to be asked about."""
        took = time.monotonic() - self._began
        if self._terminal and not self.quiet and self._shown != self._began:
            click.echo(err=True)
        if self.as_json:
            self.event("end", sent=self.bytes_out, received=self.bytes_in, seconds=round(took, 3))

    # Moving

    def pump(self, connection: Any, *, half_close: bool = True) -> None:
        """Copy standard input to the connection and the connection to standard output, until both have ended.

        The end of standard input half-closes the connection: the peer reads to the end and can still answer. When the
        peer has finished first, input is sent on until it ends or is silent for a second.
        """
        stream = connection.messages(self.codec) if self.codec is not None else None
        source = sys.stdin.buffer.raw if hasattr(sys.stdin.buffer, "raw") else sys.stdin.buffer
        descriptor = source.fileno()
        reading, receiving = True, True
        pending = b""
        unsent: memoryview | None = None
        while receiving or unsent is not None or (reading and half_close):
            poll = select.poll()
            events = (READABLE if receiving else 0) | (select.POLLOUT if unsent is not None else 0)
            poll.register(connection.fileno(), events)
            if reading and unsent is None:
                poll.register(descriptor, READABLE)
            waits_for_input = not receiving and unsent is None
            limits = [self.idle_s, _SILENCE_S if waits_for_input else None]
            timeout_s = min((limit for limit in limits if limit is not None), default=None)
            ready = dict(poll.poll(None if timeout_s is None else timeout_s * 1000))
            if not ready and waits_for_input and timeout_s == _SILENCE_S:
                self.say(f"the peer has finished, and no input came for {_SILENCE_S:g} s")
                return
            if not ready:
                self.say(f"nothing moved for {self.idle_s:g} s")
                return
            if descriptor in ready and reading and unsent is None:
                data = os.read(descriptor, _CHUNK)
                wire, pending = self._encoded(pending, data)
                unsent = memoryview(wire) if wire else None
                if not data:
                    reading = False
            if unsent is not None:
                try:
                    sent = connection.send(unsent, timeout_s=0)
                except WouldBlock:
                    sent = 0
                self.bytes_out += sent
                unsent = unsent[sent:] if sent < len(unsent) else None
            if (
                not reading
                and unsent is None
                and half_close
                and connection.state in ("established", "receiving finished")
            ):
                connection.finish_sending()
            if receiving and ready.get(connection.fileno(), 0) & (READABLE | select.POLLHUP | select.POLLERR):
                receiving = self._receive(connection, stream)
                if not receiving and not half_close:
                    return
                if not receiving and reading and os.isatty(descriptor):
                    return  # nobody would see that the peer has finished
            elif not receiving and ready.get(connection.fileno(), 0) & (select.POLLHUP | select.POLLERR):
                return  # the peer takes nothing any more
            self.progress()

    def _receive(self, connection: Any, stream: Any) -> bool:
        """Show what is there; say whether more can come."""
        try:
            if stream is not None:
                found = stream.receive_many(timeout_s=0)
                for message in found:
                    self.show(message)
                return bool(found)
            data = connection.receive(_CHUNK, timeout_s=0)
        except WouldBlock:
            return True
        except EndOfStream:
            return False
        if data:
            self.show(data)
        return bool(data)

    def _encoded(self, pending: bytes, data: bytes) -> tuple[bytes, bytes]:
        """Return what input becomes on the wire, and the line that is not complete yet: one message per line."""
        if self.codec is None:
            return data, b""
        if self.codec.ends_with_stream:
            return data, b""
        *lines, rest = (pending + data).split(b"\n")
        if not data and rest:
            lines.append(rest)
            rest = b""
        return self.codec.encode_many(lines), rest


def _amount(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return ""


def run_talk(body: Callable[[], None], talk: Talk) -> int:
    """Run a command's body; return its exit status."""
    try:
        body()
        talk.summary()
    except DeadlinePassed as error:
        raise failed(error) from None
    except WallsocketError as error:
        if isinstance(error, OSError):
            raise failed(error) from None
        raise
    except OSError as error:
        raise failed(error) from None
    return 0


def named(address: Any) -> str:
    """Return an address for people."""
    return addresses.shown(address)
