"""Faults of addresses and ports: the server is elsewhere, or nowhere."""

from __future__ import annotations

from collections.abc import Iterator

from ...events import Call
from ..facts import Facts, Listener, Refusal, SocketFacts
from ..finding import CannotTell, Proof
from ..rule import Evidence, Rule
from ..vocabulary import AF_INET, AF_INET6, SOCK_DGRAM, Address, address_of, swapped

__all__ = ["RULES"]


def _listing(facts: Facts, refusal: Refusal, text: str) -> list[Proof]:
    """The host's answer as a proof row, if it was asked."""
    fact = facts.fact(refusal.seen.call, "sockets")
    return [] if fact is None else [Proof("kernel", "fact", fact.id, fact.at_ns, f"kernel: {text}")]


def _listen_rows(listener: Listener) -> list[Proof]:
    socket = listener.socket
    return [socket.listen.proof(f"{socket.listen.text()} on {listener.local}")] if socket and socket.listen else []


def _here(facts: Facts, refusal: Refusal) -> bool | None:
    return facts.local_host(refusal.seen.call, refusal.where.host)


class LoopbackOnly(Rule):
    """The server listens, but only on another address of the host."""

    id = "loopback-only"
    title = "the server listens on another address of this host only"
    covers = (12,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "A socket bound to one address gets only what is sent to that address. Bound to 127.0.0.1 it cannot be reached "
        "through any other address of the host, and not from outside."
    )
    symptoms = (
        "works on localhost, refused from the network",
        "connection refused with the host name",
        "127.0.0.1 only",
    )
    proof = (
        "The connection was refused; the address is one of this host; a socket listens on the same port, bound to "
        "another address of the same family, and none listens on this one or on all."
    )
    fix = "Bind the server to the address that clients use, or to all addresses (0.0.0.0 or ::)."
    disproof = "A socket listens on the very address that was tried."
    supersedes = ("nobody-listens", "connected-before-listen")

    def evaluate(self, facts: Facts, socket: SocketFacts) -> Iterator[Evidence | CannotTell]:
        refusal = facts.refusal(socket)
        if refusal is None or _here(facts, refusal) is not True:
            return
        where = refusal.where
        listeners = facts.listeners(refusal.seen.call, refusal.at_ns) or []
        if any(listener.local.covers(where) for listener in listeners):
            return
        others = [one for one in listeners if one.local.port == where.port and one.local.family == where.family]
        if not others:
            return
        listener = others[0]
        only = "loopback" if listener.local.loopback else "that address"
        yield Evidence(
            self,
            refusal.at_ns,
            f"{listener.owner} listens on {listener.local} and so is reached by {only} only; "
            f"{where} was tried and refused.",
            [
                refusal.seen.proof(),
                *_listen_rows(listener),
                *_listing(facts, refusal, f"port {where.port} is listened on at {listener.local} only"),
            ],
            call=_bind_or(listener, refusal),
            socket=socket.id,
            process=refusal.connect.call.process,
            title=f"the server listens on {listener.local.host} only",
            subjects=_with(listener),
        )


def _bind_or(listener: Listener, refusal: Refusal) -> Call:
    """Where the fault can be mended: the server's bind when it was traced, else the client's connect."""
    if listener.socket is not None and listener.socket.bind is not None:
        return listener.socket.bind.call
    return refusal.connect.call


def _with(listener: Listener) -> frozenset[int]:
    return frozenset({listener.socket.id} if listener.socket is not None else ())


