"""Numbers that rules use: flags, options, states, sets of calls.

Source: ``include/uapi`` of Linux; states and calls stand elsewhere and have short names here.
"""

from __future__ import annotations

from typing import Final

from ..kernel.tcp_state import TcpState
from ..trace.syscalls import ACCEPTS, CONNECTS, EPOLL_WAITS, READS, WRITES
from ..trace.syscalls import POLLS as POLL_CALLS

__all__ = [
    "ACCEPTS",
    "AF_INET",
    "AF_INET6",
    "AF_PACKET",
    "AF_UNIX",
    "CLOSE",
    "CLOSE_WAIT",
    "CLOSING",
    "CONNECTS",
    "EPOLLET",
    "EPOLLONESHOT",
    "EPOLLOUT",
    "EPOLL_WAITS",
    "ESTABLISHED",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "INTERRUPTED",
    "IPPROTO_ICMP",
    "IPPROTO_ICMPV6",
    "IPPROTO_IP",
    "IPPROTO_IPV6",
    "IPPROTO_TCP",
    "IPPROTO_UDP",
    "IPV6_MTU_DISCOVER",
    "IPV6_V6ONLY",
    "IP_MTU_DISCOVER",
    "IP_MULTICAST_ALL",
    "IP_MULTICAST_IF",
    "IP_MULTICAST_LOOP",
    "IP_MULTICAST_TTL",
    "IP_PKTINFO",
    "IP_RECVERR",
    "IP_TTL",
    "LAST_ACK",
    "LISTEN",
    "MSG_DONTWAIT",
    "MSG_ERRQUEUE",
    "MSG_PEEK",
    "MSG_TRUNC",
    "MSG_WAITALL",
    "POLLERR",
    "POLLHUP",
    "POLLIN",
    "POLLOUT",
    "POLLRDHUP",
    "POLL_CALLS",
    "READS",
    "SOCK_DGRAM",
    "SOCK_RAW",
    "SOCK_SEQPACKET",
    "SOCK_STREAM",
    "SOL_SOCKET",
    "SO_ATTACH_FILTER",
    "SO_BINDTODEVICE",
    "SO_BROADCAST",
    "SO_ERROR",
    "SO_KEEPALIVE",
    "SO_LINGER",
    "SO_RCVBUF",
    "SO_RCVTIMEO",
    "SO_REUSEADDR",
    "SO_REUSEPORT",
    "SO_SNDBUF",
    "SO_SNDTIMEO",
    "SYN_SENT",
    "TCP_CORK",
    "TCP_NODELAY",
    "TIME_WAIT",
    "WRITES",
]

AF_UNIX: Final = 1
AF_INET: Final = 2
AF_INET6: Final = 10
SOCK_STREAM: Final = 1
SOCK_DGRAM: Final = 2
SOL_SOCKET: Final = 1
SO_REUSEADDR: Final = 2
SO_ERROR: Final = 4
SO_KEEPALIVE: Final = 9
SO_LINGER: Final = 13
SO_REUSEPORT: Final = 15
SO_RCVTIMEO: Final = 20
SO_SNDTIMEO: Final = 21
SO_BINDTODEVICE: Final = 25
SO_ATTACH_FILTER: Final = 26
IPPROTO_TCP: Final = 6
IPPROTO_UDP: Final = 17
IPPROTO_IPV6: Final = 41
IPV6_V6ONLY: Final = 26
TCP_NODELAY: Final = 1
TCP_CORK: Final = 3
MSG_PEEK: Final = 0x2
MSG_TRUNC: Final = 0x20
MSG_WAITALL: Final = 0x100
#: What a call that a signal interrupted returns, and what a tracer sees in its place before the handler has run:
#: EINTR, ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND, ERESTART_RESTARTBLOCK (include/linux/errno.h).
INTERRUPTED: Final = frozenset({4, 512, 513, 514, 516})
POLLIN: Final = 0x1
POLLOUT: Final = 0x4
POLLERR: Final = 0x8
POLLHUP: Final = 0x10
POLLRDHUP: Final = 0x2000
EPOLLOUT: Final = 0x4
EPOLLET: Final = 1 << 31
EPOLLONESHOT: Final = 1 << 30
ESTABLISHED: Final = TcpState.ESTABLISHED.value
SYN_SENT: Final = TcpState.SYN_SENT.value
FIN_WAIT1: Final = TcpState.FIN_WAIT1.value
FIN_WAIT2: Final = TcpState.FIN_WAIT2.value
TIME_WAIT: Final = TcpState.TIME_WAIT.value
CLOSE: Final = TcpState.CLOSE.value
CLOSE_WAIT: Final = TcpState.CLOSE_WAIT.value
LAST_ACK: Final = TcpState.LAST_ACK.value
LISTEN: Final = TcpState.LISTEN.value
CLOSING: Final = TcpState.CLOSING.value
AF_PACKET: Final = 17
SOCK_RAW: Final = 3
SOCK_SEQPACKET: Final = 5
IPPROTO_IP: Final = 0
IPPROTO_ICMP: Final = 1
IPPROTO_ICMPV6: Final = 58
SO_BROADCAST: Final = 6
SO_RCVBUF: Final = 8
SO_SNDBUF: Final = 7
IP_MTU_DISCOVER: Final = 10
IP_RECVERR: Final = 11
IPV6_MTU_DISCOVER: Final = 23
IP_MULTICAST_IF: Final = 32
IP_MULTICAST_TTL: Final = 33
IP_MULTICAST_LOOP: Final = 34
IP_MULTICAST_ALL: Final = 49
IP_TTL: Final = 2
IP_PKTINFO: Final = 8
MSG_ERRQUEUE: Final = 0x2000
MSG_DONTWAIT: Final = 0x40
