"""What segments make of the states of the sockets that send and receive them (RFC 9293, figure 5)."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Final

from ..kernel.tcp_state import TcpState
from .conversations import Conversation, Row
from .tracks import Track
from .wire import ACK, FIN, RST, SYN, Segment

__all__ = ["Driving"]

_SEQUENCE_MASK: Final = 0xFFFFFFFF


class Driving:
    """Follows the segments of TCP conversations.

    Args:
        tracks: of the sockets; their states change.
        half_seen: numbers of conversations with an end of which no call was seen: what it did is told by segments.
    """

    def __init__(self, tracks: Mapping[int, Track], half_seen: Container[int]) -> None:
        self._tracks = tracks
        self._half_seen = half_seen
        #: Behind the last byte of a side that has ended its stream.
        self._ends: dict[tuple[int, int], int] = {}

    def concerns(self, conversation: Conversation, side: int, segment: Segment) -> bool:
        """Whether a segment can change a state at all."""
        return (
            bool(segment.flags & (RST | SYN | FIN))
            or conversation.number in self._half_seen
            or (conversation.number, 1 - side) in self._ends
        )

    def send(self, conversation: Conversation, side: int, segment: Segment, row: Row) -> None:
        """What a segment that side ``side`` sent makes of its sender."""
        flags, at_ns = segment.flags, segment.at_ns
        sender = self.track(conversation, side)
        if flags & FIN and not flags & (RST | SYN):
            self._ends[conversation.number, side] = (segment.sequence + segment.length + 1) & _SEQUENCE_MASK
        if sender is None:
            return
        if flags & RST:
            sender.reset_sent = True
            if sender.path:
                self._wire(row, sender, side, TcpState.CLOSE, segment, at_ns)
        elif flags & SYN:
            if not flags & ACK and sender.may_try:
                self._wire(row, sender, side, TcpState.SYN_SENT, segment, at_ns)
            elif flags & ACK and sender.socket.inferred and sender.state is None:
                self._wire(row, sender, side, TcpState.SYN_RECV, segment, at_ns)
        elif flags & FIN:
            after = {TcpState.ESTABLISHED: TcpState.FIN_WAIT1, TcpState.CLOSE_WAIT: TcpState.LAST_ACK}.get(
                sender.state or TcpState.CLOSE
            )
            if after is not None:
                self._wire(row, sender, side, after, segment, at_ns)

    def may_drive(self, conversation: Conversation, side: int, segment: Segment, receiver: Track) -> bool:
        """Whether an acknowledgement may change the state of who gets it, at side ``side``."""
        return bool(segment.flags & ACK) and (
            (receiver.socket.inferred and receiver.state is TcpState.SYN_RECV)
            or self._acknowledges_end(conversation, side, segment)
        )

    def arrive(self, conversation: Conversation, side: int, segment: Segment, row: Row, at_ns: int) -> None:
        """What a segment that side ``side`` sent makes of its receiver when it is there."""
        flags = segment.flags
        receiver = self.track(conversation, 1 - side)
        if receiver is None:
            return
        if flags & RST:
            receiver.reset_received = True
            if receiver.path:
                self._wire(row, receiver, 1 - side, TcpState.CLOSE, segment, at_ns)
            return
        if flags & SYN:
            if flags & ACK and receiver.state is TcpState.SYN_SENT:
                self._wire(row, receiver, 1 - side, TcpState.ESTABLISHED, segment, at_ns)
            return
        if flags & ACK and receiver.socket.inferred and receiver.state is TcpState.SYN_RECV:
            self._wire(row, receiver, 1 - side, TcpState.ESTABLISHED, segment, at_ns)
        if flags & ACK and self._acknowledges_end(conversation, 1 - side, segment):
            after = {
                TcpState.FIN_WAIT1: TcpState.FIN_WAIT2,
                TcpState.CLOSING: TcpState.TIME_WAIT,
                TcpState.LAST_ACK: TcpState.CLOSE,
            }.get(receiver.state or TcpState.CLOSE)
            if after is not None:
                self._wire(row, receiver, 1 - side, after, segment, at_ns)
        if flags & FIN:
            receiver.peer_ended = True
            after = {
                TcpState.ESTABLISHED: TcpState.CLOSE_WAIT,
                TcpState.FIN_WAIT1: TcpState.CLOSING,
                TcpState.FIN_WAIT2: TcpState.TIME_WAIT,
            }.get(receiver.state or TcpState.CLOSE)
            if after is not None:
                self._wire(row, receiver, 1 - side, after, segment, at_ns)

    def _acknowledges_end(self, conversation: Conversation, side: int, segment: Segment) -> bool:
        end = self._ends.get((conversation.number, side))
        return end is not None and _signed(segment.acknowledgement - end) >= 0

    def track(self, conversation: Conversation, side: int) -> Track | None:
        """The TCP socket at one side."""
        socket = conversation.socket_of(side)
        track = self._tracks.get(socket) if socket is not None else None
        return track if track is not None and track.tcp else None

    @staticmethod
    def _wire(row: Row, track: Track, side: int, state: TcpState, segment: Segment, at_ns: int) -> None:
        transition = track.enter(state, at_ns, "wire", packet=segment.packet)
        if transition is not None:
            row.transitions += ((side, transition),)


def _signed(difference: int) -> int:
    """A difference of sequence numbers, which count modulo 2**32, as the nearer of its two meanings."""
    return ((difference + (1 << 31)) & _SEQUENCE_MASK) - (1 << 31)
