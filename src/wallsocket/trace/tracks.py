"""What one socket did and was.

States come from three sources, and a :class:`Transition` says which: the kernel reported it, or it follows from a call
or from a segment by the graph of RFC 9293, figure 5 (inferred).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from ..events import Call, Socket
from ..kernel.tcp_state import TcpState

__all__ = ["Track", "Transition"]

#: Transitions kept per socket; a real one has at most a dozen.
_MAX_TRANSITIONS: Final = 1000


class Transition(NamedTuple):
    """A socket entered a state."""

    at_ns: int
    state: TcpState
    how: Literal["kernel", "call", "wire"]
    call: int | None
    packet: int | None

    @property
    def inferred(self) -> bool:
        """Whether nobody reported it: it follows from a call or a segment."""
        return self.how != "kernel"


@dataclass(slots=True)
class Track:
    """What one socket did and was."""

    socket: Socket
    tcp: bool
    path: list[Transition] = field(default_factory=list)
    confirmed: int = 0  #: a bit for each index in ``path`` that the kernel later reported too
    calls: int = 0
    sent: int = 0
    received: int = 0
    messages_sent: int = 0
    messages_received: int = 0
    accepted: int = 0
    connected: bool = False
    listening: bool = False
    backlog: int | None = None
    failed: Call | None = None  #: the last call that failed for good (not EAGAIN, EINPROGRESS, EINTR)
    refused: Call | None = None  #: the first call that failed and only asked or set something, such as setsockopt
    connecting: Call | None = None  #: a connect that returned before it was done (EINPROGRESS)
    pending_error: int | None = None  #: error number that SO_ERROR told
    waiting: Call | None = None  #: a call that never returned
    peer_ended: bool = False  #: a receive returned 0, or a FIN came in
    write_ended: bool = False  #: shutdown for writing
    closed: bool = False  #: the program closed its last descriptor
    unread: int | None = None  #: bytes in the receive queue when it was closed
    reset_sent: bool = False
    reset_received: bool = False
    died: bool = False  #: the kernel reported it closed though this side had ended nothing
    receive_queue: int | None = None  #: the last one known
    send_queue: int | None = None
    drops: int | None = None
    last_ns: int = 0

    @property
    def state(self) -> TcpState | None:
        """The last state, ``None`` when unknown."""
        return self.path[-1].state if self.path else None

    @property
    def may_try(self) -> bool:
        """Whether an attempt to connect begins: an answer can be there before the call that asked has returned."""
        return self.state in (None, TcpState.CLOSE) and not self.has_been(TcpState.SYN_SENT)

    def has_been(self, state: TcpState) -> bool:
        """Whether the state is on the path."""
        return any(step.state is state for step in self.path)

    def enter(
        self,
        state: TcpState,
        at_ns: int,
        how: Literal["kernel", "call", "wire"],
        *,
        call: int | None = None,
        packet: int | None = None,
    ) -> Transition | None:
        """Note a state; returns the transition when it is a new one."""
        if self.path and self.path[-1].state == state:
            if how == "kernel":
                self.confirmed |= 1 << (len(self.path) - 1)
            return None
        if len(self.path) >= _MAX_TRANSITIONS:
            return None
        transition = Transition(at_ns, state, how, call, packet)
        self.path.append(transition)
        return transition

    def is_inferred(self, index: int) -> bool:
        """Whether the state at this index of the path was never reported by the kernel."""
        return self.path[index].inferred and not self.confirmed >> index & 1
