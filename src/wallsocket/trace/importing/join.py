"""A capture and a strace log of the same run as one recording, joined by ports and time.

The clock of the capture is the recording's. How far the log's is from it follows from connections that both saw: the SYN
leaves within the connect that asks for it. A log in the clock of a day (``-tt``) is of some time zone, one of ``-r`` of none.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

from ..._core import segments
from ...errors import RecordingError
from ...kernel.address import End, end_of
from ..syscalls import NUMBERS
from . import strace
from .capture import Capture, Conversation, sockaddr
from .descriptors import Rows
from .program import MACHINE, Interpreter

__all__ = ["join"]

_TCP: Final = 6
_UDP: Final = 17
_SYN, _ACK = 0x02, 0x10
_CONNECT: Final = NUMBERS[MACHINE]["connect"]
_SENDS: Final = frozenset(NUMBERS[MACHINE][name] for name in ("sendto", "sendmsg", "sendmmsg", "connect"))
_SOCK_STREAM: Final = 1
#: Openings that are remembered to find the time between the clocks, and to name ends; a run has few, a scan many.
_MAX_OPENINGS: Final = 200_000
#: Clocks of one machine differ by nothing; what is read between the call and the frame takes less than this.
_SAME_NS: Final = 50_000_000
#: Time zones are apart by multiples of this.
_ZONE_NS: Final = 900 * 10**9
#: A connect and its SYN are no further apart, once the clocks are one.
_NEAR_NS: Final = 1_500_000_000


class _Opening(NamedTuple):
    """The first SYN of a connection, or the first datagram between two ends."""

    at_ns: int
    source: End
    destination: End


class _Attempt(NamedTuple):
    """A connect of the log."""

    entry_ns: int
    took_ns: int  #: 0: it never came back
    socket: int
    where: End


class _Sightings:
    """Rows of a log, looked through for what a capture can show as well."""

    def __init__(self) -> None:
        self.attempts: list[_Attempt] = []
        self.sockets: dict[int, tuple[int, End | None, End | None, str, int]] = {}
        self.spoken_to: dict[End, int] = {}  #: where something was first sent, and when
        self.last_socket = 0

    def add(self, table: str, *columns: Any) -> None:
        """Take a row."""
        if table == "socket":
            self.last_socket = max(self.last_socket, columns[0])
            if len(self.sockets) < _MAX_OPENINGS:
                self.sockets[columns[0]] = (
                    columns[3],
                    end_of(columns[10]),
                    end_of(columns[11]),
                    columns[7],
                    columns[12],
                )
        elif table == "call" and columns[3] in _SENDS:
            where = end_of(columns[13])
            if where is None or len(self.spoken_to) >= _MAX_OPENINGS:
                return
            self.spoken_to.setdefault(where, columns[4])
            if columns[3] == _CONNECT and columns[8] is not None and len(self.attempts) < _MAX_OPENINGS:
                # Of one that does not block, and of one that was never answered, the SYN leaves at the entry.
                self.attempts.append(_Attempt(columns[4], columns[5] or 0, columns[8], where))


class _Ends:
    """The ends that a log's calls were made on."""

    def __init__(self, seen: _Sightings, named: dict[int, End]) -> None:
        self._streams: set[tuple[End, End]] = set()
        self._datagrams: set[End] = set()
        self._ports: set[int] = set()
        self._spoken_to = seen.spoken_to
        for number, (kind, local, remote, _, _) in seen.sockets.items():
            here = named.get(number, local)
            if kind == _SOCK_STREAM:
                if here is not None and remote is not None:
                    self._streams.add((here, remote))
            elif here is not None and here.port:
                (self._ports.add(here.port) if here.any else self._datagrams.add(here))

        for attempt in seen.attempts:
            # Also of a connect that failed.
            here = named.get(attempt.socket) or seen.sockets.get(attempt.socket, (0, None))[1]
            if here is not None:
                self._streams.add((here, attempt.where))

    def knows(self, conversation: Conversation) -> bool:
        """Whether one of its ends is a socket that calls were made on."""
        left, right = conversation.left, conversation.right
        if conversation.protocol == _TCP:
            return (left, right) in self._streams or (right, left) in self._streams
        if left in self._datagrams or right in self._datagrams or right in self._spoken_to:
            return True
        return left.port in self._ports or right.port in self._ports


def join(capture_path: Path, logs: Sequence[Path], rows: Rows) -> dict[str, str]:
    """Write both into one recording; returns what its ``meta`` says at the end.

    Raises:
        RecordingError: one of them cannot be read, or they share no connection.
    """
    log = strace.Log(logs)
    survey = strace.survey(log)
    seen = _Sightings()
    first_ns = next(iter(log)).at_ns
    look = Interpreter(survey, seen, first_ns)
    for entry in log:
        look.take(entry)
    look.finish()
    tcp, udp, capture_ns = _openings(capture_path)
    if capture_ns is None:
        raise RecordingError(f"{capture_path}: no frame in it has a time by which it could be joined with the log")
    matched = _matched(seen, tcp)
    shift_ns = None
    for sure in (True, False):
        differences = [one.opening.at_ns - (first_ns + one.entry_ns) for one in matched if one.sure or not sure]
        # On a busy machine the frame leaves some time after the call was entered, but before it is back.
        slack_ns = min([_NEAR_NS, *(one.took_ns for one in matched if one.sure or not sure)])
        shift_ns = _shift(differences, survey, slack_ns, sure=sure) if shift_ns is None and differences else shift_ns
    if shift_ns is None and (differences := _datagrams(seen, udp, first_ns)):
        shift_ns = _shift(differences, survey, 0, sure=False)
    if shift_ns is None:
        raise RecordingError(
            f"{capture_path}: shares no connection with {logs[0]}: look at each of them alone, or record both at one time"
        )
    origin_ns = min(capture_ns, first_ns + shift_ns)
    named = {
        one.socket: one.opening.source
        for one in matched
        if one.socket is not None
        and (one.sure or abs(one.opening.at_ns - first_ns - one.entry_ns - shift_ns) < _NEAR_NS)
    }
    program = Interpreter(survey, rows, origin_ns - shift_ns)
    program.name_ends({socket: sockaddr(end) for socket, end in named.items()})
    for entry in log:
        program.take(entry)
    program.finish()
    capture = Capture(capture_path)
    try:
        capture.write(rows, origin_ns=origin_ns, first_socket=seen.last_socket + 1, traced=_Ends(seen, named))
        wire = capture.meta()
    finally:
        capture.close()
    meta = wire | program.meta()
    meta["ended_ns"] = str(max(capture.last_ns, program.last_ns))
    return meta


