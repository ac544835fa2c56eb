"""A server with several addresses answers from the wrong one."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.bound import Bound, BoundSocket
from ..trackers.questions import Question, Questions
from ..trackers.strays import Strays
from ..vocabulary import SOCK_DGRAM

__all__ = ["AnswerFromAnotherAddress"]

_SAME_SOCKET = "Answer from the socket that the question came to: the client takes nothing from another port."


class AnswerFromAnotherAddress(Rule):
    """A server with several addresses answers from the wrong one."""

    id = "answer-from-another-address"
    title = "the answer came from another address than the one that was asked"
    covers = (33,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "A UDP socket bound to all addresses sends from the address that the route back suggests, not from the one that was "
        "asked. A connected client gets only what comes from where it asked: its kernel throws the answer away. Other clients "
        "compare and throw it away themselves."
    )
    symptoms = (
        "UDP reply from unexpected source",
        "answer seen in tcpdump but recv gets nothing",
        "multihomed UDP server",
    )
    proof = (
        "A question went to one address; a datagram from the same port of another address came back to the asker, on the "
        "wire or in a read after which the program waited on; the question stayed open. Or it came from another port of the "
        "address, to an asker that had connected its socket."
    )
    fix = "Answer from the address that was asked: IP_PKTINFO in recvmsg and sendmsg, or one socket bound to each address."
    disproof = "The other address is another server that was asked as well."
    references = ("udp(7)", "ip(7)", "RFC 1122 4.1.3.5")
    needs = (Bound, Questions, Strays)
    given = Questions
    supersedes = ("no-time-limit-for-answer",)
    effects = ("datagrams-to-nobody", "datagram-refused")

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        found = facts[Questions].of(subject)
        for question in found.asked.values():
            if question.where.many or question.answers or subject.local is None:
                continue
            stray = facts[Strays].from_elsewhere(question.where, subject.local, question.first.entry_ns)
            if stray is None and subject.remote is not None:
                # A socket that is not connected gets it, and may take it, as in TFTP.
                stray = facts[Strays].from_other_port(question.where, subject.local, question.first.entry_ns)
            read = next((read for asked, read in found.elsewhere if asked is question), None)
            if stray is not None:
                source, row = stray
                rows = [question.first.proof(), row]
                how = "its kernel threw it away" if read is None else "the program did not take it"
            elif read is not None and read.address is not None and question.given_up is not None:
                source = read.address
                rows = [question.first.proof(), read.proof(f"{read.text()} from {source}")]
                how = "the program did not take it"
            else:
                missing = facts.wire(subject.network)
                if missing is not None and question.given_up is not None and _server(facts, question) is not None:
                    yield self.cannot_tell("wire", f"whether {question.where} was answered from elsewhere: {missing}")
                continue
            if source in found.asked:
                continue
            server = _server(facts, question)
            call = server.bind if server is not None and server.bind is not None else question.first
            if server is not None and server.bind is not None:
                rows.append(server.bind.proof(f"{server.bind.text()}: the socket that answered"))
            yield Evidence(
                self,
                rows[1].at_ns,
                f"{subject.name()} asked {question.where}, and the answer came from {source}: {how}."
                + (f" {facts.who(server.process)} has bound {server.local}." if server is not None else ""),
                rows,
                call=call.call,
                socket=subject.id,
                process=call.call.process,
                certainty="certain" if stray is not None else "strong",
                title="the answer came from another port than was asked" if source.host == question.where.host else "",
                fix=_SAME_SOCKET if source.host == question.where.host else "",
                subjects=frozenset({server.id} if server is not None else ()),
            )
            return


def _server(facts: Facts, question: Question) -> BoundSocket | None:
    """The traced socket of all addresses that got the question."""
    for entry in facts[Bound].on(question.where.port, SOCK_DGRAM):
        if entry.local.wildcard and entry.received and entry.takes(question.where):
            return entry
    return None
