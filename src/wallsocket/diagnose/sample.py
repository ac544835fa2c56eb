"""What a socket was at a moment, with the kernel's structures as types."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from ..events import Moment, State
from ..kernel.names import tcp_state
from ..kernel.tcp_info import SocketMemory, TcpInfo
from .finding import Proof

__all__ = ["Sample"]


class Sample:
    """A row of ``state``: queues and state at once, the rest decoded when it is asked for."""

    __slots__ = (
        "_info",
        "_memory",
        "_options",
        "at_ns",
        "drops",
        "moment",
        "receive_queue",
        "row",
        "send_queue",
        "state",
    )

    def __init__(self, row: State) -> None:
        self.row = row
        self.at_ns = row.at_ns
        self.moment = row.moment
        self.state = row.state  #: number of the TCP state; also of UDP (1 connected, 7 not)
        self.receive_queue = row.receive_queue  #: bytes to read; UDP: of the next datagram; listener: connections
        self.send_queue = row.send_queue  #: bytes not acknowledged; listener: the backlog in force
        self.drops = row.drops
        self._info: TcpInfo | bool | None = False
        self._memory: SocketMemory | bool | None = False
        self._options: dict[tuple[int, int], bytes] | None = None

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
    def options(self) -> dict[tuple[int, int], bytes]:
        """Options in force: (level, name) to the bytes of the value; empty when they were not read."""
        if self._options is None:
            self._options = dict(_options(self.row.options or b""))
        return self._options

    def proof(self, text: str) -> Proof:
        """This sample as a proof row."""
        return Proof("kernel", "state", self.row.id, self.at_ns, f"kernel: {text}")


def _options(raw: bytes) -> Iterator[tuple[tuple[int, int], bytes]]:
    position = 0
    while position + 6 <= len(raw):
        level, name, length = struct.unpack_from("<HHH", raw, position)
        yield (level, name), raw[position + 6 : position + 6 + length]
        position += 6 + length
