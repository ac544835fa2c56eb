"""``wallsocket replay``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import click

from . import options

__all__ = ["command"]


def _pairs(values: tuple[str, ...], option: str) -> dict[str, str]:
    found = {}
    for value in values:
        old, separator, new = value.partition("=")
        if not separator or not old or not new:
            raise click.BadParameter(f"{value!r} is not OLD=NEW", param_hint=option)
        found[old] = new
    return found


@click.command()
@click.argument("capture", type=click.Path(path_type=Path), metavar="FILE")
@click.argument("filter_words", metavar="[FILTER]", nargs=-1)
@click.option("-i", "--interface", metavar="NAME", help="Send through this interface.")
@click.option(
    "--speed",
    type=options.Number(infinite=True),
    default=1.0,
    metavar="FACTOR",
    help="2 is twice as fast; inf as fast as possible.",
)
@click.option("--rate", type=options.Number(), metavar="N", help="N frames per second instead of the recorded times.")
@click.option("--map-ip", multiple=True, metavar="A=B", help="Replace an IP address.")
@click.option("--map-mac", multiple=True, metavar="A=B", help="Replace an Ethernet address.")
@click.option("--dry-run", is_flag=True, help="Do everything but send.")
@options.json
def command(
    capture: Path,
    filter_words: tuple[str, ...],
    interface: str | None,
    speed: float,
    rate: float | None,
    map_ip: tuple[str, ...],
    map_mac: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
) -> int:
    """Send the Ethernet frames of a capture file again, with the gaps they had. Needs CAP_NET_RAW."""
    from ..errors import UsageError
    from ..wire.inject import replay

    if interface is None and not dry_run:
        raise UsageError("name the interface to send through with -i: nothing is sent unasked")
    show: Callable[[int], None] | None = None if as_json or not sys.stderr.isatty() else _progress
    done = replay(
        capture,
        interface,
        speed=speed,
        rate_per_s=rate,
        filter=" ".join(filter_words) or None,
        map_ip=_pairs(map_ip, "--map-ip"),
        map_mac=_pairs(map_mac, "--map-mac"),
        dry_run=dry_run,
        progress=show,
    )
    if as_json:
        click.echo(json.dumps({**done._asdict(), "dry_run": dry_run}))
        return 0
    if show is not None:
        click.echo("\r", nl=False, err=True)
    if dry_run:
        click.echo(
            f"would send {done.frames} frames, {done.bytes} bytes, in {done.asked_s:.3f} s; {done.skipped} skipped"
        )
        return 0
    rate_seen = done.frames / done.achieved_s if done.achieved_s else 0.0
    click.echo(
        f"{done.frames} frames, {done.bytes} bytes sent; asked {done.asked_s:.3f} s, took {done.achieved_s:.3f} s "
        f"({rate_seen:.0f}/s), latest frame {done.worst_late_s * 1e6:.0f} µs behind; {done.skipped} skipped"
    )
    return 0


def _progress(count: int) -> None:
    click.echo(f"\r{count} frames", nl=False, err=True)
