"""Text for a terminal: harmless, and of the width that was asked for."""

from __future__ import annotations

import json
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wallsocket.trace.text import Style, column_width, escape, fit, json_line, pad, paint, printable_payload, wrap


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("größer 漢字 ✓", "größer 漢字 ✓"),
        ("\x1b[2J\r\n\t\x00", r"\x1b[2J\r\n\t\x00"),
        ("\x9b31m\x85", r"\x9b31m\x85"),
        ("user\u202etxt.exe", r"user\u202etxt.exe"),
        ("\u2066\u2069\u200b\u200d\ufeff", r"\u2066\u2069\u200b\u200d\ufeff"),
        ("\u2028\u2029", r"\u2028\u2029"),
        ("\ud800", r"\ud800"),
        ("a\u00a0b", "a b"),
        ("e\u0301", "e\u0301"),
        ("e" + "\u0301" * 4, "e\u0301\u0301" + r"\u0301\u0301"),
    ],
)
def test_escape(text: str, expected: str) -> None:
    assert escape(text) == expected


@given(st.text())
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    safe = escape(text)
    assert safe.isprintable()
    assert not any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") for character in safe)


@given(st.text(max_size=30).map(escape), st.integers(0, 40))
def test_padding_gives_exactly_the_width(text: str, width: int) -> None:
    assert column_width(pad(text, width)) == width
    assert column_width(fit(text, width)) <= width
    if column_width(text) <= width:
        assert fit(text, width) == text


def test_wide_characters_take_two_columns() -> None:
    assert column_width("漢字a") == 5
    assert fit("漢字漢字", 4) == "漢…"
    assert pad("漢", 4) == "漢  "
    assert column_width("e\u0301") == 1


def test_wrap() -> None:
    assert wrap(["aa", "bb", "cc"], 5) == ["aa bb", "cc"]
    assert wrap(["aa", "bb", "cccccccc", "dd"], 5, "  ") == ["aa bb", "  ccc", "  ccc", "  cc", "  dd"]
    assert wrap([], 5) == []
    assert wrap(["connect(127.0.0.1:45307)"], 21, "  ") == ["connect(", "  127.0.0.1:45307)"]
    assert wrap(["connect(127.0.0.1:45307)"], 12, "  ") == ["connect(127.", "  0.0.1:4530", "  7)"]


@given(st.lists(st.text(max_size=20).map(escape), max_size=8), st.integers(6, 30))
def test_wrapped_lines_fit_and_hold_everything(words: list[str], width: int) -> None:
    lines = wrap(words, width, "  ")
    assert all(column_width(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == "".join(words).replace(" ", "")


def test_payload() -> None:
    assert printable_payload(b'a"\\\n\x00\xff', limit=10) == r'"a\"\\\n\x00\xff"'
    assert printable_payload(b"abcdef", limit=3) == '"abc"…'
    assert printable_payload(b"abc", limit=3, total=3) == '"abc"'
    assert printable_payload(b"abc", limit=3, total=4) == '"abc"…'


def test_colour_only_where_wanted() -> None:
    assert paint("x", Style.ERROR, colour=True) == "\x1b[31mx\x1b[0m"
    assert paint("x", Style.ERROR, colour=False) == "x"
    assert paint("x", Style.PLAIN, colour=True) == "x"


@given(st.text() | st.sampled_from(["\x9b31m", "\u202eevil", "\x7f", "\U000e0067", "é漢", "\u00a0", "\u2028"]))
def test_json_is_inert_and_loses_nothing(text: str) -> None:
    line = json_line({"text": text})
    assert json.loads(line) == {"text": text}
    shown = line.decode()
    assert all(character.isprintable() or character in "\u00a0\u202f" for character in shown)


def test_a_word_is_wrapped_in_time_that_grows_with_its_length() -> None:
    began = time.process_time()
    lines = wrap(["ab", "z" * 1_000_000, "漢" * 100_000], 80, "  ")
    assert time.process_time() - began < 5
    assert max(map(column_width, lines)) == 80
    assert "".join(line.strip() for line in lines) == "ab" + "z" * 1_000_000 + "漢" * 100_000
