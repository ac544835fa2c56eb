"""Names of the kernel's numbers: families, flags, errors, states, requests.

A number without a name is shown as a number, a bit without one in hex: ``MSG_DONTWAIT|0x80000000``.
"""

from __future__ import annotations

from .._core.kernel import (
    control_message,
    control_messages,
    control_type,
    descriptor_flags,
    epoll_create_flags,
    epoll_events,
    epoll_operation,
    error,
    error_origin,
    escape,
    family,
    fcntl_command,
    interface_flags,
    ioctl_request,
    level,
    message_flags,
    neighbour_states,
    option,
    poll_events,
    protocol,
    route_origin,
    route_type,
    scope,
    shutdown,
    socket_type,
    socket_type_flags,
    status_flags,
    tcp_info_options,
    tcp_state,
    timer,
)

__all__ = [
    "address",
    "control_message",
    "control_messages",
    "control_type",
    "descriptor_flags",
    "epoll_create_flags",
    "epoll_events",
    "epoll_operation",
    "error",
    "error_origin",
    "escape",
    "family",
    "fcntl_command",
    "interface_flags",
    "ioctl_request",
    "level",
    "message_flags",
    "neighbour_states",
    "option",
    "poll_events",
    "protocol",
    "route_origin",
    "route_type",
    "scope",
    "shutdown",
    "socket_type",
    "socket_type_flags",
    "status_flags",
    "tcp_info_options",
    "tcp_state",
    "timer",
]


def address(sockaddr: bytes) -> str:
    """Return the text of a raw ``struct sockaddr``: ``127.0.0.1:80``, ``unix:@name``; any bytes have one."""
    from .._core.kernel import Address

    return str(Address.decode(sockaddr))
