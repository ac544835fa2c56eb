"""Faults before the first byte: ports that are taken, listeners that are missing."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ..facts import CallFacts, Facts, HostSocket, SocketFacts, state_name
from ..finding import CannotTell, Proof
from ..rule import Evidence, Rule
from ..vocabulary import (
    LISTEN,
    SO_REUSEADDR,
    SOCK_DGRAM,
    SOCK_STREAM,
    SOL_SOCKET,
    Address,
    address_of,
)

__all__ = ["RULES"]


def _taken(facts: Facts, socket: SocketFacts) -> tuple[CallFacts, Address] | None:
    """A bind (or listen) that failed because the port is in use, and that the process did not repeat with success."""
    failed = socket.bind_failed
    if failed is None or failed.call.errno != errno.EADDRINUSE:
        failed = next((call for call in socket.errors if call.name == "listen"), None)
        if failed is None or failed.call.errno != errno.EADDRINUSE:
            return None
    asked = address_of(failed.call.address) or socket.local
    if asked is None or asked.port == 0 or socket.type not in (SOCK_STREAM, SOCK_DGRAM):
        return None
    if facts.bound.get((failed.call.process, socket.type, asked.port), -1) > failed.end_ns:
        return None
    return failed, asked


def _moved_on(facts: Facts, failed: CallFacts, socket: SocketFacts, port: int) -> bool:
    """Whether the process took another port instead."""
    return any(
        process == failed.call.process and kind == socket.type and other != port and at_ns > failed.end_ns
        for (process, kind, other), at_ns in facts.bound.items()
    )


def _clash(one: Address, other: Address) -> bool:
    return one.port == other.port and (one.host == other.host or one.wildcard or other.wildcard)


class AddressInUseByListener(Rule):
    """A live socket has the port."""

    id = "address-in-use-listener"
    title = "the port is taken: another socket has it now"
    covers = (2,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "A listening TCP socket (or any bound UDP socket) keeps its address and port to itself. bind fails with "
        "EADDRINUSE as long as that socket exists, whatever SO_REUSEADDR says."
    )
    symptoms = (
        "address already in use",
        "EADDRINUSE",
        "OSError: [Errno 98]",
        "bind failed",
        "port is already allocated",
    )
    proof = "bind failed with EADDRINUSE, and the kernel lists a socket that has this port."
    fix = "Stop the process that has the port, or use another port."
    disproof = "The socket that is named has gone when bind is tried again, and bind still fails."
    supersedes = ("address-in-use-time-wait",)
    effects = ("nobody-listens",)

    def evaluate(self, facts: Facts, socket: SocketFacts) -> Iterator[Evidence | CannotTell]:
        found = _taken(facts, socket)
        if found is None:
            return
        failed, asked = found
        kind = "tcp" if socket.type == SOCK_STREAM else "udp"
        own = self._own(facts, socket, failed, asked)
        if own is not None:
            if own.process == failed.call.process and own.local is not None and own.local.family != asked.family:
                # One port for both families: [::] takes IPv4 as well, and the second bind is known to fail.
                return
            assert own.bind is not None
            line = facts.line(own.bind.call)
            owner = f"{facts.command(own.process)} (pid {facts.pid(own.process)})" + (f", {line}" if line else "")
            rows = [own.bind.proof(f"{own.bind.text()}: the socket that has it")]
        else:
            listed = facts.host_sockets(failed.call)
            if listed is None:
                yield self.cannot_tell("facts", "the sockets of the host were not looked up when bind failed")
                return
            holder = self._holder(listed, kind, asked)
            if holder is None:
                return
            owner = holder.owner()
            rows = []
        fact = facts.fact(failed.call, "sockets")
        if fact is not None:
            rows.append(Proof("kernel", "fact", fact.id, fact.at_ns, f"kernel: {asked.port}/{kind} is held by {owner}"))
        yield Evidence(
            self,
            failed.end_ns,
            f"{asked} cannot be bound: {owner} has it.",
            [failed.proof(), *rows],
            call=failed.call,
            socket=socket.id,
            process=failed.call.process,
            severity="note" if _moved_on(facts, failed, socket, asked.port) else "error",
            subjects=frozenset({own.id} if own is not None else ()),
        )

    @staticmethod
    def _own(facts: Facts, socket: SocketFacts, failed: CallFacts, asked: Address) -> SocketFacts | None:
        for other in facts.binders():
            if other.id == socket.id or other.bind is None or other.type != socket.type or other.local is None:
                continue
            ended = facts.ended_ns(other)
            lived = other.bind.end_ns <= failed.end_ns and (ended is None or ended > failed.entry_ns)
            if lived and _clash(other.local, asked):
                return other
        return None

    @staticmethod
    def _holder(listed: list[HostSocket], kind: str, asked: Address) -> HostSocket | None:
        for entry in listed:
            holds = entry.protocol.startswith(kind) and (kind == "udp" or entry.state == LISTEN)
            if holds and entry.local is not None and _clash(entry.local, asked):
                return entry
        return None


class AddressInUseByTimeWait(Rule):
    """Only old connections have the port."""

    id = "address-in-use-time-wait"
    title = "the port is kept by old connections: SO_REUSEADDR was not set before bind"
    covers = (1,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "The side that closes a connection first keeps it in TIME_WAIT for a minute. Without SO_REUSEADDR Linux "
        "refuses to bind a port on which such connections are left, so a server cannot be restarted at once."
    )
    symptoms = ("address already in use after restart", "EADDRINUSE", "TIME_WAIT", "works again after a minute")
    proof = (
        "bind failed with EADDRINUSE; no socket listens on the port; the kernel lists connections in closing states on "
        "it; SO_REUSEADDR was not set on the socket before."
    )
    fix = "Set SO_REUSEADDR on the listening socket before bind."
    disproof = "bind fails in the same way with SO_REUSEADDR set before it."
    effects = ("nobody-listens",)

    def evaluate(self, facts: Facts, socket: SocketFacts) -> Iterator[Evidence | CannotTell]:
        found = _taken(facts, socket)
        if found is None or socket.type != SOCK_STREAM:
            return
        failed, asked = found
        listed = facts.host_sockets(failed.call)
        if listed is None:
            yield self.cannot_tell("facts", "the sockets of the host were not looked up when bind failed")
            return
        option = socket.option(SOL_SOCKET, SO_REUSEADDR)
        if option is not None and option.end_ns <= failed.entry_ns and socket.option_number(SOL_SOCKET, SO_REUSEADDR):
            return
        old = [
            entry
            for entry in listed
            if entry.protocol.startswith("tcp") and entry.local is not None and _clash(entry.local, asked)
        ]
        if not old or any(entry.state == LISTEN for entry in old):
            return
        counts: dict[str, int] = {}
        for entry in old:
            counts[state_name(entry.state)] = counts.get(state_name(entry.state), 0) + 1
        states = ", ".join(f"{count} in {name}" for name, count in counts.items())
        fact = facts.fact(failed.call, "sockets")
        assert fact is not None
        yield Evidence(
            self,
            failed.end_ns,
            f"No socket listens on {asked}, but connections of its port are left ({states}), "
            "and SO_REUSEADDR was not set before bind.",
            [
                failed.proof(),
                Proof("kernel", "fact", fact.id, fact.at_ns, f"kernel: port {asked.port}: {states}, no LISTEN"),
            ],
            call=failed.call,
            socket=socket.id,
            process=failed.call.process,
            severity="note" if _moved_on(facts, failed, socket, asked.port) else "error",
        )


class ListenForgotten(Rule):
    """The port is bound, but nobody called listen."""

    id = "listen-forgotten"
    title = "the server is bound but does not listen: listen() was not called"
    covers = (5,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = "bind only names a TCP socket. Until listen is called the kernel answers every connection with a reset."
    symptoms = ("connection refused although the server is running", "ECONNREFUSED")
    proof = "connect was refused while a traced TCP socket was bound to the port and had not been given to listen."
    fix = "Call listen() after bind()."
    disproof = "Another socket listens on the port."
    supersedes = ("nobody-listens",)

    def evaluate(self, facts: Facts, socket: SocketFacts) -> Iterator[Evidence | CannotTell]:
        refusal = facts.refusal(socket)
        if refusal is None:
            return
        for other in facts.binders():
            ended = facts.ended_ns(other)
            if (
                other.tcp
                and other.id != socket.id
                and other.bind is not None
                and other.listen is None
                and other.connect is None
                and other.local is not None
                and other.local.covers(refusal.where)
                and other.bind.end_ns <= refusal.at_ns
                and (ended is None or ended > refusal.at_ns)
                and facts.final
            ):
                yield Evidence(
                    self,
                    refusal.at_ns,
                    f"{facts.command(other.process)} (pid {facts.pid(other.process)}) bound {other.local} but never "
                    f"called listen; the connection to {refusal.where} was refused.",
                    [other.bind.proof(), refusal.seen.proof()],
                    call=other.bind.call,
                    socket=socket.id,
                    process=other.process,
                    subjects=frozenset({other.id}),
                )
                return


class ConnectedBeforeListen(Rule):
    """The client was earlier than the server."""

    id = "connected-before-listen"
    title = "the client was too early: the server began to listen later"
    covers = (9,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = "A connection is refused as long as the server has not called listen; nothing queues it until then."
    symptoms = ("connection refused only at start", "works the second time", "ECONNREFUSED in CI")
    proof = "connect was refused, and later in the recording a traced socket began to listen on that address and port."
    fix = "Wait for the server: let it say that it is ready, or try again for a while."
    disproof = "The server listened already when the connection was tried."
    supersedes = ("nobody-listens",)

    def evaluate(self, facts: Facts, socket: SocketFacts) -> Iterator[Evidence | CannotTell]:
        refusal = facts.refusal(socket)
        if refusal is None:
            return
        earlier = facts.listeners(refusal.seen.call, refusal.at_ns) or []
        if any(listener.local.covers(refusal.where) for listener in earlier if listener.socket is not None):
            return
        for other in facts.listeners_on(refusal.where.port):
            assert other.listen is not None
            assert other.local is not None
            late_ns = other.listen.end_ns - refusal.at_ns
            if late_ns > 0 and other.local.covers(refusal.where):
                yield Evidence(
                    self,
                    refusal.at_ns,
                    f"The connection to {refusal.where} was refused {late_ns / 1e6:.1f} ms before "
                    f"{facts.command(other.process)} (pid {facts.pid(other.process)}) called listen.",
                    [refusal.seen.proof(), other.listen.proof()],
                    call=refusal.connect.call,
                    socket=socket.id,
                    process=refusal.connect.call.process,
                    subjects=frozenset({other.id}),
                )
                return


RULES = (AddressInUseByTimeWait, AddressInUseByListener, ListenForgotten, ConnectedBeforeListen)
