"""``TCP_INFO`` and ``SO_MEMINFO``: what the kernel knows of one socket."""

from __future__ import annotations

import socket

import msgspec

from .._core import kernel as _core
from .tcp_state import TcpState

__all__ = ["SocketMemory", "TcpInfo"]

#: Longer than the struct of any kernel; the kernel returns as much as it has.
_ROOM = 512

#: ``SO_MEMINFO`` (asm-generic/socket.h), which Python's socket module does not name.
_SO_MEMINFO = 55


class TcpInfo(msgspec.Struct, frozen=True, kw_only=True):
    """``struct tcp_info`` (linux/tcp.h); fields that this kernel does not have are ``None``.

    Attributes:
        state: state of the connection, numbered as in net/tcp_states.h.
        congestion_state: what the congestion control makes of the last round: open, disorder, CWR, recovery or loss.
        retransmits: retransmissions of the oldest unacknowledged segment, in a row and by timer.
        probes: unanswered probes: of a zero window or of keepalive.
        backoff: how often the retransmission or probe timer was doubled.
        options: options agreed in the handshake, as bits.
        send_window_scale: shift that the peer's advertised windows get.
        receive_window_scale: shift that the windows we advertise get.
        delivery_rate_app_limited: 1 when the program, not the network, limited the measured delivery rate.
        fastopen_client_fail: why Fast Open did not work for this client, 0 when it did or was not tried.
        rto_us: retransmission timeout in microseconds.
        ato_us: delayed-acknowledgement timeout in microseconds.
        send_mss: largest segment we send, in bytes.
        receive_mss: largest segment seen from the peer, in bytes, as estimated for delayed acknowledgements.
        unacked_segments: segments sent and not acknowledged; of a listener the connections waiting for accept().
        sacked_segments: segments acknowledged selectively; of a listener the limit of its accept queue.
        lost_segments: segments taken for lost and not yet acknowledged.
        retransmitted_segments: segments retransmitted and not yet acknowledged.
        fackets: no longer kept by the kernel.
        last_data_sent_ms: milliseconds since data was last sent.
        last_ack_sent_ms: not remembered by the kernel: always 0.
        last_data_received_ms: milliseconds since data last arrived.
        last_ack_received_ms: milliseconds since an acknowledgement last arrived.
        path_mtu: largest packet the path is believed to carry, in bytes.
        receive_slow_start_threshold: up to here the advertised window may grow, in bytes.
        rtt_us: smoothed round-trip time in microseconds.
        rtt_variance_us: mean deviation of the round-trip time in microseconds.
        send_slow_start_threshold: slow-start threshold in segments; 2147483647 while unset.
        congestion_window: congestion window in segments.
        advertised_mss: segment size that we advertise, in bytes.
        reordering: segments the path may reorder before a loss is assumed.
        receive_rtt_us: round-trip time estimated by the receiver, in microseconds.
        receive_space: bytes the program read per round trip, by which the receive buffer grows.
        total_retransmitted_segments: segments retransmitted in the whole life of the connection.
        pacing_rate: rate at which segments are paced out, in bytes per second.
        max_pacing_rate: upper limit of pacing in bytes per second; all ones means none.
        bytes_acked: bytes that the peer acknowledged.
        bytes_received: bytes that arrived in order.
        segments_out: segments sent, acknowledgements and retransmissions included.
        segments_in: segments received.
        not_sent_bytes: bytes in the send queue that were never sent.
        min_rtt_us: shortest round-trip time seen lately, in microseconds.
        data_segments_in: segments with data received.
        data_segments_out: segments with data sent.
        delivery_rate: most recent rate of delivery in bytes per second.
        busy_time_us: microseconds with data waiting to be sent or acknowledged.
        receive_window_limited_us: microseconds in which the peer's receive window held us back.
        send_buffer_limited_us: microseconds in which our send buffer held us back.
        delivered: segments delivered, out of order ones included.
        delivered_ce: segments delivered with a congestion mark.
        bytes_sent: data bytes sent, retransmissions included.
        bytes_retransmitted: data bytes retransmitted.
        dsack_duplicates: duplicates that the peer reported: retransmissions that were not needed.
        reorder_seen: times that reordering was noticed.
        out_of_order_packets: segments that arrived out of order.
        send_window: the peer's receive window in bytes, scaled.
        receive_window: the window we offer in bytes, scaled (since Linux 6.2).
        rehash: times the flow's hash changed to try another path (since Linux 6.2).
        total_rto: retransmission timeouts in the whole life (since Linux 6.7).
        total_rto_recoveries: timeouts in a row that ended in recovery (since Linux 6.7).
        total_rto_time_ms: milliseconds spent in timeout recovery (since Linux 6.7).
        received_ce: congestion marks received (AccECN, since Linux 6.18).
        delivered_e1_bytes: bytes delivered with ECT(1) (AccECN, since Linux 6.18).
        delivered_e0_bytes: bytes delivered with ECT(0) (AccECN, since Linux 6.18).
        delivered_ce_bytes: bytes delivered with CE (AccECN, since Linux 6.18).
        received_e1_bytes: bytes received with ECT(1) (AccECN, since Linux 6.18).
        received_e0_bytes: bytes received with ECT(0) (AccECN, since Linux 6.18).
        received_ce_bytes: bytes received with CE (AccECN, since Linux 6.18).
        accecn_fail_mode: how the negotiation of AccECN failed, as bits (since Linux 6.18).
        accecn_option_seen: whether the AccECN option was seen (since Linux 6.18).

    """

    state: int
    congestion_state: int | None = None
    retransmits: int | None = None
    probes: int | None = None
    backoff: int | None = None
    options: int | None = None
    send_window_scale: int | None = None
    receive_window_scale: int | None = None
    delivery_rate_app_limited: int | None = None
    fastopen_client_fail: int | None = None
    rto_us: int | None = None
    ato_us: int | None = None
    send_mss: int | None = None
    receive_mss: int | None = None
    unacked_segments: int | None = None
    sacked_segments: int | None = None
    lost_segments: int | None = None
    retransmitted_segments: int | None = None
    fackets: int | None = None
    last_data_sent_ms: int | None = None
    last_ack_sent_ms: int | None = None
    last_data_received_ms: int | None = None
    last_ack_received_ms: int | None = None
    path_mtu: int | None = None
    receive_slow_start_threshold: int | None = None
    rtt_us: int | None = None
    rtt_variance_us: int | None = None
    send_slow_start_threshold: int | None = None
    congestion_window: int | None = None
    advertised_mss: int | None = None
    reordering: int | None = None
    receive_rtt_us: int | None = None
    receive_space: int | None = None
    total_retransmitted_segments: int | None = None
    pacing_rate: int | None = None
    max_pacing_rate: int | None = None
    bytes_acked: int | None = None
    bytes_received: int | None = None
    segments_out: int | None = None
    segments_in: int | None = None
    not_sent_bytes: int | None = None
    min_rtt_us: int | None = None
    data_segments_in: int | None = None
    data_segments_out: int | None = None
    delivery_rate: int | None = None
    busy_time_us: int | None = None
    receive_window_limited_us: int | None = None
    send_buffer_limited_us: int | None = None
    delivered: int | None = None
    delivered_ce: int | None = None
    bytes_sent: int | None = None
    bytes_retransmitted: int | None = None
    dsack_duplicates: int | None = None
    reorder_seen: int | None = None
    out_of_order_packets: int | None = None
    send_window: int | None = None
    receive_window: int | None = None
    rehash: int | None = None
    total_rto: int | None = None
    total_rto_recoveries: int | None = None
    total_rto_time_ms: int | None = None
    received_ce: int | None = None
    delivered_e1_bytes: int | None = None
    delivered_e0_bytes: int | None = None
    delivered_ce_bytes: int | None = None
    received_e1_bytes: int | None = None
    received_e0_bytes: int | None = None
    received_ce_bytes: int | None = None
    accecn_fail_mode: int | None = None
    accecn_option_seen: int | None = None

    @classmethod
    def of(cls, sock: socket.socket) -> TcpInfo:
        """Ask the kernel about a TCP socket.

        Raises:
            OSError: EOPNOTSUPP or ENOPROTOOPT when it is no TCP socket.

        """
        return cls.parse(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ROOM))

    @classmethod
    def parse(cls, data: bytes) -> TcpInfo:
        """Take the bytes that the kernel returned, of whatever length.

        Raises:
            ValueError: there is not one byte.

        """
        return cls(**_core.tcp_info(data))

    @staticmethod
    def field(data: bytes, name: str) -> int | None:
        """One field of the bytes that the kernel returned, without the others; ``None``: they do not reach so far.

        Raises:
            ValueError: there is no such field.

        """
        return _core.tcp_info_field(data, name)

    @property
    def state_name(self) -> str:
        """The state by name; a socket in TIME_WAIT is no longer the program's and reads ``CLOSE``."""
        return _core.tcp_state(self.state)

    @property
    def options_text(self) -> str:
        """The options agreed in the handshake, by name."""
        return _core.tcp_info_options(self.options or 0)

    @property
    def accept_queue(self) -> int | None:
        """Of a listener: connections that wait for ``accept()``; else ``None``."""
        return self.unacked_segments if self.state == TcpState.LISTEN else None

    @property
    def backlog(self) -> int | None:
        """Of a listener: the limit of the accept queue in force; else ``None``. One more than that may wait."""
        return self.sacked_segments if self.state == TcpState.LISTEN else None


