"""Landlock in a few lines (landlock(7)): this process may bind one TCP port."""

import ctypes
import os
import struct

_libc = ctypes.CDLL(None, use_errno=True)


def _call(number: int, *arguments: object) -> int:
    result = _libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(result)


def allow_bind(port: int) -> None:
    """Forbid to bind every TCP port but this one."""
    rules = struct.pack("=QQ", 0, 1)  # LANDLOCK_ACCESS_NET_BIND_TCP
    ruleset = _call(444, rules, ctypes.c_size_t(len(rules)), ctypes.c_uint32(0))
    _call(445, ctypes.c_int(ruleset), ctypes.c_int(2), struct.pack("=QQ", 1, port), ctypes.c_uint32(0))
    _libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    _call(446, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    os.close(ruleset)
