"""What ``a.udp``, ``a.tcp`` and their siblings are: the functions of those modules, with ``host=`` given.

Only this file knows which functions take a host. It is imported when the first of them is used: a lab itself needs no
endpoints.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, ParamSpec, Self, TypeVar, overload

from .. import aio, raw, tcp, udp, unix, wire

if TYPE_CHECKING:
    from .host import Host

__all__ = ["Aio", "AioRaw", "AioTcp", "AioUdp", "AioUnix", "Raw", "Tcp", "Udp", "Unix", "Wire"]

_P = ParamSpec("_P")
_R = TypeVar("_R")


class _InHost(Generic[_P, _R]):
    """A function, or a class, whose ``host=`` is that of the object it is reached through; all else is as it was."""

    def __init__(self, function: Callable[_P, _R]) -> None:
        self._function = function

    @overload
    def __get__(self, bound: None, kind: type) -> Self: ...
    @overload
    def __get__(self, bound: _Bound, kind: type) -> Callable[_P, _R]: ...
    def __get__(self, bound: _Bound | None, kind: type) -> Self | Callable[_P, _R]:
        if bound is None:
            return self
        anything: Callable[..., _R] = self._function
        given = functools.partial(anything, host=bound.host)
        return functools.update_wrapper(given, self._function)


class _Bound:
    def __init__(self, host: Host) -> None:
        self.host = host

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of host {self.host.name}>"


class Udp(_Bound):
    """:mod:`wallsocket.udp` in a host."""

    Endpoint = _InHost(udp.Endpoint)
    bind = _InHost(udp.bind)
    connect = _InHost(udp.connect)


class Tcp(_Bound):
    """:mod:`wallsocket.tcp` in a host."""

    Connection = _InHost(tcp.Connection)
    Listener = _InHost(tcp.Listener)
    adopt = _InHost(tcp.adopt)
    connect = _InHost(tcp.connect)
    listen = _InHost(tcp.listen)


class Unix(_Bound):
    """:mod:`wallsocket.unix` in a host: abstract names are those of its network, paths those of the file system."""

    Connection = _InHost(unix.Connection)
    Endpoint = _InHost(unix.Endpoint)
    Listener = _InHost(unix.Listener)
    bind = _InHost(unix.bind)
    connect = _InHost(unix.connect)
    listen = _InHost(unix.listen)


class Raw(_Bound):
    """:mod:`wallsocket.raw` in a host, where it needs no privilege."""

    Endpoint = _InHost(raw.Endpoint)


class Wire(_Bound):
    """Those functions of :mod:`wallsocket.wire` that touch the network, in a host."""

    arp = _InHost(wire.arp)
    ask = _InHost(wire.ask)
    ask_many = _InHost(wire.ask_many)
    capture = _InHost(wire.capture)
    Injector = _InHost(wire.Injector)
    inject = _InHost(wire.inject)
    ping = _InHost(wire.ping)
    replay = _InHost(wire.replay)
    traceroute = _InHost(wire.traceroute)


class AioUdp(_Bound):
    """``wallsocket.aio.udp`` in a host."""

    Endpoint = _InHost(aio.udp.Endpoint)
    bind = _InHost(aio.udp.bind)
    connect = _InHost(aio.udp.connect)


class AioTcp(_Bound):
    """``wallsocket.aio.tcp`` in a host."""

    Connection = _InHost(aio.tcp.Connection)
    Listener = _InHost(aio.tcp.Listener)
    connect = _InHost(aio.tcp.connect)
    listen = _InHost(aio.tcp.listen)


class AioUnix(_Bound):
    """``wallsocket.aio.unix`` in a host."""

    Connection = _InHost(aio.unix.Connection)
    Endpoint = _InHost(aio.unix.Endpoint)
    Listener = _InHost(aio.unix.Listener)
    bind = _InHost(aio.unix.bind)
    connect = _InHost(aio.unix.connect)
    listen = _InHost(aio.unix.listen)


class AioRaw(_Bound):
    """``wallsocket.aio.raw`` in a host."""

    Endpoint = _InHost(aio.raw.Endpoint)


class Aio(_Bound):
    """:mod:`wallsocket.aio` in a host, for asyncio and trio: ``await a.aio.tcp.connect("b:80")``."""

    @property
    def raw(self) -> AioRaw:
        """Raw sockets."""
        return AioRaw(self.host)

    @property
    def tcp(self) -> AioTcp:
        """TCP."""
        return AioTcp(self.host)

    @property
    def udp(self) -> AioUdp:
        """UDP."""
        return AioUdp(self.host)

    @property
    def unix(self) -> AioUnix:
        """Unix sockets."""
        return AioUnix(self.host)
