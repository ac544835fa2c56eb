"""Frames: capture them, read and write them in files, take them apart, build and send them, and ask the network.

Everything that touches the network takes ``host=``: an object with ``socket(family, type, proto)``, such as a host of a
lab; without it the caller's own network is meant. Nothing here goes through the endpoints.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .._core.wire import Frame
    from . import columns as columns
    from . import craft as craft
    from . import frame as frame
    from . import interfaces as interfaces
    from . import pcap as pcap
    from .arp import arp
    from .ask import ask, ask_many
    from .capture import Capture, capture
    from .collection import collection
    from .craft import ARP, ICMP, IGMP, TCP, UDP, Dot1Q, Ethernet, ICMPv6, IPv4, IPv6, Padding, Raw, fragment, sweep
    from .dhcp import DHCP
    from .discovery import NDP
    from .dns import DNS, Question, Record
    from .encapsulation import MPLS, PPP, ControlWord, PortTag, PPPoE
    from .frame import decode, hexdump
    from .groups import IGMPv3
    from .inject import Injector, inject, replay, rewrite, rewriter
    from .layers import fuzz, layers
    from .pcap import Writer, read, write
    from .ping import ping
    from .streams import streams
    from .traceroute import traceroute
    from .tunnels import GRE, GTPU, VXLAN, BackboneBridge, Geneve

_PLACES = {
    "ARP": "craft",
    "BackboneBridge": "tunnels",
    "Capture": "capture",
    "ControlWord": "encapsulation",
    "DHCP": "dhcp",
    "DNS": "dns",
    "Dot1Q": "craft",
    "Ethernet": "craft",
    "GRE": "tunnels",
    "GTPU": "tunnels",
    "Geneve": "tunnels",
    "ICMP": "craft",
    "ICMPv6": "craft",
    "IGMP": "craft",
    "IGMPv3": "groups",
    "IPv4": "craft",
    "IPv6": "craft",
    "Injector": "inject",
    "MPLS": "encapsulation",
    "NDP": "discovery",
    "PPP": "encapsulation",
    "PPPoE": "encapsulation",
    "Padding": "craft",
    "PortTag": "encapsulation",
    "Question": "dns",
    "Raw": "craft",
    "Record": "dns",
    "TCP": "craft",
    "UDP": "craft",
    "VXLAN": "tunnels",
    "Writer": "pcap",
    "arp": "arp",
    "ask": "ask",
    "ask_many": "ask",
    "capture": "capture",
    "collection": "collection",
    "decode": "frame",
    "fragment": "craft",
    "fuzz": "layers",
    "hexdump": "frame",
    "inject": "inject",
    "layers": "layers",
    "ping": "ping",
    "read": "pcap",
    "replay": "inject",
    "rewrite": "inject",
    "rewriter": "inject",
    "streams": "streams",
    "sweep": "craft",
    "traceroute": "traceroute",
    "write": "pcap",
}
#: Modules whose names are not those of functions.
_MODULES = ("columns", "craft", "frame", "interfaces", "pcap")

__all__ = [
    "ARP",
    "DHCP",
    "DNS",
    "GRE",
    "GTPU",
    "ICMP",
    "IGMP",
    "MPLS",
    "NDP",
    "PPP",
    "TCP",
    "UDP",
    "VXLAN",
    "BackboneBridge",
    "Capture",
    "ControlWord",
    "Dot1Q",
    "Ethernet",
    "Frame",
    "Geneve",
    "ICMPv6",
    "IGMPv3",
    "IPv4",
    "IPv6",
    "Injector",
    "PPPoE",
    "Padding",
    "PortTag",
    "Question",
    "Raw",
    "Record",
    "Writer",
    "arp",
    "ask",
    "ask_many",
    "capture",
    "collection",
    "decode",
    "fragment",
    "fuzz",
    "hexdump",
    "inject",
    "layers",
    "ping",
    "read",
    "replay",
    "rewrite",
    "rewriter",
    "streams",
    "sweep",
    "traceroute",
    "write",
]


class _Package(ModuleType):
    """This package: the names of functions stay theirs.

    ``ping`` is a function and the module it is in. Importing a module binds its name in the package, whoever imports it
    and whenever; then the function takes the place.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, ModuleType) and _PLACES.get(name) == name:
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name == "Frame":
        value: Any = importlib.import_module("wallsocket._core.wire").Frame
    elif name in _MODULES:
        value = importlib.import_module(f"{__name__}.{name}")
    elif name in _PLACES:
        value = getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value
