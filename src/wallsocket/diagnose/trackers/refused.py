"""Why connections were refused: the decision of ``kernel.causes``, for the listeners of that moment."""

from __future__ import annotations

from ...kernel.causes import Cause, Listening, meant, refused, swapped_port
from ..facts import Facts
from ..finding import Proof
from ..subjects import Destination
from ..tracker import Tracker
from .bound import Bound, Listener
from .destinations import Destinations, Refusal
from .host_answers import HostAnswers
from .network import Networks

__all__ = ["RefusalCause", "Refused"]


class RefusalCause:
    """A refusal with its cause, and the listener that the cause is about."""

    __slots__ = ("cause", "listener", "proof", "refusal")

    def __init__(self, refusal: Refusal, cause: Cause, listener: Listener | None, proof: list[Proof]) -> None:
        self.refusal = refusal
        self.cause = cause
        self.listener = listener
        self.proof = proof  #: the call that told the program, the listener's own call, the kernel's list

    @property
    def why(self) -> str:
        """The cause as a sentence."""
        sentence = self.cause.sentence
        if self.listener is not None and self.listener.owner and sentence.startswith(self.listener.owner):
            # The name of a program is written as it is.
            return f"{sentence}."
        return f"{sentence[:1].upper()}{sentence[1:]}."


class Refused(Tracker):
    """Asks once for each refusal that nobody coped with."""

    needs = (Bound, Destinations, HostAnswers, Networks)

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._known: tuple[Destination, list[RefusalCause]] | None = None

    def of(self, destination: Destination, *names: str) -> list[RefusalCause]:
        """Refusals at a destination whose cause has one of these names."""
        if self._known is None or self._known[0] != destination:
            found = [self._cause(refusal) for refusal in self.facts[Destinations].refused(destination)]
            self._known = (destination, [one for one in found if one is not None])
        return [one for one in self._known[1] if one.cause.name in names]

    def general(self, destination: Destination) -> list[RefusalCause]:
        """Refusals whose cause is no more than that nobody listens there, as far as this host or the peer knows."""
        return self.of(destination, "nobody_listens", "refused_by_peer", "other_protocol")

    def contradicted(self, destination: Destination) -> bool:
        """Whether a connection was refused though somebody listened."""
        self.of(destination)
        known = self._known[1] if self._known is not None else []
        return len(known) < len(self.facts[Destinations].refused(destination))

    def _cause(self, refusal: Refusal) -> RefusalCause | None:
        where, call = refusal.where, refusal.seen
        bound, answers = self.facts[Bound], self.facts[HostAnswers]
        there = {
            _listening(one): one
            for one in (
                *(bound.listeners(call, where.port, refusal.at_ns) or ()),
                *(bound.listeners(call, swapped_port(where.port), refusal.at_ns) or ()),
                *bound.near(call, where._replace(host=meant(where.host)), refusal.at_ns),
            )
        }
        here = answers.is_local(call.call, where.host)
        if not here:
            elsewhere = self._in_another_namespace(refusal)
            if elsewhere:
                here, there = True, {_listening(one): one for one in elsewhere}
        found = refused(where.host, where.port, "tcp", there, here=here)
        if found is None:
            return None
        cause, listening = found
        listener = there[listening] if listening is not None else None
        proof = [refusal.connect.proof()] if refusal.connect is not refusal.seen else []
        proof.append(refusal.seen.proof(refusal.how_seen()))
        if listener is not None:
            proof += listener.proof()
            proof += answers.proof(call.call, "sockets", f"{listener.local} is listened on, {where} is not")
        return RefusalCause(refusal, cause, listener, proof)

    def _in_another_namespace(self, refusal: Refusal) -> list[Listener]:
        """Traced listeners on the port in the one other namespace that has the address, when none of them takes it."""
        where = refusal.where
        network = self.facts[Networks].owner(where.host)
        if network is None or network == refusal.network:
            return []
        there = [
            Listener(one.local, self.facts.who(one.process), one, one.only_inet6)
            for one in self.facts[Bound].on(where.port, network=network)
            if one.tcp and one.socket.network == network and one.listened_at(refusal.at_ns)
        ]
        return [] if any(one.takes(where) for one in there) else there


def _listening(one: Listener) -> Listening:
    return Listening(
        protocol="tcp",
        host=one.local.host,
        port=one.local.port,
        only_inet6=one.only_inet6,
        who=one.owner,
        own=one.bound is not None,
    )
