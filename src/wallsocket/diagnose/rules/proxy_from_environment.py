"""A proxy named in the environment is connected in the place of the host that was meant."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from ..address import Address
from ..facts import Facts, json_object
from ..rule import Evidence, Judgement, Rule
from ..subjects import Destination
from ..trackers.host_answers import HostAnswers
from ..trackers.unreached import Unreached

__all__ = ["ProxyFromEnvironment"]


class ProxyFromEnvironment(Rule):
    """The address that failed is that of http_proxy."""

    id = "proxy-from-environment"
    title = "the connection went to the proxy of the environment, which does not answer"
    covers = (103,)
    severity = "error"
    certainty = "strong"
    layers = ("calls",)
    sentence = (
        "HTTP libraries and tools connect to the proxy that http_proxy, https_proxy or all_proxy names, even for "
        "addresses of this host and network, unless no_proxy lists them. The error is about the proxy, not about "
        "the server."
    )
    symptoms = (
        "connection refused",
        "ECONNREFUSED",
        "ProxyError",
        "cannot connect to proxy",
        "localhost goes through the proxy",
        "http_proxy",
    )
    proof = (
        "A connection was refused, timed out or could not be routed, and its address and port are those of a proxy "
        "variable in the environment of the process, read then."
    )
    fix = "Unset the variable, or list the host in no_proxy (NO_PROXY=localhost,127.0.0.1,.internal)."
    disproof = "The program was told to connect to this address by other means."
    references = ("curl(1)", "RFC 9110 7.3.2")
    subject = "destination"
    needs = (HostAnswers, Unreached)
    supersedes = (
        "nobody-listens",
        "connected-before-listen",
        "syn-unanswered",
        "host-unreachable",
        "network-unreachable",
    )
    effects = ("failed-call-ignored",)

    def judge(self, facts: Facts, subject: Destination) -> Iterator[Judgement]:
        if subject.protocol != "tcp":
            return
        for attempt in facts[Unreached].attempts(subject):
            fact = facts[HostAnswers].fact(attempt.seen.call, "proxies")
            told = json_object(fact.value) if fact is not None else {}
            for name, value in told.items():
                if name.lower() == "no_proxy" or not _names(str(value), subject.where):
                    continue
                yield Evidence(
                    self,
                    attempt.seen.end_ns,
                    f"The environment has {name}={value}, so the request went to {subject.where}, where no proxy answers.",
                    [
                        attempt.seen.proof(attempt.how_seen),
                        *facts[HostAnswers].proof(attempt.seen.call, "proxies", f"{name}={value} in the environment"),
                    ],
                    call=attempt.connect.call,
                    socket=attempt.socket,
                    process=attempt.connect.call.process,
                    certainty="strong",
                    calls=attempt.calls,
                    count=attempt.times,
                )
                break


def _names(url: str, where: Address) -> bool:
    """Whether the URL of a proxy names this very address; a name that is not the own host's cannot be told."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    if (port or {"https": 443, "socks5": 1080, "socks5h": 1080}.get(parts.scheme, 80)) != where.port:
        return False
    return host == where.host or (host == "localhost" and where.loopback)
