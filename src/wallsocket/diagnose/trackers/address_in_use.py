"""Binds and listens that failed because somebody has the address."""

from __future__ import annotations

import errno
from typing import NamedTuple

from ..address import Address
from ..call import CallFacts
from ..subjects import SocketFacts
from ..tracker import Tracker
from ..vocabulary import SOCK_DGRAM, SOCK_STREAM
from .bound import Bound
from .set_up import SetUp

__all__ = ["AddressInUse", "Taken"]


class Taken(NamedTuple):
    """An address that could not be had."""

    call: CallFacts  #: the bind or listen that failed
    asked: Address
    moved_on: bool  #: the process took another port instead

    @property
    def protocol(self) -> str:
        """'tcp' or 'udp'."""
        return "tcp" if self.call.socket is None or self.call.socket.type == SOCK_STREAM else "udp"


class AddressInUse(Tracker):
    """Says what became of an EADDRINUSE."""

    needs = (SetUp, Bound)

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
