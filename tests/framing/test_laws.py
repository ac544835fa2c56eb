"""Laws of every framing: all cuttings are equal, decoding undoes encoding, time is linear."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.laws.framings import NetString, cut, framings, letters, messages_of, outcome, places
from wallsocket import framing

with_messages = framings().flatmap(lambda codec: st.tuples(st.just(codec), messages_of(codec)))


@given(with_messages, places)
def test_any_cutting_of_encoded_messages_gives_them_back(case, places):
    codec, sent = case
    stream = codec.encode_many(sent)
    assert stream == b"".join(map(codec.encode, sent))
    assert outcome(codec, cut(stream, places)) == (sent, None)


@given(with_messages)
def test_every_single_cut(case):
    codec, sent = case
    stream = codec.encode_many(sent)
    for place in range(len(stream) + 1):
        assert outcome(codec, [stream[:place], stream[place:]]) == (sent, None)
    assert outcome(codec, [stream[at : at + 1] for at in range(len(stream))]) == (sent, None)


@given(framings(), st.one_of(letters, st.binary()), places)
def test_any_cutting_of_any_bytes_is_equal(codec, stream, places):
    whole = outcome(codec, [stream])
    assert outcome(codec, cut(stream, places)) == whole
    assert outcome(codec, [stream[at : at + 1] for at in range(len(stream))]) == whole


@given(with_messages.filter(lambda case: case[1] and not case[0].ends_with_stream), st.data())
def test_a_cut_stream_names_what_is_missing(case, data):
    codec, sent = case
    stream = codec.encode_many(sent)
    last = len(codec.encode(sent[-1]))
    keep = data.draw(st.integers(1, last), label="bytes of the last message") - 1
    stream = stream[: len(stream) - last + keep]
    decoder = codec.decoder()
    found = decoder.feed(stream)
    assert found == sent[: len(found)]
    if len(found) < len(sent) - 1 or not keep:
        return
    if isinstance(codec, framing.Delimited) and not codec.strict:
        return
    with pytest.raises(framing.CutMessage) as caught:
        decoder.finish()
    fault = caught.value
    assert fault.received == keep
    assert fault.at == len(stream) - keep
    assert fault.missing == last - keep if fault.exact else 1 <= fault.missing <= last - keep


@given(framings(), st.one_of(letters, st.binary(min_size=1)), st.integers(1, 9))
def test_no_more_than_one_message_is_kept(codec, stream, size):
    decoder = codec.decoder()
    for at in range(0, len(stream), size):
        try:
            decoder.feed(stream[at : at + size])
        except framing.FramingError:
            assert decoder.buffered == 0
            return
        # Escapes double a message; a header or delimiter takes up to ten bytes.
        assert decoder.buffered <= 2 * codec.max_message + 10 + size


HOSTILE = {
    "escapes": (framing.Delimited(b"ab", escape=b"\\", max_message=1 << 30), b"\\\\"),
    "beginnings of a delimiter": (framing.Delimited(b"aaab", max_message=1 << 30), b"a"),
    "no delimiter": (framing.Delimited(b"\r\n", max_message=1 << 30), b"x"),
    "empty lines": (framing.Delimited(b"\n"), b"\n"),
    "empty messages": (framing.LengthPrefixed("varint"), b"\0"),
    "one long message": (framing.LengthPrefixed(8, max_message=1 << 40), (1 << 39).to_bytes(8, "big")),
    "until close": (framing.UntilClose(max_message=1 << 30), b"x"),
    "python, no delimiter": (NetString(1 << 30), b"1"),
    "python, short messages": (NetString(1 << 30), b"1:x,"),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("size", [1, 4096])
def test_hostile_input_costs_linear_time(name, size):
    codec, unit = HOSTILE[name]

    def cost_s(total):
        stream = (unit * (total // len(unit) + 1))[:total]
        pieces = [stream[at : at + size] for at in range(0, total, size)]
        best = float("inf")
        for _ in range(3):
            decoder = codec.decoder()
            start = time.thread_time()
            for piece in pieces:
                decoder.feed(piece)
            best = min(best, time.thread_time() - start)
        return best

    small = 20_000 if size == 1 or isinstance(codec, NetString) else 400_000
    # Quadratic time would give 64.
    assert cost_s(8 * small) < 24 * max(cost_s(small), 0.0005)


def test_a_fault_waits_behind_the_messages_before_it():
    for codec in (framing.LengthPrefixed(1, max_message=10), NetString(15)):
        decoder = codec.decoder()
        good = codec.encode(b"hi")
        assert decoder.feed(good + b"\xff:") == [b"hi"]
        assert isinstance(decoder.fault, framing.FramingError)
        assert decoder.fault.at == len(good)
        for _ in range(2):
            with pytest.raises(framing.FramingError):
                decoder.feed(b"")
        with pytest.raises(framing.FramingError):
            decoder.finish()
