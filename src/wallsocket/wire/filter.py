"""Packet filters in tcpdump's language, compiled by libpcap (pcap-filter(7)).

libpcap is loaded when the first filter is compiled; its grammar is not reimplemented here.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import re
from functools import lru_cache
from typing import Any

from .._core import wire as core
from ..errors import NotAvailable, UsageError

__all__ = ["Program", "compile_filter", "for_frames", "for_interfaces", "sees_tags"]

#: Instructions (operation, skip if true, skip if false, operand) as in ``struct sock_filter``.
Program = list[tuple[int, int, int, int]]

_LINK_ETHERNET = 1
_LINK_RAW = 101
#: Numbers of files (LINKTYPE) that pcap_open_dead() wants as another number (DLT); libpcap's pcap-common.c maps them.
_DLT = {101: 12, 14: 12, 100: 11, 102: 15, 103: 16, 106: 19, 246: 18}
#: Link types (LINKTYPE) that libpcap's compiler knows the headers of (gencode.c, init_linktype).
_WITH_HEADERS = (
    *(0, 1, 6, 7, 8, 9, 10, 12, 14, 50, 51, 99, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 113, 114),
    *(117, 119, 122, 123, 127, 129, 137, 138, 139, 140, 141, 149, 163, 166, 182, 192, 204, 206, 228, 229, 239, 240),
    *(246, 265, 276, 280, 281),
)
#: LINKTYPE_USER0, of which nothing is known: stands for every link type without headers.
_WITHOUT_HEADERS = 147


class _Instruction(ctypes.Structure):
    _fields_ = [("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint32)]


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_uint), ("instructions", ctypes.POINTER(_Instruction))]


@lru_cache(maxsize=1)
def _library() -> Any:
    for name in ("libpcap.so.0.8", "libpcap.so.1", ctypes.util.find_library("pcap")):
        if name is None:
            continue
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        library.pcap_open_dead.restype = ctypes.c_void_p
        library.pcap_open_dead.argtypes = [ctypes.c_int, ctypes.c_int]
        library.pcap_compile.argtypes = [
            ctypes.c_void_p,
            ctypes.POINTER(_Program),
            ctypes.c_char_p,
            ctypes.c_int,
            ctypes.c_uint32,
        ]
        library.pcap_geterr.restype = ctypes.c_char_p
        library.pcap_geterr.argtypes = [ctypes.c_void_p]
        library.pcap_freecode.argtypes = [ctypes.POINTER(_Program)]
        library.pcap_close.argtypes = [ctypes.c_void_p]
        return library
    raise NotAvailable("filters need libpcap, which is not installed (Debian and Ubuntu: apt install libpcap0.8)")


def compile_filter(text: str, link_type: int = _LINK_ETHERNET, snap_length: int = 262_144) -> Program:
    """Compile a filter for frames of one link type; a match returns ``snap_length``, the bytes to keep.

    Raises:
        UsageError: the text is no filter; with libpcap's reason.
        NotAvailable: libpcap is not installed.

    """
    library = _library()
    handle = library.pcap_open_dead(_DLT.get(link_type, link_type), snap_length)
    if not handle:
        raise MemoryError("pcap_open_dead")
    program = _Program()
    try:
        # PCAP_NETMASK_UNKNOWN: no broadcast test for IPv4, rather than a wrong one.
        if library.pcap_compile(handle, ctypes.byref(program), text.encode(), 1, 0xFFFFFFFF) != 0:
            reason = library.pcap_geterr(handle).decode(errors="replace")
            raise UsageError(f"filter {text!r}: {reason}")
        try:
            return [
                (one.code, one.jt, one.jf, one.k)
                for one in (program.instructions[index] for index in range(program.length))
            ]
        finally:
            library.pcap_freecode(ctypes.byref(program))
    finally:
        library.pcap_close(handle)


def _compile_for_bytes(text: str, link_type: int) -> Program:
    """Compile a filter that looks at nothing but the frame.

    Raises:
        UsageError: it asks for what the kernel tells beside a frame of a running capture (SKF_AD_OFF in linux/filter.h).

    """
    program = compile_filter(text, link_type)
    if any(code & 0x07 == 0 and code & 0xE0 == 0x20 and operand >= 0xFFFFF000 for code, _, _, operand in program):
        raise UsageError(f"filter {text!r}: asks for what the bytes of a frame do not say")
    return program


@lru_cache(maxsize=64)
def for_frames(text: str, link_type: int | None = None) -> core.Filter:
    """Compile a filter for frames of one link type, or of every one: each frame is judged by the program for its kind.

    Where several link types may come, frames of one that the filter makes no sense for do not match.

    Raises:
        UsageError: the text is no filter, or makes no sense for the link type.
        NotAvailable: libpcap is not installed.

    """
    if link_type is not None:
        return core.Filter({link_type: _compile_for_bytes(text, link_type)})
    programs: dict[int, Program] = {}
    other: Program | None = None
    refused: UsageError | None = None
    for number in (*_WITH_HEADERS, _WITHOUT_HEADERS):
        try:
            program = _compile_for_bytes(text, number)
        except UsageError as error:
            if refused is None or number == _LINK_ETHERNET:
                refused = error
            continue
        if number == _WITHOUT_HEADERS:
            other = program
        else:
            programs[number] = program
    if not programs and refused is not None:
        raise refused
    return core.Filter(programs, other)


def for_interfaces(text: str, snap_length: int = 262_144) -> Program:
    """Compile a filter that is right on every interface: with an Ethernet header, and without one (tunnels, TUN).

    The program first looks at the hardware type that the kernel gives with each frame.

    Raises:
        UsageError: the text is no filter.
        NotAvailable: libpcap is not installed.

    """
    ethernet = compile_filter(text, _LINK_ETHERNET, snap_length)
    try:
        raw = compile_filter(text, _LINK_RAW, snap_length)
    except UsageError:
        # A filter on the link layer ("ether host …", "arp") matches nothing where there is none.
        raw = [(0x06, 0, 0, 0)]
    load_hardware_type = (0x20, 0, 0, 0xFFFFF000 + 28)
    program: Program = [load_hardware_type]
    without_header = (512, 519, 768, 769, 776, 0xFFFE)
    for number, hardware_type in enumerate(without_header):
        # To the jump over the Ethernet program, which stands after the last of these tests and one plain jump.
        program.append((0x15, len(without_header) - number, 0, hardware_type))
    program.append((0x05, 0, 0, 1))
    program.append((0x05, 0, 0, len(ethernet)))
    return [*program, *ethernet, *raw]


def sees_tags(text: str) -> bool:
    """Whether a filter asks about VLAN tags, which the kernel takes out of frames before it runs filters."""
    return re.search(r"\bvlan\b", text) is not None
