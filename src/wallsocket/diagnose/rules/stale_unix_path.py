"""The file of a Unix socket whose server is gone."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ..facts import Facts, json_object
from ..finding import Proof
from ..rule import Evidence, Healthy, Judgement, Rule
from ..subjects import ProcessFacts
from ..trackers.host_answers import HostAnswers
from ..trackers.unix_failures import UnixFailure, UnixFailures
from ..trackers.unix_names import UnixNames
from ..vocabulary import SOCK_DGRAM

__all__ = ["StaleUnixPath"]


class StaleUnixPath(Rule):
    """The path exists and nobody owns it."""

    id = "stale-unix-path"
    title = "the file of a Unix socket was left behind: nobody owns it"
    covers = (10,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "bind makes a file, and the kernel leaves it there when the socket is closed. A server that ends without "
        "removing it finds its own path taken at the next start (EADDRINUSE), and clients are refused (unix(7))."
    )
    symptoms = (
        "address already in use",
        "EADDRINUSE",
        "connection refused",
        "ECONNREFUSED",
        "stale socket file",
        "unix socket already exists after a crash",
    )
    proof = (
        "bind of a path failed with EADDRINUSE, or connect with ECONNREFUSED; the file is there, and the kernel lists "
        "no socket that listens behind it."
    )
    fix = "At start, connect to the path: when that is refused remove the file, then bind. Remove it at the end, too."
    disproof = "A socket is bound to the file."
    references = ("unix(7)", "unlink(2)")
    subject = "process"
    needs = (HostAnswers, UnixFailures, UnixNames)
    effects = ("failed-call-ignored", "forwarder-without-backend")

    def judge(self, facts: Facts, subject: ProcessFacts) -> Iterator[Judgement]:
        for failure in facts[UnixFailures].of(subject.id):
            call, name = failure.call, failure.name
            if name[:1] == b"\0":
                continue
            if facts[UnixFailures].got_over(failure):
                yield Healthy([call.call.id], "the program found the file of a dead server, and got the path later")
                continue
            if any(entry.lived(call.entry_ns) for entry in facts[UnixNames].on(name)):
                continue
            rows = self._nobody(facts, failure)
            if rows is None:
                continue
            if not rows:
                yield self.cannot_tell("facts", f"it was not looked up who owns the path when {call.text()}")
                continue
            left = next((one for one in reversed(facts[UnixNames].on(name)) if one.bind.end_ns <= call.entry_ns), None)
            path = name.decode("utf-8", "backslashreplace")
            why = f"{path} exists, and no socket is behind it."
            if left is not None:
                why += f" {facts.who(left.process)} had bound it and is gone without removing it."
                rows.append(left.bind.proof())
            yield Evidence(
                self,
                call.end_ns,
                why,
                [call.proof(), *rows],
                call=call.call,
                socket=call.call.socket,
                process=subject.id,
            )

    @staticmethod
    def _nobody(facts: Facts, failure: UnixFailure) -> list[Proof] | None:
        """The kernel's word that nobody is behind the file; empty: it was not asked; ``None``: somebody is, or no file."""
        call = failure.call
        fact = facts[HostAnswers].fact(call.call, "path")
        if fact is None:
            return []
        told = json_object(fact.value)
        file, listeners = told.get("file"), told.get("listeners")
        if not isinstance(file, dict) or file.get("type") != "socket" or not isinstance(listeners, list):
            return None
        if any(isinstance(one, dict) and one.get("file_inode") in (file.get("inode"), None) for one in listeners):
            return None
        if call.errno == errno.EADDRINUSE and call.socket is not None and call.socket.type == SOCK_DGRAM:
            # Only listeners are listed: a datagram socket may have it.
            return None
        text = f"the file is a socket (inode {file.get('inode')}) and nobody listens behind it"
        return facts[HostAnswers].proof(call.call, "path", text)
