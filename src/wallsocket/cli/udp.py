"""``wallsocket udp``: datagrams, multicast, broadcast, and who complained."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import click

from ..errors import DeadlinePassed
from . import options
from .talk import Talk, named, talking

join = click.option("--join", "group", metavar="GROUP", help="Join this multicast group.")
interface = click.option("-i", "--interface", metavar="NAME", help="Interface for multicast.")


@click.group()
def command() -> None:
    """Talk UDP: each line or file is a datagram; ICMP errors are told with the router that sent them."""


@command.command()
@click.argument("address")
@click.argument("text", required=False)
@click.option("--lines", is_flag=True, help="Send each line of standard input as a datagram.")
@click.option("--wait", "wait_s", type=options.DURATION, help="Show what comes back within this time.")
@click.option("--source", metavar="ADDRESS", help="Local address to send from.")
@click.option("--ttl", type=click.IntRange(1, 255), metavar="N", help="Hops that the datagram may take.")
@click.option("--broadcast", is_flag=True, help="Allow broadcast addresses.")
@interface
@talking("hex", "json", "quiet")
def send(
    talk: Talk,
    address: str,
    text: str | None,
    lines: bool,
    wait_s: float | None,
    source: str | None,
    ttl: int | None,
    broadcast: bool,
    interface: str | None,
) -> None:
    """Send TEXT, or standard input, to HOST:PORT as one datagram."""
    from ..endpoints import addresses

    with _endpoint(address, source) as endpoint:
        _adjust(endpoint, ttl, broadcast, interface)
        unicast = not (broadcast or _is_multicast(addresses.parse(address, "udp").host))
        if unicast:
            endpoint.connect(address)
            endpoint.collect_icmp_errors()
        to = None if unicast else address
        if text is not None:
            payloads = [text.encode()]
        elif lines:
            payloads = [line.rstrip(b"\n") for line in sys.stdin.buffer]
        else:
            payloads = [sys.stdin.buffer.read()]
        for payload in payloads:
            endpoint.send(payload, to)
            talk.bytes_out += len(payload)
        deadline = time.monotonic() + (0.0 if wait_s is None else wait_s)
        while wait_s is not None and (left_s := deadline - time.monotonic()) > 0:
            try:
                _show(talk, endpoint.receive(timeout_s=left_s))
            except DeadlinePassed:
                break


@command.command()
@click.argument("address")
@join
@interface
@click.option("--from", "only", metavar="ADDRESS", help="Source-specific multicast: only this sender.")
@click.option("--count", type=options.Count(), metavar="N", help="End after N datagrams.")
@click.option("--echo", is_flag=True, help="Answer each datagram with itself.")
@options.duration
@talking("hex", "json", "quiet")
def listen(
    talk: Talk,
    address: str,
    group: str | None,
    interface: str | None,
    only: str | None,
    count: int | None,
    echo: bool,
    for_s: float | None,
) -> None:
    """Show what comes to [HOST]:PORT, with sender, destination, interface and TTL."""
    from .. import udp

    with udp.bind(address, reuse_address=group is not None, details=True) as endpoint:
        if group is not None:
            endpoint.join(group, interface=interface or 0, source=only)
        talk.event("listening", local=named(endpoint.local), **({"group": group} if group else {}))
        deadline = None if for_s is None else time.monotonic() + for_s
        seen = 0
        try:
            while count is None or seen < count:
                left_s = None if deadline is None else max(deadline - time.monotonic(), 0)
                datagram = endpoint.receive(timeout_s=left_s)
                seen += 1
                _show(talk, datagram)
                if echo:
                    endpoint.reply(datagram, datagram.data)
        except DeadlinePassed:
            pass
        except BlockingIOError:
            pass  # the time was over between two datagrams
        if endpoint.dropped:
            talk.event("dropped", datagrams=endpoint.dropped)


@command.command()
@click.argument("address")
@talking("idle", "hex", "json", "quiet")
def connect(talk: Talk, address: str) -> None:
    """Talk with HOST:PORT: each line of standard input is a datagram, each answer is shown."""
    import select

    from .. import udp

    with udp.connect(address) as endpoint:
        talk.event("connected", peer=named(endpoint.peer), local=named(endpoint.local))
        reading, pending = True, b""
        while True:
            poll = select.poll()
            poll.register(endpoint.fileno(), select.POLLIN)
            if reading:
                poll.register(0, select.POLLIN)
            wait_s = talk.idle_s if reading else min(talk.idle_s or 1.0, 1.0)
            ready = dict(poll.poll(None if wait_s is None else wait_s * 1000))
            if not ready:
                break
            if 0 in ready:
                data = os.read(0, 65536)
                *full, pending = (pending + data).split(b"\n")
                if not data:
                    reading = False
                    full += [pending] if pending else []
                for line in full:
                    endpoint.send(line)
                    talk.bytes_out += len(line)
            if endpoint.fileno() in ready:
                _show(talk, endpoint.receive(timeout_s=0))


def _endpoint(address: str, source: str | None) -> Any:
    from .. import udp
    from ..endpoints import addresses

    if source is not None:
        return udp.bind(source, details=False)
    host = addresses.parse(address, "udp").host
    if host is not None and ":" not in host and not host.replace(".", "").isdigit():
        # A name: the family is that of its first address.
        with udp.connect(address) as probe:
            return udp.Endpoint(ipv6=probe.socket.family == 10)
    return udp.Endpoint(ipv6=host is not None and ":" in host)


def _adjust(endpoint: Any, ttl: int | None, broadcast: bool, interface: str | None) -> None:
    if ttl is not None:
        endpoint.ttl = ttl
        endpoint.send_multicast(ttl=ttl)
    if broadcast:
        endpoint.broadcast = True
    if interface is not None:
        endpoint.send_multicast(interface=interface)


def _is_multicast(host: str | None) -> bool:
    import ipaddress

    try:
        return ipaddress.ip_address((host or "").partition("%")[0]).is_multicast
    except ValueError:
        return False


def _show(talk: Talk, datagram: Any) -> None:
    facts: dict[str, Any] = {"from": named(datagram.peer)}
    if datagram.local is not None:
        facts |= {"to": datagram.local, "interface": datagram.interface, "ttl": datagram.ttl}
    if talk.as_json or talk.as_hex:
        talk.show(datagram.data, **facts)
    else:
        talk.show(datagram.data if datagram.data.endswith(b"\n") else datagram.data + b"\n")
