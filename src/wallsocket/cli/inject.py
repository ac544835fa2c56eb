"""``wallsocket inject``."""

from __future__ import annotations

import ast
import json
import sys
import time
from typing import Any

import click

from . import options

__all__ = ["command"]


@click.command()
@click.argument("packets", nargs=-1, required=True, metavar="PACKET...")
@click.option("-i", "--interface", metavar="NAME", required=True, help="Send through this interface.")
@click.option("-c", "--count", type=options.Count(), default=1, metavar="N", help="Send it N times.")
@click.option("--rate", type=options.Number(), metavar="N", help="N frames per second.")
@click.option("--dry-run", is_flag=True, help="Show the frames, send nothing.")
@options.json
def command(
    packets: tuple[str, ...], interface: str, count: int, rate: float | None, dry_run: bool, as_json: bool
) -> int:
    """Send frames of your own making. Needs CAP_NET_RAW.

    PACKET is hexadecimal, - for raw bytes on standard input, or layers, such as:

    \b
      IPv4("10.0.0.1", "10.0.0.2")/UDP(5000, 9)/"hello"

    Without Ethernet(...) in front the frame goes to whom the kernel's routes and neighbours say. A field that is a list,
    range(a, b) or a network such as "10.0.0.0/30" is swept: a frame for each value.
    """
    from ..wire.craft import Packet, sweep
    from ..wire.frame import decode
    from ..wire.inject import inject

    frames: list[Any] = []
    for text in packets:
        made = _parse(text)
        frames += sweep(made) if isinstance(made, Packet) else [made]
    frames *= count
    if dry_run:
        for frame in frames:
            shown, data = decode(frame).summary(), bytes(frame)
            click.echo(json.dumps({"frame": data.hex(), "summary": shown}) if as_json else shown)
        return 0
    start = time.monotonic()
    sent = inject(frames, interface, rate_per_s=rate)
    took = time.monotonic() - start
    if as_json:
        click.echo(json.dumps({"frames": sent, "bytes": sum(map(len, frames)), "seconds": took}))
    else:
        click.echo(f"{sent} frames sent through {interface} in {took:.3f} s")
    return 0


def _parse(text: str) -> Any:
    """A packet from its text: hexadecimal, or layers joined by ``/``; nothing in it is executed.

    Raises:
        UsageError: it is neither.

    """
    from ..errors import UsageError
    from ..wire.craft import Layer, Packet

    if text == "-":
        return sys.stdin.buffer.read()
    try:
        return bytes.fromhex(text)
    except ValueError:
        pass
    try:
        made = _layers(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError, TypeError) as error:
        raise UsageError(f"{text!r} is neither hexadecimal nor layers: {error}") from error
    if isinstance(made, Layer):
        return Packet((made,))
    if not isinstance(made, Packet):
        raise UsageError(f"{text!r} is no packet")
    return made


def _layers(node: ast.expr) -> Any:
    from .. import wire
    from ..wire import craft

    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        left, right = _layers(node.left), _layers(node.right)
        return left / right
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        name = node.func.id
        arguments = [_layers(argument) for argument in node.args]
        if name == "range" and all(isinstance(argument, int) for argument in arguments):
            return range(*arguments)
        kind = getattr(wire, name) if name in wire.__all__ else None
        parts = (craft.Layer, wire.Question, wire.Record)
        if not (isinstance(kind, type) and issubclass(kind, parts)) or kind is craft.Layer:
            raise ValueError(f"no layer {name}")
        named = {keyword.arg: _layers(keyword.value) for keyword in node.keywords if keyword.arg is not None}
        return kind(*arguments, **named)
    if isinstance(node, ast.Tuple):
        return tuple(map(_layers, node.elts))
    if isinstance(node, ast.List):
        return list(map(_layers, node.elts))
    return ast.literal_eval(node)
