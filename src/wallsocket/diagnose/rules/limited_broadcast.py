"""255.255.255.255 leaves through one interface."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import Host
from ..trackers.bound import Bound
from ..trackers.group_traffic import GroupTraffic
from ..trackers.network import Networks
from ..vocabulary import SOCK_DGRAM

__all__ = ["LimitedBroadcast"]

_LIMITED = "255.255.255.255"


class LimitedBroadcast(Rule):
    """255.255.255.255 leaves through one interface."""

    id = "limited-broadcast"
    title = "255.255.255.255 left through one interface only, and this host has several"
    covers = (86,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "The limited broadcast is sent on one interface, that of the route (usually the default route's), and no router "
        "passes it on. Hosts in the other networks of a host with several interfaces do not hear it."
    )
    symptoms = ("broadcast only reaches one network", "discovery finds only one LAN", "255.255.255.255 multihomed")
    proof = (
        "Datagrams went to 255.255.255.255, the host had two or more interfaces with IPv4 addresses, and frames to that "
        "address were seen on one of them only. An error when a traced socket in another network waited for them in vain."
    )
    fix = "Send to the broadcast address of each network (10.0.0.255), from a list of the interfaces."
    disproof = "The program binds to each interface in turn (SO_BINDTODEVICE), or wants one network only."
    references = ("ip(7)", "RFC 1122 3.3.6")
    subject = "host"
    needs = (Bound, GroupTraffic, Networks)

    def judge(self, facts: Facts, subject: Host) -> Iterator[Judgement]:
        traffic = facts[GroupTraffic]
        for port in traffic.ports():
            sends = [one for one in traffic.sends(port) if one.where.host == _LIMITED]
            for network in dict.fromkeys(one.network for one in sends):
                missing = facts.wire(network)
                if missing is not None:
                    yield self.cannot_tell("wire", f"where the broadcasts left was not recorded: {missing}")
                else:
                    yield from self._of(facts, port, network)

    def _of(self, facts: Facts, port: int, network: int | None) -> Iterator[Judgement]:
        traffic, networks = facts[GroupTraffic], facts[Networks]
        sends = [one for one in traffic.sends(port) if one.where.host == _LIMITED and one.network == network]
        # The network of the tracer is number 1, or not named.
        frames = [
            one for one in traffic.frames(port) if one.where.host == _LIMITED and (one.network or 1) == (network or 1)
        ]
        have = {
            name for name, address in networks.addresses(network) if address.version == 4 and not address.ip.is_loopback
        }
        # The other end of a veth pair may be an interface of this host, too; what leaves has an address.
        used = {one.interface for one in frames if one.interface in have}
        first = sends[0].call
        if len(used) != 1 or len(have) < 2 or first is None:
            return
        through = next(iter(used))
        deaf = [
            entry
            for entry in facts[Bound].on(port, SOCK_DGRAM)
            if not entry.received and entry.socket.network != network and entry.had_it(sends[-1].at_ns)
        ]
        yield Evidence(
            self,
            first.end_ns,
            f"{first.text()} left through {through} only; this host also has {', '.join(sorted(have - used))}."
            + (f" {facts.who(deaf[0].process)} waited in another network and heard nothing." if deaf else ""),
            [
                first.proof(),
                frames[0].proof(),
                *networks.proof(network, "addresses", f"IPv4 addresses on {', '.join(sorted(have))}"),
            ],
            call=first.call,
            socket=first.call.socket,
            process=first.call.process,
            severity="error" if deaf else "note",
            subjects=frozenset(entry.id for entry in deaf),
        )