class OtherFamily(Rule):
    """The server listens, but only for the other version of IP."""

    id = "other-ip-version"
    title = "the server listens for the other version of IP only"
    covers = (13,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "A name such as localhost may stand for ::1 and 127.0.0.1. A server on one of them does not answer on the "
        "other, and a client that tries only the first address is refused."
    )
    symptoms = ("connection refused on localhost", "::1 refused, 127.0.0.1 works", "IPv6 connection refused")
    proof = (
        "The connection to an IPv6 address was refused, no later one succeeded, and on that port a socket listens on "
        "an IPv4 address only (or the reverse)."
    )
    fix = "Let the server listen on both versions, or let the client try every address that the name has."
    disproof = "A socket listens on the port for the version of IP that was tried."
    supersedes = ("nobody-listens", "connected-before-listen")

    def evaluate(self, facts: Facts, socket: SocketFacts) -> Iterator[Evidence | CannotTell]:
        refusal = facts.refusal(socket)
        if refusal is None or _here(facts, refusal) is not True:
            return
        where = refusal.where
        listeners = [
            one for one in facts.listeners(refusal.seen.call, refusal.at_ns) or [] if one.local.port == where.port
        ]
        if not listeners or any(one.local.family == where.family or one.local.host == "::" for one in listeners):
            return
        listener = listeners[0]
        versions = {AF_INET: "IPv4", AF_INET6: "IPv6"}
        yield Evidence(
            self,
            refusal.at_ns,
            f"{listener.owner} listens on {listener.local}, {versions.get(listener.local.family)} only; "
            f"{where} was tried and refused.",
            [
                refusal.seen.proof(),
                *_listen_rows(listener),
                *_listing(facts, refusal, f"port {where.port} is listened on at {listener.local} only"),
            ],
            call=refusal.connect.call,
            socket=socket.id,
            process=refusal.connect.call.process,
            title=f"the server listens for {versions.get(listener.local.family)} only",
            subjects=_with(listener),
        )


class SwappedPort(Rule):
    """The port number has its bytes in the wrong order."""

    id = "swapped-port"
    title = "the port has its two bytes exchanged"
    covers = (15,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "Ports travel with the high byte first. A port that is stored without htons, or put through it twice, names "
        "another port: 5001 becomes 35091."
    )
    symptoms = ("connects to the wrong port", "listens on an odd port", "htons", "byte order")
    proof = (
        "What was tried on a port failed because nothing is there, while a socket has the port whose two bytes are "
        "exchanged. Certain when that socket belongs to the traced programs."
    )
    fix = "Convert the port to network byte order exactly once: htons(port); in Python give the plain number."
    disproof = "Both port numbers are what their programs were told to use."
    supersedes = ("nobody-listens", "connected-before-listen")

    def evaluate(self, facts: Facts, socket: SocketFacts) -> Iterator[Evidence | CannotTell]:
        if socket.type == SOCK_DGRAM:
            yield from self._datagrams(facts, socket)
            return
        refusal = facts.refusal(socket)
        if refusal is None:
            return
        where = refusal.where
        if swapped(where.port) == where.port:
            return
        listeners = facts.listeners(refusal.seen.call, refusal.at_ns) or []
        meant = Address(where.host, swapped(where.port), where.family)
        if any(one.local.port == where.port for one in listeners):
            return
        listener = next((one for one in listeners if one.local.covers(meant)), None)
        if listener is None or (listener.socket is None and _here(facts, refusal) is not True):
            return
        yield Evidence(
            self,
            refusal.at_ns,
            f"Nothing listens on port {where.port}; {listener.owner} listens on {meant.port}, which is {where.port} "
            f"(0x{where.port:04x}) with its bytes exchanged (0x{meant.port:04x}).",
            [
                refusal.seen.proof(),
                *_listen_rows(listener),
                *_listing(facts, refusal, f"{listener.local} listens, port {where.port} does not"),
            ],
            call=refusal.connect.call,
            socket=socket.id,
            process=refusal.connect.call.process,
            certainty="certain" if listener.socket is not None else "strong",
            subjects=_with(listener),
        )

    def _datagrams(self, facts: Facts, socket: SocketFacts) -> Iterator[Evidence]:
        """A traced receiver that got nothing, while datagrams went to its port with the bytes exchanged."""
        if socket.bind is None or socket.local is None or socket.reads.calls or not facts.final:
            return
        port = socket.local.port
        other = swapped(port)
        asked = address_of(socket.bind.call.address)
        if asked is None or asked.port != port:
            return
        sent = [
            call
            for call in facts.datagrams_to.get(other, ())
            if call.end_ns >= socket.bind.end_ns and _reaches(address_of(call.call.address), socket.local)
        ]
        if port == 0 or other == port or not sent:
            return
        if any(one.local is not None and one.local.port == other and one.bind for one in facts.binders()):
            return
        yield Evidence(
            self,
            sent[0].end_ns,
            f"{facts.command(socket.process)} waits on UDP port {port} and got nothing; {len(sent)} datagrams went to "
            f"{other} (0x{other:04x}), the same port with its bytes exchanged (0x{port:04x}).",
            [sent[0].proof(), socket.bind.proof()],
            call=sent[0].call,
            socket=sent[0].call.socket,
            process=sent[0].call.process,
            subjects=frozenset({socket.id}),
        )


