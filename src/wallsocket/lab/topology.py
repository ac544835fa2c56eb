"""Networks that are needed again and again; each is a running :class:`Lab`, to be used with ``with``."""

from __future__ import annotations

import itertools
from typing import Any, Literal

from ..errors import UsageError
from .host import Host
from .network import Lab

__all__ = ["firewall", "hosts", "line", "mtu_bottleneck", "nat", "pair", "router", "star"]


def _lab(options: dict[str, Any]) -> Lab:
    """A lab from the options that are a lab's; they are taken out, what is left is for its links."""
    return Lab(**{name: options.pop(name) for name in ("seed", "ipv6", "offloads") if name in options})


def hosts(*names: str, **options: Any) -> Lab:
    """Hosts on one network: two are linked directly, more are plugged into a switch.

    ``with lab.hosts("a", "b", loss="5%") as (a, b):`` names them. Options are those of :class:`Lab` (``seed``,
    ``ipv6``, ``offloads``) and of :meth:`Lab.link`.

    Raises:
        UsageError: no name, a bad one or one twice, or an option that is not understood.
        NotPermitted: the kernel allows no namespaces here.
    """
    if not names:
        raise UsageError("a lab needs at least one host")
    made = _lab(options)
    try:
        members = made._add_hosts(list(names))
        if len(members) == 2:
            made.link(*members, **options)
        elif len(members) > 2:
            made.switch("switch" if "switch" not in names else "the-switch", *members, **options)
        elif options:
            raise UsageError("a single host has no link that could be set")
    except BaseException:
        made.close()
        raise
    return made


def pair(**options: Any) -> Lab:
    """Two hosts, ``a`` and ``b``, and a link."""
    return hosts("a", "b", **options)


def star(count: int, **options: Any) -> Lab:
    """Hosts ``h1`` to ``hN`` on a switch.

    Raises:
        UsageError: fewer than one host.
    """
    if count < 1:
        raise UsageError(f"a star of {count} hosts is none")
    made = _lab(options)
    try:
        members = made._add_hosts([f"h{number}" for number in range(1, count + 1)])
        made.switch("switch", *members, **options)
    except BaseException:
        made.close()
        raise
    return made


def line(count: int, **options: Any) -> Lab:
    """Hosts ``h1`` to ``hN`` in a row; those in between are routers.

    Raises:
        UsageError: fewer than two hosts.
    """
    if count < 2:
        raise UsageError(f"a line of {count} hosts is none")
    made = _lab(options)
    try:
        ends = {1, count}
        row = [made.host(f"h{number}", forward=number not in ends) for number in range(1, count + 1)]
        for near, far in itertools.pairwise(row):
            made.link(near, far, **options)
    except BaseException:
        made.close()
        raise
    return made


def _two_networks(middle: str, options: dict[str, Any], **far: Any) -> tuple[Lab, Host, Host, Host]:
    made = _lab(options)
    try:
        client, between, server = made.host("client"), made.host(middle, forward=True), made.host("server")
        made.link(client, between, **options)
        made.link(between, server, **{**options, **far})
    except BaseException:
        made.close()
        raise
    return made, client, between, server


def router(**options: Any) -> Lab:
    """Hosts ``client`` and ``server`` on two networks, and a ``router`` between them."""
    return _two_networks("router", options)[0]


def nat(**options: Any) -> Lab:
    """A ``client`` behind ``nat``, which puts its own address into what it forwards to the ``server``."""
    made, client, between, _ = _two_networks("nat", options)
    try:
        made.hide(client, behind=between)
    except BaseException:
        made.close()
        raise
    return made


def firewall(policy: Literal["drop", "reject"] = "drop", *, allow: tuple[int, ...] = (), **options: Any) -> Lab:
    """A ``firewall`` between ``client`` and ``server`` that lets only connections to the allowed ports begin.

    Args:
        policy: ``drop`` says nothing, so that the client waits; ``reject`` answers with a reset, or by ICMP.
        allow: TCP and UDP ports that pass.
        options: as for :func:`hosts`.

    Raises:
        UsageError: another policy, or a port that is none.
        NotAvailable: the program ``nft`` is not installed.
    """
    if policy not in ("drop", "reject"):
        raise UsageError(f"a firewall drops or rejects; {policy!r} is neither")
    if any(not 0 < port < 65536 for port in allow):
        raise UsageError(f"the ports {allow} are not all between 1 and 65535")
    made, _, between, _ = _two_networks("firewall", options)
    passes = f"meta l4proto {{ tcp, udp }} th dport {{ {', '.join(map(str, allow))} }} accept\n" if allow else ""
    ends = "drop" if policy == "drop" else "meta l4proto tcp reject with tcp reset\nreject"
    rules = (
        "table inet firewall {\nchain forward {\ntype filter hook forward priority 0;\n"
        f"ct state established,related accept\n{passes}{ends}\n}}\n}}\n"
    )
    try:
        between.nft(rules)
    except BaseException:
        made.close()
        raise
    return made


def mtu_bottleneck(mtu: int = 1400, *, icmp: bool = True, **options: Any) -> Lab:
    """``client`` and ``server`` with a ``router`` between them whose far link carries smaller packets.

    Args:
        mtu: of the far link, in bytes.
        icmp: whether the router may say so ("fragmentation needed", RFC 1191). Without it large packets vanish.
        options: as for :func:`hosts`.
    """
    made, _, between, _ = _two_networks("router", options, mtu=mtu)
    try:
        if not icmp:
            between.nft(
                "table inet silent {\nchain output {\ntype filter hook output priority 0;\n"
                "icmp type destination-unreachable drop\nicmpv6 type packet-too-big drop\n}\n}\n"
            )
    except BaseException:
        made.close()
        raise
    return made
