"""A request for one host was sent to another one, as is done with proxies, and failed there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.reads import Reads
from ..trackers.writes import Writes

__all__ = ["RequestThroughProxy"]

#: The target of a request to a proxy: absolute form and authority form (RFC 9112, 3.2.2 and 3.2.3).
_ABSOLUTE: Final = re.compile(rb"[A-Z]{3,8} https?://(\[[0-9a-fA-F:.]+\]|[^/:?# ]+)(?::(\d{1,5}))?[/?# ]")
_CONNECT: Final = re.compile(rb"CONNECT (\[[0-9a-fA-F:.]+\]|[^/:?# ]+):(\d{1,5}) HTTP/")
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([45]\d\d)")
_OWN: Final = re.compile(r"localhost|127\.\d+\.\d+\.\d+|\[?::1\]?")


class RequestThroughProxy(Rule):
    """The URL names another host than the one that is connected, and the answer is an error."""

    id = "request-through-proxy"
    title = "the request went to a proxy, not to the host that its URL names"
    covers = (103,)
    severity = "warning"
    certainty = "strong"
    layers = ("calls",)
    sentence = (
        "A client that knows a proxy (http_proxy and the like in its environment, or its configuration) connects to "
        "that one and puts the whole URL into the request, also for hosts that only it can reach, such as localhost. "
        "The error is the proxy's."
    )
    symptoms = (
        "403 or 503 from a proxy",
        "localhost goes through the proxy",
        "http_proxy",
        "tunnel connection failed",
        "502 Bad Gateway",
    )
    proof = (
        "The first bytes of a connection are a request in the form for proxies, for another address than the "
        "connected one, and the answer is an error (4xx or 5xx). Strong when the URL names this host, otherwise a "
        "hint."
    )
    fix = "List the host in no_proxy (NO_PROXY=localhost,127.0.0.1,.internal), or leave the proxy out for it."
    disproof = "The error comes from the host of the URL, through the proxy."
    references = ("curl(1)", "RFC 9110 7.3.2")
    needs = (Reads, Writes)
    given = Writes

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        asked, answer = facts[Writes].of(subject).first, facts[Reads].of(subject).first
        where = subject.remote
        if asked is None or answer is None or where is None or not subject.tcp or subject.origin == "accept":
            return
        target = _ABSOLUTE.match(asked.payload) or _CONNECT.match(asked.payload)
        status = _STATUS.match(answer.payload)
        if target is None or status is None:
            return
        host = target[1].decode("ascii", "replace")
        port = int(target[2]) if target[2] else 80
        own = _OWN.fullmatch(host) is not None
        if port == where.port and (host.strip("[]") == where.host or (own and where.loopback)):
            # The absolute form is for servers, too.
            return
        code = status[1].decode()
        yield Evidence(
            self,
            answer.end_ns,
            f"The request is for {host}:{port} and was sent to {where}, which answered {code}.",
            [
                asked.proof(f"{asked.text()}: a request for {host}:{port}, sent to {where}"),
                answer.proof(f"{answer.text()}: status {code}"),
            ],
            call=asked.call,
            socket=subject.id,
            process=asked.call.process,
            severity="warning" if own else "note",
            certainty="strong" if own else "hint",
        )
