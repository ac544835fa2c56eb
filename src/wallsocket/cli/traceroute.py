"""``wallsocket traceroute``."""

from __future__ import annotations

import json
import socket
from typing import Any

import click

from . import options, terminal
from .ping import milliseconds

__all__ = ["command"]


@click.command()
@click.argument("destination")
@click.option("-M", "--method", type=click.Choice(["udp", "tcp", "icmp"]), default="udp", help="What the probes are.")
@click.option(
    "-P", "--port", type=click.IntRange(1, 65535), metavar="N", help="Destination port (33434 for UDP, 80 for TCP)."
)
@click.option("-f", "--first", type=click.IntRange(1, 255), metavar="N", default=1, help="First distance.")
@click.option("-m", "--last", type=click.IntRange(1, 255), metavar="N", default=30, help="Last distance.")
@click.option("-n", "--probes", type=click.IntRange(1, 10), metavar="N", default=3, help="Probes for each distance.")
@click.option("-N", "--in-flight", type=click.IntRange(1, 255), metavar="N", default=16, help="Unanswered at once.")
@click.option(
    "-W", "--timeout", type=options.DURATION, default="1s", metavar="TIME", help="How long an answer may take."
)
@click.option("--mtu", is_flag=True, help="Find the largest packet that passes.")
@click.option("-i", "--interface", metavar="NAME", help="Send through this interface.")
@click.option("-4", "family", flag_value=int(socket.AF_INET), type=int, help="IPv4 only.")
@click.option("-6", "family", flag_value=int(socket.AF_INET6), type=int, help="IPv6 only.")
@options.json
def command(
    destination: str,
    method: Any,
    port: int | None,
    first: int,
    last: int,
    probes: int,
    in_flight: int,
    timeout: float,
    mtu: bool,
    interface: str | None,
    family: int | None,
    as_json: bool,
) -> int:
    """Show the routers on the way. TCP and ICMP probes need CAP_NET_RAW.

    Exit status: 0 when the destination answered, 1 when it did not.
    """
    from ..wire.traceroute import traceroute

    running = traceroute(
        destination,
        method=method,
        port=port,
        first_hop=first,
        last_hop=last,
        probes=probes,
        in_flight=in_flight,
        timeout_s=timeout,
        mtu=mtu,
        family=socket.AF_UNSPEC if family is None else family,
        interface=interface,
    )
    if not as_json:
        name = destination if destination == running.address else f"{destination} ({running.address})"
        click.echo(f"traceroute to {name} by {method.upper() if method != 'icmp' else 'ICMP echo'}")
    reached = False
    try:
        if not as_json and terminal.is_live():
            with terminal.Table() as table:
                for hops in running.watch():
                    reached = any(probe.kind == "destination" for hop in hops for probe in hop.probes)
                    table.show([_line(hop) for hop in hops])
            return 0 if reached else 1
        for hop in running:
            reached = reached or any(probe.kind == "destination" for probe in hop.probes)
            if as_json:
                found = {"time_to_live": hop.time_to_live, "mtu": hop.mtu}
                click.echo(json.dumps({"hop": {**found, "probes": [probe._asdict() for probe in hop.probes]}}))
            else:
                click.echo(_line(hop))
    except KeyboardInterrupt:
        pass
    finally:
        running.close()
    if as_json:
        click.echo(json.dumps({"summary": {"destination": running.address, "reached": reached}}))
    return 0 if reached else 1


def _line(hop: Any) -> str:
    parts = []
    last = None
    for probe in hop.probes:
        if probe.kind in ("timeout", "waiting"):
            parts.append("*" if probe.kind == "timeout" else "…")
            continue
        if probe.address is not None and probe.address != last:
            parts.append(probe.address)
            last = probe.address
        if probe.time_s is not None:
            parts.append(milliseconds(probe.time_s))
        if probe.kind == "unreachable":
            parts.append(f"[{probe.text}]")
    mtu = "" if hop.mtu is None else f"  mtu {hop.mtu}"
    return f"{hop.time_to_live:3}  {'  '.join(parts)}{mtu}"
