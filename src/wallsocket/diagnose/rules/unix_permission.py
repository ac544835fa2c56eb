"""A Unix path that may not be entered, written or made."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.set_up import SetUp

__all__ = ["UnixPermission"]


class UnixPermission(Rule):
    """connect or bind of a Unix path gives EACCES."""

    id = "unix-permission"
    title = "the user may not use the path of the Unix socket"
    covers = (125,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "connect needs the right to write to the socket's file and to search every folder above it; bind needs the right to "
        "write to the folder. Owner, group, mode and umask decide, as for other files (unix(7), path_resolution(7))."
    )
    symptoms = ("permission denied", "EACCES", "[Errno 13]", "connect: permission denied docker.sock")
    proof = "connect or bind of a path failed with EACCES."
    fix = "Give the user the group of the socket, or set the mode after bind (umask, chmod, the service manager)."
    disproof = "The user may write to the file and search every folder above it: then a security module refused."
    references = ("unix(7)", "path_resolution(7)")
    needs = (SetUp,)
    given = SetUp
    live = True
    effects = ("failed-call-ignored",)

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        done = facts[SetUp].of(subject)
        for failed in (done.connect, done.bind_failed):
            if failed is None or not subject.unix or failed.errno not in (errno.EACCES, errno.EPERM):
                continue
            path = failed.address.host if failed.address is not None else ""
            if not path or path.startswith("@"):
                continue
            folder = path.rpartition("/")[0] or "the current folder"
            needed = (
                f"this user may not write to {path}, or not search a folder above it"
                if failed.name == "connect"
                else f"this user may not make files in {folder}, or not search a folder above it"
            )
            yield Evidence(
                self,
                failed.end_ns,
                f"{failed.text()}: {needed}.",
                [failed.proof()],
                call=failed.call,
                socket=subject.id,
                process=failed.call.process,
                title=f"{failed.name}() of a Unix path is not permitted",
            )
            return
