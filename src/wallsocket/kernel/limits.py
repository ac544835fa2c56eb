"""Limits that socket programs meet: descriptors, ports, queues, buffers."""

from __future__ import annotations

import resource
from collections.abc import Callable

import msgspec

__all__ = ["Limits", "read"]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of a host, and of the calling process; ``None`` for what the kernel does not tell here.

    Attributes:
        open_files: descriptors that this process may have (soft RLIMIT_NOFILE).
        open_files_hard: up to which it may raise that itself.
        system_open_files: open files of the whole machine.
        system_open_files_limit: their limit.
        port_range: first and last port that the kernel chooses from.
        first_unprivileged_port: below it bind needs CAP_NET_BIND_SERVICE.
        accept_queue: upper limit of every backlog (net.core.somaxconn).
        half_open: half-open connections per listener before cookies (tcp_max_syn_backlog).
        reset_on_full_queue: whether a full accept queue answers with a reset (tcp_abort_on_overflow).
        receive_buffer_default: bytes (net.core.rmem_default), for UDP and others.
        receive_buffer_max: up to which SO_RCVBUF is granted, in bytes before doubling.
        send_buffer_default: bytes (net.core.wmem_default).
        send_buffer_max: up to which SO_SNDBUF is granted, in bytes before doubling.
        tcp_receive_buffer: smallest, first and largest receive buffer that TCP tunes between, in bytes.
        tcp_send_buffer: the same for sending.
        option_memory: bytes of options per socket (net.core.optmem_max); too many group memberships exceed it.
        syn_retries: SYNs that connect repeats before it times out.
        retries: retransmissions of data before a connection is given up (tcp_retries2).
        fin_timeout_s: seconds that an orphan stays in FIN_WAIT2.

    """

    open_files: int
    open_files_hard: int
    system_open_files: int | None
    system_open_files_limit: int | None
    port_range: tuple[int, int] | None
    first_unprivileged_port: int | None
    accept_queue: int | None
    half_open: int | None
    reset_on_full_queue: bool | None
    receive_buffer_default: int | None
    receive_buffer_max: int | None
    send_buffer_default: int | None
    send_buffer_max: int | None
    tcp_receive_buffer: tuple[int, int, int] | None
    tcp_send_buffer: tuple[int, int, int] | None
    option_memory: int | None
    syn_retries: int | None
    retries: int | None
    fin_timeout_s: int | None


def read(sysctl: Callable[[str], str | None]) -> Limits:
    """Gather the limits; ``sysctl`` returns the text of a setting, or ``None`` where it cannot be read."""

    def numbers(name: str) -> list[int]:
        text = sysctl(name)
        try:
            return [int(word) for word in (text or "").split()]
        except ValueError:
            return []

    def number(name: str) -> int | None:
        return next(iter(numbers(name)), None)

    def three(name: str) -> tuple[int, int, int] | None:
        found = numbers(name)
        return (found[0], found[1], found[2]) if len(found) == 3 else None

    files = numbers("fs.file-nr")
    ports = numbers("net.ipv4.ip_local_port_range")
    reset = number("net.ipv4.tcp_abort_on_overflow")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Limits(
        open_files=soft,
        open_files_hard=hard,
        system_open_files=files[0] if len(files) == 3 else None,
        system_open_files_limit=files[2] if len(files) == 3 else None,
        port_range=(ports[0], ports[1]) if len(ports) == 2 else None,
        first_unprivileged_port=number("net.ipv4.ip_unprivileged_port_start"),
        accept_queue=number("net.core.somaxconn"),
        half_open=number("net.ipv4.tcp_max_syn_backlog"),
        reset_on_full_queue=None if reset is None else bool(reset),
        receive_buffer_default=number("net.core.rmem_default"),
        receive_buffer_max=number("net.core.rmem_max"),
        send_buffer_default=number("net.core.wmem_default"),
        send_buffer_max=number("net.core.wmem_max"),
        tcp_receive_buffer=three("net.ipv4.tcp_rmem"),
        tcp_send_buffer=three("net.ipv4.tcp_wmem"),
        option_memory=number("net.core.optmem_max"),
        syn_retries=number("net.ipv4.tcp_syn_retries"),
        retries=number("net.ipv4.tcp_retries2"),
        fin_timeout_s=number("net.ipv4.tcp_fin_timeout"),
    )
