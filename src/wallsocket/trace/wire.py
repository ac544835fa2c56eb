"""TEMPORARY"""

from __future__ import annotations
from ..events import Packet
from .timeline import Segment


def segment(packet: Packet) -> Segment | None:
    return None


def summary(packet: Packet) -> str:
    return ""


def decoded(packet: Packet) -> object:
    return None
