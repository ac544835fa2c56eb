"""Two Unix names that look alike."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.set_up import SetUp
from ..trackers.unix_names import UnixName, UnixNames, name_of

__all__ = ["UnixNameDiffers"]


class UnixNameDiffers(Rule):
    """The name that was connected to is another one than the name that was bound."""

    id = "unix-name-differs"
    title = "the two Unix names look alike and are not the same"
    covers = (126,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "A path has at most 108 bytes, the zero at its end included; a longer one is cut, at different places by "
        "different programs. In an abstract name every byte counts that the address length covers: zero bytes at "
        "the end make another name."
    )
    symptoms = (
        "ENOENT",
        "no such file or directory",
        "connection refused to an abstract socket",
        "AF_UNIX path too long",
    )
    proof = (
        "connect failed with ENOENT or ECONNREFUSED, and a traced socket is bound to a name that differs only in zero bytes at its "
        "end, or in what comes after the place where a path is cut."
    )
    fix = "Keep paths to 107 bytes; for abstract names give the address length of exactly the name."
    disproof = "Both sides use the same bytes and the same length."
    references = ("unix(7)",)
    needs = (SetUp, UnixNames)
    given = SetUp

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        failed = facts[SetUp].of(subject).connect
        if failed is None or not subject.unix or failed.errno not in (errno.ENOENT, errno.ECONNREFUSED):
            return
        name = name_of(failed.call.address)
        found = self._alike(facts, name, failed.entry_ns) if name else None
        if name is None or found is None:
            return
        if name[:1] == b"\0":
            how = (
                f"The name that was bound has {len(found.name) - 1} bytes after its first zero byte, the one that was asked "
                f"for {len(name) - 1}; they differ in zero bytes at the end."
            )
        else:
            how = f"The path that was bound has {len(found.name)} bytes, the one that was asked for {len(name)}: one was cut."
        yield Evidence(
            self,
            failed.end_ns,
            how,
            [failed.proof(), found.bind.proof()],
            call=failed.call,
            socket=subject.id,
            process=failed.call.process,
            subjects=frozenset({found.id}),
        )

    @staticmethod
    def _alike(facts: Facts, name: bytes, at_ns: int) -> UnixName | None:
        return next((entry for entry in facts[UnixNames].alike(name) if entry.lived(at_ns)), None)
