"""TEMPORARY stand-in until wallsocket.kernel lands."""

from __future__ import annotations
import errno as _e, socket as _s


def _name(prefix, n):
    for k in dir(_s):
        if k.startswith(prefix) and getattr(_s, k) == n and not k.startswith(("SOCK_NON", "SOCK_CLO")):
            return k
    return str(n)


def family(n: int) -> str:
    return _name("AF_", n)


def socket_type(n: int) -> str:
    return _name("SOCK_", n & 0xF)


def socket_type_flags(n: int) -> str:
    return str(n)


def protocol(f: int, n: int) -> str:
    return _name("IPPROTO_", n)


def error(n: int) -> str:
    return _e.errorcode.get(n, str(n))


def address(raw: bytes) -> str:
    f = int.from_bytes(raw[:2], "little")
    if f == 2:
        return f"{_s.inet_ntoa(raw[4:8])}:{int.from_bytes(raw[2:4], 'big')}"
    if f == 10:
        return f"[{_s.inet_ntop(10, raw[8:24])}]:{int.from_bytes(raw[2:4], 'big')}"
    return raw[2:].decode("latin-1")


def message_flags(n: int) -> str:
    return _name("MSG_", n)


def status_flags(n: int) -> str:
    return str(n)


def descriptor_flags(n: int) -> str:
    return str(n)


def shutdown(n: int) -> str:
    return _name("SHUT_", n)


def option(level: int, number: int, value: bytes | None) -> tuple[str, str | None]:
    return _name("SO_", number), None if value is None else str(int.from_bytes(value, "little"))


def level(n: int) -> str:
    return _name("SOL_", n)


def fcntl_command(n: int) -> str:
    return str(n)


def ioctl_request(n: int) -> str:
    return str(n)


def poll_events(n: int) -> str:
    return str(n)


def epoll_events(n: int) -> str:
    return str(n)


def epoll_operation(n: int) -> str:
    return str(n)


def control_messages(v: bytes) -> str:
    return v.hex()


def tcp_state(n: int) -> str:
    from .timeline import TcpState

    return TcpState(n).name
