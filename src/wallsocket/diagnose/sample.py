"""What a socket was at a moment, with the kernel's structures as types."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import lru_cache

import msgspec

from ..events import Moment, State
from ..kernel.names import tcp_state
from ..kernel.tcp_info import SocketMemory, TcpInfo
from .finding import Proof

__all__ = ["Sample"]


class Sample(msgspec.Struct, eq=False):
    """A row of ``state``: queues and state at once, the rest decoded when it is asked for."""

    row: State
    at_ns: int
    moment: int
    state: int | None  #: number of the TCP state; also of UDP (1 connected, 7 not)
    receive_queue: int | None  #: bytes to read; UDP: of the next datagram; listener: connections
    send_queue: int | None  #: bytes not acknowledged; listener: the backlog in force
    drops: int | None
    _info: TcpInfo | bool | None = False
    _memory: SocketMemory | bool | None = False

    @classmethod
    def of(cls, row: State) -> Sample:
        """The sample that a row holds."""
        return cls(row, row.at_ns, row.moment, row.state, row.receive_queue, row.send_queue, row.drops)

    @property
    def id(self) -> int:
        """Its row."""
        return self.row.id

    @property
    def call(self) -> int | None:
        """The call at whose entry or return it was taken."""
        return self.row.call

    @property
    def destroyed(self) -> bool:
        """Whether it is what the kernel said when the socket was gone."""
        return self.moment == Moment.DESTROYED

    @property
    def state_name(self) -> str:
        """The TCP state by name."""
        return tcp_state(self.state & 0xFF) if self.state else "state unknown"

    @property
    def info(self) -> TcpInfo | None:
        """TCP_INFO; ``None``: not TCP, or not asked."""
        found = self._info
        if found is False:
            raw = self.row.tcp_info
            found = self._info = TcpInfo.parse(raw) if raw else None
        return found  # type: ignore[return-value]

    def measure(self, field: str) -> int | None:
        """One field of TCP_INFO, without decoding all; ``None``: not TCP, not asked, or not known to its kernel."""
        raw = self.row.tcp_info
        return TcpInfo.field(raw, field) if raw else None

    @property
    def memory(self) -> SocketMemory | None:
        """SO_MEMINFO; ``None``: not asked."""
        found = self._memory
        if found is False:
            raw = self.row.memory
            found = self._memory = SocketMemory.parse(raw) if raw else None
        return found  # type: ignore[return-value]

    @property
    def options(self) -> Mapping[tuple[int, int], bytes]:
        """Options in force: (level, name) to the bytes of the value; empty when they were not read."""
        return _options(self.row.options or b"")

    def proof(self, text: str) -> Proof:
        """This sample as a proof row."""
        return Proof("kernel", "state", self.row.id, self.at_ns, f"kernel: {text}")


@lru_cache(1024)
def _options(raw: bytes) -> Mapping[tuple[int, int], bytes]:
    """Most sockets of a program have the same ones, and decoded they take ten times the room."""
    found = {}
    position = 0
    while position + 6 <= len(raw):
        level, name, length = struct.unpack_from("<HHH", raw, position)
        found[level, name] = raw[position + 6 : position + 6 + length]
        position += 6 + length
    return found