def _openings(path: Path) -> tuple[list[_Opening], list[_Opening], int | None]:
    """Beginnings of connections and of exchanges of datagrams in a capture, and the time of its first frame."""
    tcp: list[_Opening] = []
    udp: dict[tuple[End, End], _Opening] = {}
    known: set[tuple[End, End, int]] = set()
    first_ns: int | None = None
    capture = Capture(path)
    try:
        for frame in capture.frames_of():
            at_ns = frame.timestamp_ns
            if at_ns is None:
                continue
            first_ns = at_ns if first_ns is None else first_ns
            found = segments.segment(frame.link_type & 0xFFFFFFFF, bytes(frame), frame.original_length & 0xFFFFFFFF)
            if found is None or found.protocol not in (_TCP, _UDP):
                continue
            source = End(found.source, found.source_port)
            destination = End(found.destination, found.destination_port)
            if found.protocol == _UDP:
                if len(udp) < _MAX_OPENINGS:
                    udp.setdefault((source, destination), _Opening(at_ns, source, destination))
            elif found.flags & (_SYN | _ACK) == _SYN and len(known) < _MAX_OPENINGS:
                key = (source, destination, found.sequence)
                if key not in known:
                    known.add(key)
                    tcp.append(_Opening(at_ns, source, destination))
    finally:
        capture.close()
    return tcp, list(udp.values()), first_ns


class _Match(NamedTuple):
    """An opening that the log saw too."""

    opening: _Opening
    entry_ns: int  #: when the call that asked was entered
    took_ns: int  #: the frame left in this time
    socket: int | None  #: that asked
    sure: bool  #: by both ends; else by where it leads and the order


def _matched(seen: _Sightings, openings: list[_Opening]) -> list[_Match]:
    """Openings that the log saw too."""
    found: list[_Match] = []
    by_ends: dict[tuple[End, End], list[_Opening]] = {}
    to: dict[End, list[_Opening]] = {}
    for opening in openings:
        by_ends.setdefault((opening.source, opening.destination), []).append(opening)
        to.setdefault(opening.destination, []).append(opening)
    unnamed: dict[End, list[_Attempt]] = {}
    for attempt in seen.attempts:
        row = seen.sockets.get(attempt.socket)
        if row is None or row[0] != _SOCK_STREAM:
            continue
        local = row[1]
        if local is not None and local.port and not local.any:
            alike = by_ends.get((local, attempt.where), [])
            if len(alike) == 1:
                found.append(_Match(alike[0], attempt.entry_ns, attempt.took_ns, attempt.socket, sure=True))
        else:
            unnamed.setdefault(attempt.where, []).append(attempt)
    taken = {id(one.opening) for one in found}
    for where, attempts in unnamed.items():
        left = [opening for opening in to.get(where, ()) if id(opening) not in taken]
        # As many of one as of the other: each is the other's in the order of time.
        if len(left) == len(attempts):
            found += [
                _Match(opening, attempt.entry_ns, attempt.took_ns, attempt.socket, sure=False)
                for opening, attempt in zip(left, attempts, strict=True)
            ]
    if not found:
        for kind, local, remote, origin, created_ns in seen.sockets.values():
            alike = by_ends.get((remote, local), []) if local is not None and remote is not None else []
            if kind == _SOCK_STREAM and origin == "accept" and len(alike) == 1:
                found.append(_Match(alike[0], created_ns, 0, None, sure=True))
    return found


def _datagrams(seen: _Sightings, openings: list[_Opening], first_ns: int) -> list[int]:
    """Differences of the clocks by what was first sent to each place, where the log has no connection."""
    first: dict[End, int] = {}
    for opening in openings:
        first.setdefault(opening.destination, opening.at_ns)
    return [first[where] - (first_ns + entry_ns) for where, entry_ns in seen.spoken_to.items() if where in first]


def _shift(differences: list[int], survey: strace.Survey, slack_ns: int, *, sure: bool) -> int | None:
    """What has to be added to the log's times. Clocks of one machine differ by a time zone at most.

    Where the ends are not all known (not ``sure``) that alone is believed, and of a log without a clock that several fit.
    ``slack_ns`` is how much later than its call a frame may have left.
    """
    ordered = sorted(differences)
    middle = int(median(ordered))
    slack = _SAME_NS + slack_ns + (10**9 if survey.whole_seconds else 0)
    if survey.clock == "date" and abs(middle) <= slack:
        return 0
    if survey.clock == "day":
        zone = round(middle / _ZONE_NS) * _ZONE_NS
        if abs(middle - zone) <= slack:
            return zone
    fits = sum(1 for one in ordered if abs(one - middle) <= _SAME_NS)
    if sure or (survey.clock == "relative" and fits >= 2):
        return ordered[(len(ordered) - 1) // 2]
    return None