def _reaches(where: Address | None, receiver: Address) -> bool:
    """Whether a datagram for ``where`` would have reached the receiver, were it not for the port."""
    return where is not None and (where.host == receiver.host or (where.loopback and receiver.wildcard))


class NobodyListens(Rule):
    """Connection refused, the commonest fault of all."""

    id = "nobody-listens"
    title = "connection refused: nobody listens there"
    covers = (107,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "No socket listens on the address and port, so the kernel of that host answers the first packet with a reset. "
        "A program that does not block is told later: through SO_ERROR, or by its first use of the socket."
    )
    symptoms = ("connection refused", "ECONNREFUSED", "[Errno 111]", "connect failed", "failed to connect", "POLLERR")
    proof = (
        "connect failed with ECONNREFUSED, or SO_ERROR said so, and no later attempt succeeded. Certain when the "
        "address is this host's own and the kernel listed no listener for it."
    )
    fix = "Start the server, or use the address and port on which it listens."
    disproof = "A socket listened on that address and port at that moment; then a firewall refuses."

    def evaluate(self, facts: Facts, socket: SocketFacts) -> Iterator[Evidence | CannotTell]:
        refusal = facts.refusal(socket)
        if refusal is None:
            return
        where = refusal.where
        here = _here(facts, refusal)
        listed = facts.host_sockets(refusal.seen.call) is not None
        listeners = facts.listeners(refusal.seen.call, refusal.at_ns) or []
        rows = [refusal.connect.proof()] if refusal.connect is not refusal.seen else []
        rows.append(refusal.seen.proof(_how_seen(refusal)))
        reset = facts.reset(where, socket.local, refusal.connect.entry_ns)
        if reset is not None:
            rows.append(reset)
        if here and any(listener.local.covers(where) for listener in listeners):
            yield self.cannot_tell("facts", f"{where} was refused, yet a socket listened there when the host was asked")
            return
        if here and listed:
            near = sorted(
                (one for one in listeners if one.local.wildcard or one.local.host == where.host),
                key=lambda one: abs(one.local.port - where.port),
            )[:3]
            names = "; ".join(f"{one.owner} on {one.local}" for one in near)
            why = f"No socket listens on {where}. " + (
                f"What listens nearby: {names}." if near else "Nothing else does."
            )
            rows += _listing(facts, refusal, f"no LISTEN on {where}")
        elif here:
            why = (
                f"No traced socket listened on {where}; this host refused the connection. It was not asked who listens."
            )
        else:
            why = (
                f"The host at {where} answered that it accepts no connection on this port (a firewall can do so, too)."
            )
        yield Evidence(
            self,
            refusal.at_ns,
            why,
            rows,
            call=refusal.connect.call,
            socket=socket.id,
            process=refusal.connect.call.process,
            certainty="certain" if here and listed else "strong",
        )


def _how_seen(refusal: Refusal) -> str:
    if refusal.seen.name == "getsockopt":
        return f"call {refusal.seen.call.id} getsockopt(SO_ERROR) gave ECONNREFUSED"
    return refusal.seen.text()


RULES = (LoopbackOnly, OtherFamily, SwappedPort, NobodyListens)
