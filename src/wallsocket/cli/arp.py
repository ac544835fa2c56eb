"""``wallsocket arp``."""

from __future__ import annotations

import json
import time
from typing import Any

import click

from . import options, terminal
from .ping import milliseconds

__all__ = ["command"]


@click.command()
@click.argument("targets", nargs=-1, required=True)
@click.option("-i", "--interface", metavar="NAME", required=True, help="The link to ask.")
@click.option(
    "-W", "--timeout", type=options.DURATION, default="1s", metavar="TIME", help="How long an answer may take."
)
@click.option("-n", "--attempts", type=click.IntRange(1, 20), metavar="N", default=2, help="How often to ask.")
@click.option("--rate", type=options.Number(0.1), default=1000.0, metavar="N", help="Questions per second.")
@options.json
def command(targets: tuple[str, ...], interface: str, timeout: float, attempts: int, rate: float, as_json: bool) -> int:
    """Ask a link who has some IPv4 addresses, such as 192.0.2.7 or 192.0.2.0/24. Needs CAP_NET_RAW.

    Exit status: 0 when somebody answered, 1 when nobody did.
    """
    from ..wire.arp import arp

    scan = arp(targets, interface, timeout_s=timeout, attempts=attempts, rate_per_s=rate)
    table = terminal.Table() if not as_json and terminal.is_live() else None
    count = 0
    try:
        shown_s = 0.0
        for answers in scan.watch():
            count += len(answers)
            for found in answers:
                line = json.dumps({"neighbour": found._asdict()}) if as_json else _line(found)
                # Who answered stays to be read; how far the scan is gets written anew under it.
                (click.echo if table is None else table.above)(line)
            if table is not None and (now_s := time.monotonic()) - shown_s >= _PERIOD_S:
                shown_s = now_s
                table.show([_progress(scan)])
    except KeyboardInterrupt:
        pass
    finally:
        if table is not None:
            table.show([])
            table.close()
        scan.close()
    asked = len(scan.targets)
    if as_json:
        click.echo(json.dumps({"summary": {"asked": asked, "missing": len(scan.missing)}}))
    else:
        click.echo(f"{asked - len(scan.missing)} of {asked} addresses answered", err=True)
    return 0 if count else 1


#: How often the row on a terminal is written anew.
_PERIOD_S = 0.05


def _progress(scan: Any) -> str:
    asked = len(scan.targets)
    return f"attempt {scan.attempt}: {scan.sent} asked, {asked - len(scan.missing)} of {asked} addresses answered"


def _line(found: Any) -> str:
    twice = "  claimed twice" if found.duplicate else ""
    return f"{found.address:15}  {found.mac}  {milliseconds(found.time_s)}{twice}"
