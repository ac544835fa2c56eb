"""The text of lessons as data."""

from __future__ import annotations

from wallsocket.lessons import markdown
from wallsocket.lessons.catalogue import all_lessons
from wallsocket.lessons.markdown import Items, Paragraph, Span, Table


def test_a_line_has_code_strong_words_and_emphasis() -> None:
    assert markdown.spans("`a*b*` is **very much** so, 2 * 3 * 4 is *not*") == [
        Span("code", "a*b*"), Span("text", " is "), Span("strong", "very much"), Span("text", " so, 2 * 3 * 4 is "),
        Span("emphasis", "not"),
    ]  # fmt: skip
    assert markdown.spans("") == []


def test_paragraphs_lists_and_tables_are_told_apart() -> None:
    text = "One\nparagraph.\n\n- first\n  goes on\n- second\n\n1. one\n2. two\n\n| a | b |\n|---|---|\n| `c` | d |"
    assert list(markdown.parts(text)) == [
        Paragraph([Span("text", "One\nparagraph.")]),
        Items(False, [[Span("text", "first\n  goes on")], [Span("text", "second")]]),
        Items(True, [[Span("text", "one")], [Span("text", "two")]]),
        Table([[Span("text", "a")], [Span("text", "b")]], [[[Span("code", "c")], [Span("text", "d")]]]),
    ]


def test_no_text_of_a_lesson_is_left_out() -> None:
    def words(spans: list[Span]) -> str:
        return "".join(span.text for span in spans)

    for lesson in all_lessons():
        for block in (*lesson.blocks, *(block for claim in lesson.claims for block in claim.blocks)):
            if block.kind != "text":
                continue
            said = ""
            for part in markdown.parts(block.text):
                match part:
                    case Paragraph(spans):
                        said += words(spans)
                    case Items(_, items):
                        said += "".join(map(words, items))
                    case Table(head, rows):
                        said += "".join(map(words, [*head, *(cell for row in rows for cell in row)]))
            letters = [letter for letter in block.text if letter.isalpha()]
            assert [letter for letter in said if letter.isalpha()] == letters, f"{lesson.id}:{block.line}"
