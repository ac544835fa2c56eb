"""Recordings with any values in them: every view gives harmless lines, or one clear error."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.recordings import NUMBER, inet, row, tcp_frame, udp_frame, unix
from wallsocket import events
from wallsocket.trace.ladder import Ladder, header
from wallsocket.trace.recording import Writer
from wallsocket.trace.timeline import Timeline
from wallsocket.trace.views import call_lines, json_lines, packet_lines, state_lines
from wallsocket.trace.wire import decoded, segment, summary

A, B = "127.0.0.1:1000", "127.0.0.1:2000"

#: Mostly what a tracer writes, so that the joins have something to join, and sometimes what none would.
extreme = st.sampled_from([-(2**63), -(2**31), -4096, -1, 0, 2**31, 2**32, 2**63 - 1])
small = st.integers(0, 4)
ids = st.one_of(small, st.integers(0, 20), extreme, st.sampled_from([1, 2, 6, 10, 17]))
times = st.one_of(st.integers(0, 10_000), st.integers(0, 10_000_000_000), extreme)
texts = st.text(max_size=12) | st.sampled_from(
    ['["a","b"]', "\x1b[2J\u202e", "yes", "accept", "socketpair", "received"]
)
addresses = st.one_of(
    st.none(), st.sampled_from([inet(A), inet(B), unix(b"\0x"), unix(b"/x\x1b"), b""]), st.binary(max_size=40)
)
payloads = st.binary(max_size=40)
frames = st.one_of(
    st.sampled_from(
        [tcp_frame(A, B, flags, seq=1, payload=b"x" * n) for flags in ("S", "SA", "FA", "RA", "A") for n in (0, 3)]
    ),
    st.sampled_from([tcp_frame(B, A, "FA", seq=2**32 - 1), udp_frame(A, B, b"q")]),
    st.binary(max_size=80),
)

VALUES: dict[str, Any] = {
    "int": ids,
    "str": texts,
    "bytes": payloads,
}


def rows(kind: type[Any], **given_values: Any) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    """Rows of a table with values of the right types, which is all that the reader checks."""
    columns = {}
    for name, declared in kind.__annotations__.items():
        base, _, optional = declared.partition(" | ")
        strategy = given_values.get(name, times if name.endswith("_ns") else VALUES[base])
        columns[name] = st.none() | strategy if optional else strategy
    numbered = st.lists(st.fixed_dictionaries(columns), max_size=8)

    def number(items: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
        if "id" in columns:
            items = [item | {"id": index} for index, item in enumerate(items, 1)]
        return [row(kind, **item) for item in items]

    return numbered.map(number)


recordings = st.fixed_dictionaries(
    {
        "process": rows(events.Process),
        "socket": rows(
            events.Socket, local=addresses, remote=addresses, type=small, family=st.sampled_from([1, 2, 10, -1])
        ),
        "source": rows(events.Source),
        "call": rows(
            events.Call, number=st.sampled_from(sorted(NUMBER.values())), address=addresses, socket=small, made=small
        ),
        "state": rows(events.State, local=addresses, remote=addresses, socket=small, state=st.integers(0, 13)),
        "packet": rows(events.Packet, frame=frames, link_type=st.sampled_from([1, 101, -1, 2**40])),
        "mark": rows(events.Mark),
        "fact": rows(events.Fact),
        "counter": rows(events.Counter),
    }
)


@given(tables=recordings, meta=st.dictionaries(st.sampled_from(["ended_ns", "command", "wire", "lost"]), texts))
@settings(max_examples=60, deadline=None, database=None)
def test_any_values_give_harmless_lines(tables: dict[str, list[tuple[Any, ...]]], meta: dict[str, str]) -> None:
    writer = Writer.in_memory(meta={"machine": "x86_64"} | meta)
    for table, content in tables.items():
        writer.write(table, content)
    recording = writer.recording()
    for everything in (False, True):
        timeline = Timeline(recording, decode=segment, limit=None if everything else 2, everything=everything)
        ladder = Ladder(timeline, width=90, colour=False)
        lines = [*header(timeline, colour=False), *state_lines(timeline, colour=False)]
        for conversation in timeline.wanted():
            lines += ladder.draw(conversation)
        lines += ladder.summary(timeline.conversations)
        lines += call_lines(recording, colour=False, every_mark=everything)
        lines += packet_lines(recording, summary)
        for line in lines:
            assert line.isprintable(), ascii(line)
    for encoded in json_lines(recording, segment=decoded):
        assert len(json.loads(encoded)) == 1
