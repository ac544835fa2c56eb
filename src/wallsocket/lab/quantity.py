"""Quantities as people write them: ``50ms``, ``5%``, ``10mbit``, ``64kB``."""

from __future__ import annotations

import re

from ..errors import UsageError

__all__ = ["bits_per_second", "count_of_bytes", "probability", "seconds"]

_NUMBER = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([a-zA-Zµμ%/]*)\s*")
#: More digits than these have no meaning in any quantity here, and Python refuses to read very many.
_DIGITS = 40
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9, "m": 60.0, "min": 60.0, "h": 3600.0}
_BITS = {"bit": 1.0, "kbit": 1e3, "mbit": 1e6, "gbit": 1e9}
#: Decimal prefixes as IEC 80000-13 has them, and the binary ones under their own names.
_BYTES = {"": 1, "b": 1, "kb": 1000, "mb": 1000**2, "gb": 1000**3, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}


def _parse(text: str, what: str, units: dict[str, float] | dict[str, int], example: str) -> float:
    match = _NUMBER.fullmatch(text)
    unit = match[2].lower() if match else ""
    if match is None or unit not in units:
        raise UsageError(f"{what} {text!r} is not understood; write it like {example}")
    if len(match[1]) > _DIGITS:
        raise UsageError(f"{what} is a number of more than {_DIGITS} digits")
    return float(match[1]) * units[unit]


def seconds(value: float | str, what: str = "duration") -> float:
    """A duration in seconds from a number of seconds or a text such as ``50ms``.

    Raises:
        UsageError: the text has no unit, an unknown one, or the duration is negative.

    """
    result = _parse(value, what, _SECONDS, "50ms or 2s") if isinstance(value, str) else float(value)
    if not 0 <= result < 1e6:
        raise UsageError(f"{what} {value!r} is not a duration of 0 s to 1,000,000 s")
    return result


def bits_per_second(value: float | str, what: str = "rate") -> float:
    """A rate in bits a second from a number of them or a text such as ``10mbit`` (also ``10Mbit/s``).

    Raises:
        UsageError: the text has no unit, an unknown one, or the rate is not positive.

    """
    if isinstance(value, str):
        result = _parse(value.removesuffix("/s").removesuffix("ps"), what, _BITS, "10mbit")
    else:
        result = float(value)
    if not 1 <= result < 1e12:
        raise UsageError(f"{what} {value!r} is not a rate of 1 bit/s to 1 Tbit/s")
    return result


def probability(value: float | str, what: str = "probability") -> float:
    """A probability from a fraction of one (``0.05``) or a text such as ``5%``.

    Raises:
        UsageError: it is not within 0 and 1 (0 % and 100 %).

    """
    if isinstance(value, str):
        result = _parse(value, what, {"%": 0.01, "": 1.0}, "5% or 0.05")
    else:
        result = float(value)
    if not 0 <= result <= 1:
        raise UsageError(f"{what} {value!r} is not between 0 and 1 (0% and 100%)")
    return result


def count_of_bytes(value: int | str, what: str = "size") -> int:
    """A number of bytes from an integer or a text such as ``64kB`` or ``64KiB``.

    Raises:
        UsageError: the text has an unknown unit, or the size is negative.

    """
    result = round(_parse(value, what, _BYTES, "64kB")) if isinstance(value, str) else int(value)
    if result < 0:
        raise UsageError(f"{what} {value!r} is negative")
    return result
