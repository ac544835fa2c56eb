"""Options that come one call too late."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.late_reuse import LateReuse
from ..trackers.options import Options
from ..trackers.set_up import SetUp
from ..vocabulary import SO_RCVBUF, SOL_SOCKET

__all__ = ["OptionTooLate"]


class OptionTooLate(Rule):
    """Address reuse that was asked for after bind."""

    id = "option-too-late"
    title = "the option was set too late: bind() had decided already"
    covers = (4,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "bind decides whether the address can be had by the options that are set at that moment. SO_REUSEADDR and "
        "SO_REUSEPORT that come afterwards change nothing for this bind."
    )
    symptoms = ("address already in use although SO_REUSEADDR is set", "EADDRINUSE", "the option has no effect")
    proof = "The first setsockopt of the option on this socket came after its bind; of SO_RCVBUF after its connect."
    fix = "Set the option between socket and bind."
    disproof = "The option had been set on this socket before bind as well."
    references = ("socket(7)", "tcp(7)")
    needs = (LateReuse, Options, SetUp)
    given = SetUp
    live = True
    effects = ("address-in-use-time-wait", "address-in-use-listener", "nobody-listens")

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        yield from self._buffer(facts, subject)
        failed = facts[SetUp].of(subject).bind_failed
        own = facts[LateReuse].by_socket.get(subject.id)
        if failed is not None and failed.errno == errno.EADDRINUSE and failed.address is not None:
            late = own or facts[LateReuse].by_port.get(failed.address.port)
            if late is not None:
                again = [] if late.bind is failed else [failed.proof()]
                yield Evidence(
                    self,
                    failed.end_ns,
                    f"{late.name} was set by call {late.option.call.id}, after {late.bind.text()}"
                    + (
                        f"; {failed.text()} met what it would have allowed."
                        if again
                        else ": before it, it could have helped."
                    ),
                    [
                        late.bind.proof(),
                        late.option.proof(f"call {late.option.call.id} setsockopt({late.name})"),
                        *again,
                    ],
                    call=late.option.call,
                    socket=subject.id,
                    process=failed.call.process,
                    subjects=frozenset({late.socket}),
                )
        elif own is not None:
            yield Evidence(
                self,
                own.option.end_ns,
                f"{own.name} was set by call {own.option.call.id}, after {own.bind.text()}: for the next start of this "
                "program it is as if it were not set.",
                [own.bind.proof(), own.option.proof(f"call {own.option.call.id} setsockopt({own.name})")],
                call=own.option.call,
                socket=subject.id,
                process=own.option.call.process,
                severity="warning",
                certainty="strong",
            )

    def _buffer(self, facts: Facts, socket: SocketFacts) -> Iterator[Judgement]:
        """The size of the receive buffer, which the handshake had told the peer."""
        connect = facts[SetUp].of(socket).connect
        asked = facts[Options].first(socket, SOL_SOCKET, SO_RCVBUF)
        if connect is None or asked is None or not socket.tcp or asked.entry_ns < connect.end_ns:
            return
        if connect.errno not in (None, errno.EINPROGRESS):
            return
        yield Evidence(
            self,
            asked.end_ns,
            f"SO_RCVBUF was set after {connect.text()}: the scale of the window that it is to allow is agreed in the "
            "handshake.",
            [connect.proof(), asked.proof(f"call {asked.call.id} setsockopt(SO_RCVBUF, {asked.option_number})")],
            call=asked.call,
            socket=socket.id,
            process=asked.call.process,
            title="the receive buffer was set after the handshake, which had fixed the window's scale",
            fix="Set SO_RCVBUF before connect, on a server before listen.",
            severity="note",
            certainty="strong",
        )
