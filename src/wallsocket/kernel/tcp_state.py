"""The states of a TCP socket: the kernel's numbers with their names."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["TcpState"]


class TcpState(IntEnum):
    """``include/net/tcp_states.h``; sock_diag, TCP_INFO and /proc/net/tcp number them so."""

    ESTABLISHED = 1
    SYN_SENT = 2
    SYN_RECV = 3
    FIN_WAIT1 = 4
    FIN_WAIT2 = 5
    TIME_WAIT = 6
    CLOSE = 7
    CLOSE_WAIT = 8
    LAST_ACK = 9
    LISTEN = 10
    CLOSING = 11
    NEW_SYN_RECV = 12
    BOUND_INACTIVE = 13
