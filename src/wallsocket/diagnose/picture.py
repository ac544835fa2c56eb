"""What stands beside a finding as a picture: the ladder of its conversation, or the few lines around the proof."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from ..errors import RecordingError
from ..trace.conversations import Conversation
from ..trace.ladder import Ladder
from ..trace.recording import Recording
from ..trace.timeline import Timeline
from ..trace.wire import segment
from .finding import Finding

__all__ = ["EXCERPT_LINES", "Pictures"]

#: Lines of text of an excerpt, its heading included.
EXCERPT_LINES: Final = 8
#: Rows kept at each end of a conversation; a longer ladder is no longer seen at a glance.
_ROWS: Final = 16
#: Lines of text of a ladder that is drawn whole.
_WHOLE_LINES: Final = 2 * _ROWS
#: Sockets whose conversations are put together for it: it must not take more memory than the findings.
_MOST_SOCKETS: Final = 4_000
#: Rows of a proof that are looked for; of more, the others say the same again.
_MOST_CITED: Final = 50
#: Tables whose rows stand in ladders.
_IN_LADDERS: Final = frozenset({"call", "packet", "state"})


class Pictures:
    """Ladders of the conversations in which the proof of some findings stands; one pass over the recording.

    Args:
        recording: what was judged.
        findings: those to be drawn.
        width: columns to fill.
        colour: whether to use colours.
    """

    def __init__(self, recording: Recording, findings: Sequence[Finding], *, width: int, colour: bool = False) -> None:
        self._width = width
        self._colour = colour
        self._cited = {finding.rank: _cited(finding) for finding in findings}
        self._sockets = {
            finding.rank: socket for finding in findings if (socket := _socket(recording, finding)) is not None
        }
        self._timeline: Timeline | None = None
        if self._sockets:
            decode = segment if recording.meta.get("wire") == "yes" else None
            rows = frozenset(row for cited in self._cited.values() for row in cited)
            try:
                self._timeline = Timeline(
                    recording,
                    decode=decode,
                    socket=set(self._sockets.values()),
                    limit=_ROWS,
                    cited=rows,
                    most=_MOST_SOCKETS,
                )
            except RecordingError:
                pass  # too many sockets for a picture; the findings stand without it

    def whole(self, finding: Finding) -> list[str]:
        """The ladder of a finding's conversation when it is short enough to be read at once, or nothing."""
        conversation = self._conversation(finding)
        if conversation is None or self._timeline is None:
            return []
        lines = list(Ladder(self._timeline, width=self._width, colour=self._colour).draw(conversation))
        return lines if len(lines) <= _WHOLE_LINES else []

    def excerpt(self, finding: Finding) -> list[str]:
        """At most :data:`EXCERPT_LINES` lines around the proof of a finding, the proof marked; nothing where it is in no ladder."""
        conversation = self._conversation(finding)
        if conversation is None or self._timeline is None:
            return []
        ladder = Ladder(self._timeline, width=self._width - 2, colour=self._colour)
        return ladder.excerpt(conversation, self._cited[finding.rank], height=EXCERPT_LINES)

    def _conversation(self, finding: Finding) -> Conversation | None:
        """Of the conversations of its socket that in which most of the proof stands."""
        socket = self._sockets.get(finding.rank)
        if self._timeline is None or socket is None:
            return None
        cited = frozenset(self._cited[finding.rank])
        own = [one for one in self._timeline.wanted() if socket in (one.left, one.right)]
        return max(own, key=lambda one: sum(row.is_one_of(cited) for row in one.lines), default=None)


def _cited(finding: Finding) -> list[tuple[str, int]]:
    rows = [(proof.table, proof.row) for proof in finding.proof if proof.table in _IN_LADDERS]
    return list(dict.fromkeys(rows))[:_MOST_CITED]


def _socket(recording: Recording, finding: Finding) -> int | None:
    """The socket that a finding is about; where it is about none, the one of most calls that prove it."""
    if finding.socket is not None:
        return finding.socket.id if finding.socket.id in recording.sockets else None
    counts: Counter[int] = Counter()
    for table, row in _cited(finding):
        call = recording.call(row) if table == "call" else None
        for socket in (call.socket, call.made) if call is not None else ():
            if socket is not None and socket in recording.sockets:
                counts[socket] += 1
    return counts.most_common(1)[0][0] if counts else None
