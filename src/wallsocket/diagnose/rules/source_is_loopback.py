"""The own address is the loopback, the destination is elsewhere."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import Destination
from ..trackers.unreached import Unreached

__all__ = ["SourceIsLoopback"]


class SourceIsLoopback(Rule):
    """connect or send fails with EINVAL from a socket bound to 127.0.0.1."""

    id = "source-is-loopback"
    title = "the socket is bound to the loopback: nothing outside can be reached from it"
    covers = (136,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "An address of 127.0.0.0/8 never leaves the host, so a socket that is bound to one cannot send to another "
        "host: the kernel finds no route for that pair and gives EINVAL."
    )
    symptoms = ("invalid argument", "EINVAL", "[Errno 22]", "connect: invalid argument", "source address 127.0.0.1")
    proof = (
        "The socket was bound to an address of the loopback, and connect or send to another address failed with EINVAL."
    )
    fix = "Do not bind before connect (the kernel chooses the address), or bind the address of the interface that leads there."
    disproof = "The same connect fails without the bind."
    references = ("bind(2)", "ip(7)", "RFC 1122 3.2.1.3")
    subject = "destination"
    needs = (Unreached,)
    effects = ("failed-call-ignored",)

    def judge(self, facts: Facts, subject: Destination) -> Iterator[Judgement]:
        if subject.where.loopback or subject.where.wildcard:
            return
        errors = (errno.EINVAL, errno.ENETUNREACH, errno.EHOSTUNREACH) if ":" in subject.where.host else (errno.EINVAL,)
        for failure in facts[Unreached].of(subject, *errors):
            bind = failure.bind
            own = bind.address if bind is not None else None
            if bind is None or own is None or not own.loopback:
                continue
            yield Evidence(
                self,
                failure.at_ns,
                f"The socket is bound to {own.host}, which never leaves this host; {subject.where} is elsewhere.",
                [bind.proof(), failure.seen.proof(failure.how_seen())],
                call=bind.call,
                socket=failure.socket.id,
                process=failure.process,
                calls=failure.calls,
                count=failure.count,
            )
