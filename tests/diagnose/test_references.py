"""Where each rule says that its facts can be read up."""

from __future__ import annotations

import re

import pytest

from wallsocket.diagnose import all_rules

FORMS = re.compile(r"[A-Za-z][\w.+-]*\(\d(?:ssl)?\)|RFC \d{3,4}(?: \d+(?:\.\d+)*)?|(?:net|include|kernel)/[\w/]+\.[ch]")


@pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: rule.id)
def test_references_are_pages_of_the_manual_or_sections_of_an_rfc(rule: object) -> None:
    references = rule.references  # type: ignore[attr-defined]
    assert references
    assert len(set(references)) == len(references)
    for reference in references:
        assert FORMS.fullmatch(reference), reference
