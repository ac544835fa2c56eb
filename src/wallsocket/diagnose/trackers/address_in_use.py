"""Binds and listens that failed because somebody has the address."""

from __future__ import annotations

import errno
from typing import Literal, NamedTuple

from ...kernel.causes import Cause, Holding, taken
from ..address import Address
from ..call import CallFacts
from ..subjects import SocketFacts
from ..tracker import Tracker
from ..vocabulary import SO_REUSEADDR, SOCK_DGRAM, SOCK_STREAM, SOL_SOCKET
from .bound import Bound
from .host_answers import HostAnswers, HostSocket
from .options import Options
from .set_up import SetUp

__all__ = ["AddressInUse", "Taken"]


class Taken(NamedTuple):
    """An address that could not be had."""

    call: CallFacts  #: the bind or listen that failed
    asked: Address
    moved_on: bool  #: the process took another port instead

    @property
    def protocol(self) -> Literal["tcp", "udp"]:
        """'tcp' or 'udp'."""
        return "tcp" if self.call.socket is None or self.call.socket.type == SOCK_STREAM else "udp"


class AddressInUse(Tracker):
    """Says what became of an EADDRINUSE."""

    needs = (SetUp, Bound, HostAnswers, Options)

    def of(self, socket: SocketFacts) -> Taken | None:
        """An address that this socket could not have, and that the process did not get later."""
        set_up = self.facts[SetUp].of(socket)
        failed = next(
            (
                call
                for call in (set_up.bind_failed, set_up.listen_failed)
                if call is not None and call.errno == errno.EADDRINUSE
            ),
            None,
        )
        if failed is None:
            return None
        asked = failed.address or socket.local
        if asked is None or asked.port == 0 or socket.type not in (SOCK_STREAM, SOCK_DGRAM):
            return None
        bound = self.facts[Bound]
        process, after_ns = failed.call.process, failed.end_ns
        if bound.taken_later(process, socket.type, asked.port, after_ns):
            return None
        return Taken(failed, asked, bound.moved_on(process, socket.type, asked.port, after_ns))

    def cause(self, found: Taken) -> tuple[Cause, list[HostSocket]] | None:
        """Why the address could not be had, as ``kernel.causes`` decides it, and the host's sockets that it is about.

        ``None``: the host's sockets were not looked up, or none of them is the reason.
        """
        call = found.call
        listed = self.facts[HostAnswers].sockets(call.call) or ()
        there = [(_holding(one, one.local), one) for one in listed if one.local is not None]
        option = self.facts[Options].call(call.socket, SOL_SOCKET, SO_REUSEADDR) if call.socket is not None else None
        reuse = option is not None and option.end_ns <= call.entry_ns and bool(option.option_number)
        asked = found.asked
        decided = taken(asked.host, asked.port, found.protocol, [one for one, _ in there], reuse_address=reuse)
        if decided is None:
            return None
        concerned = {id(one) for one in decided[1]}
        return decided[0], [socket for one, socket in there if id(one) in concerned]


def _holding(one: HostSocket, local: Address) -> Holding:
    return Holding(
        protocol=one.protocol[:3],
        host="" if local.wildcard else local.host,
        port=local.port,
        state=one.state_name,
        local=str(local),
        who=one.owner(),
    )