class SocketMemory(msgspec.Struct, frozen=True, kw_only=True):
    """``SO_MEMINFO``: memory of one socket in bytes, and its drops; ``None`` for what this kernel does not tell.

    Attributes:
        receive_allocated: charged to the receive queue, with the kernel's overhead per packet.
        receive_buffer: limit of the receive queue (``SO_RCVBUF`` in force).
        send_allocated: packets on their way out.
        send_buffer: limit of the send queue (``SO_SNDBUF`` in force).
        forward_allocated: set aside for packets to come.
        send_queued: queued for sending, overhead included.
        option_memory: options and control messages.
        backlog: arrived while a program held the socket.
        drops: packets dropped at this socket for want of room or for a bad checksum.

    """

    receive_allocated: int | None = None
    receive_buffer: int | None = None
    send_allocated: int | None = None
    send_buffer: int | None = None
    forward_allocated: int | None = None
    send_queued: int | None = None
    option_memory: int | None = None
    backlog: int | None = None
    drops: int | None = None

    @classmethod
    def of(cls, sock: socket.socket) -> SocketMemory:
        """Ask the kernel about any socket."""
        return cls.parse(sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 64))

    @classmethod
    def parse(cls, data: bytes) -> SocketMemory:
        """Take the bytes that the kernel returned, of whatever length."""
        return cls(**_core.socket_memory(data))
