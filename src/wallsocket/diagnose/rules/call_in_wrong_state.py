"""Calls in the wrong order."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ..call import CallFacts
from ..facts import Facts
from ..rule import Evidence, Healthy, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.errors import Errors
from ..trackers.set_up import SetUp
from ..vocabulary import ACCEPTS, AF_UNIX, READS, SOCK_DGRAM, SOCK_STREAM, WRITES

__all__ = ["CallInWrongState"]

_NOT_LISTENING = "accept() on a socket that does not listen"
_ON_LISTENER = "data is read or written on the listening socket"


class CallInWrongState(Rule):
    """A call that the socket's state does not allow."""

    id = "call-in-wrong-state"
    title = "a call does not fit the state that its socket was in"
    covers = (6,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "Sockets are used in an order: bind and listen before accept, connect before send and recv, one bind, one "
        "connect. A call that comes too early, or twice, fails."
    )
    symptoms = (
        "transport endpoint is not connected",
        "ENOTCONN",
        "[Errno 107]",
        "destination address required",
        "EDESTADDRREQ",
        "invalid argument",
        "transport endpoint is already connected",
        "broken pipe",
    )
    proof = (
        "The call failed with the error that belongs to the state, and no earlier call had brought the socket there."
    )
    fix = "Put the calls in order: socket, bind, listen, accept on a server; socket, connect, send, recv on a client."
    disproof = "An earlier call had made the socket what the failed call needs."
    references = ("connect(2)", "send(2)", "accept(2)", "RFC 9293 3.10")
    needs = (Errors, SetUp)
    given = Errors
    live = True
    effects = ("nobody-listens", "listen-forgotten", "close-with-unread-data", "ended-before-answer")

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        if subject.late:
            return
        asked: CallFacts | None = None
        for call in facts[Errors].of(subject).calls:
            # Libraries of TLS that wrap a socket ask getpeername first, and then for bytes that came before.
            if call.name == "getpeername" and call.errno == errno.ENOTCONN:
                asked = call
                continue
            if asked is not None and _probe(facts, subject, asked, call):
                yield Healthy((call.call.id,), "the program had asked before, and knew that it is not connected")
                continue
            found = self._wrong(facts, subject, call)
            if found is not None:
                why, title, earlier = found
                # The same mistake by its other name: who connects meanwhile is refused.
                unheard = title == _NOT_LISTENING and earlier is not None
                yield Evidence(
                    self,
                    call.end_ns,
                    why,
                    [call.proof(), *([earlier.proof()] if earlier is not None else [])],
                    call=call.call,
                    socket=subject.id,
                    process=call.call.process,
                    title=title,
                    covers=(*self.covers, 5) if unheard else (),
                    certainty="hint" if call.name == "shutdown" else "certain",
                    severity="note" if call.name == "shutdown" else "error",
                    # What was read or written on the listener is what its connections lack.
                    subjects=frozenset({subject.parent} if subject.parent is not None else ()).union(
                        facts[SetUp].of(subject).accepted if title == _ON_LISTENER else ()
                    ),
                )
                return

    @staticmethod
    def _wrong(facts: Facts, socket: SocketFacts, call: CallFacts) -> tuple[str, str, CallFacts | None] | None:
        """Why, in which words, and the call that had made the state."""
        done = facts[SetUp].of(socket)
        name, code = call.name, call.errno
        made_here = socket.origin == "socket"
        stream = socket.type == SOCK_STREAM
        # An address at the other end says that it was connected in a way that no call showed.
        virgin = made_here and done.connect is None and done.listen is None and socket.remote is None
        if name in ACCEPTS and code == errno.EINVAL and made_here and stream and done.listen is None:
            bound = (
                "it is bound, but listen was never called"
                if done.bind is not None
                else "neither bind nor listen was called"
            )
            return f"{name} needs a listening socket: {bound}.", _NOT_LISTENING, done.bind
        if (
            name in ACCEPTS
            and code == errno.EINVAL
            and stream
            and (socket.origin == "accept" or done.connect is not None)
        ):
            return (
                f"{name} needs the listening socket, and this one is a connection.",
                "accept() on a socket that is connected",
                None,
            )
        if name == "shutdown" and code == errno.ENOTCONN and stream and virgin:
            return (
                f"{call.text()}: no connect was called on this socket before.",
                "shutdown() on a socket that was never connected",
                None,
            )
        if name in WRITES and stream and virgin and code in (errno.EPIPE, errno.ENOTCONN):
            return (
                f"{call.text()}: no connect was called on this socket before.",
                "send() on a socket that was never connected",
                None,
            )
        if name in READS and stream and virgin and code in (errno.ENOTCONN, errno.EINVAL):
            return (
                f"{call.text()}: no connect was called on this socket before.",
                "recv() on a socket that was never connected",
                None,
            )
        listening = done.listen is not None and done.connect is None
        if listening and stream and name in (*READS, *WRITES) and code in (errno.ENOTCONN, errno.EPIPE):
            return (
                f"{call.text()}: this socket listens; data goes through the socket that accept returns.",
                _ON_LISTENER,
                done.listen,
            )
        no_destination = socket.type == SOCK_DGRAM and code in (errno.EDESTADDRREQ, errno.ENOTCONN)
        if name in WRITES and no_destination and call.address is None and virgin:
            return (
                f"{call.text()} names no destination, and connect had not set one.",
                "send() without a destination",
                None,
            )
        if name == "bind" and code == errno.EINVAL and done.bind is not None and done.bind.entry_ns < call.entry_ns:
            return "The socket is bound already.", "a second bind() on one socket", done.bind
        if name == "listen" and code == errno.EINVAL and done.connect is not None and done.connect.succeeded:
            return "The socket is connected: it cannot listen.", "listen() on a connected socket", done.connect
        if name == "listen" and code == errno.EINVAL and socket.family == AF_UNIX and done.bind is None:
            return "A Unix socket must be bound before it listens.", "listen() before bind()", None
        if name == "connect" and code == errno.EISCONN:
            first = done.connected_first
            # After EINPROGRESS a second connect is a way to ask.
            if first is not None and first.call.id != call.call.id and first.succeeded:
                return f"It has been connected since {first.text()}.", "a second connect() on a connected socket", first
        if name == "connect" and stream and code in (errno.EINVAL, errno.EISCONN) and listening:
            return "This socket listens: it cannot connect.", "connect() on a listening socket", done.listen
        return None


def _probe(facts: Facts, socket: SocketFacts, asked: CallFacts, call: CallFacts) -> bool:
    """Whether a read only looked for bytes, right after the program was told that there is no connection."""
    if call.name not in READS or call.errno != errno.ENOTCONN or call.thread != asked.thread:
        return False
    done = facts[SetUp].of(socket).connect
    return (
        call.length <= 1 and call.call.source == asked.call.source and (done is None or done.entry_ns > call.entry_ns)
    )
