"""A Unix datagram found no room and was given up."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.unix_refusals import UnixRefusals

__all__ = ["UnixDatagramNoRoom"]


class UnixDatagramNoRoom(Rule):
    """A Unix datagram found no room and was given up."""

    id = "unix-datagram-no-room"
    title = "Unix datagrams are lost: there was no room for them, and the program did not offer them again"
    covers = (150,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "Unix datagrams are never lost on the way: when the receiver's queue (net.unix.max_dgram_qlen datagrams) or "
        "its own send buffer is full, send waits, or fails with EAGAIN on a socket that does not block. A program "
        "that then goes on without the datagram has lost it."
    )
    symptoms = (
        "resource temporarily unavailable on unix socket",
        "log messages lost",
        "EAGAIN sendto /dev/log",
        "ENOBUFS",
    )
    proof = "A send failed with EAGAIN or ENOBUFS, and the same bytes were not offered again, nor was room waited for."
    fix = "Wait until the socket is writable and send again; read faster; raise net.unix.max_dgram_qlen before the receiver binds."
    disproof = "What was refused went another way."
    references = ("unix(7)", "send(2)")
    needs = (UnixRefusals,)
    given = UnixRefusals

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        found = facts[UnixRefusals].of(subject)
        if subject.ended_ns is not None or facts.final:
            found.ended()
        first = found.first
        if first is None:
            return
        name = errno.errorcode.get(first.errno or 0, "")
        number = "A datagram" if found.dropped == 1 else f"{found.dropped} datagrams"
        yield Evidence(
            self,
            first.end_ns,
            f"{number} found no room ({name}) at {first.address or subject.remote or 'the receiver'}, and the program went on "
            "without waiting or sending again.",
            [
                first.proof(),
                *([found.after.proof(f"{found.after.text()}: the next")] if found.after is not None else []),
            ],
            call=first.call,
            socket=subject.id,
            process=first.call.process,
        )
