"""Each rule has a page, whatever it looks at."""

from __future__ import annotations

import importlib.util
import sys
from collections import defaultdict
from importlib.machinery import SourceFileLoader
from types import ModuleType

import pytest

from tests.support.repository import ROOT
from wallsocket.diagnose import Rule, all_rules
from wallsocket.lessons.catalogue import all_claims


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The program, without its examples being played."""
    loader = SourceFileLoader("rule_pages", str(ROOT / "scripts/rule-pages"))
    specification = importlib.util.spec_from_loader("rule_pages", loader)
    assert specification is not None
    module = importlib.util.module_from_spec(specification)
    sys.path.insert(0, str(ROOT / "scripts"))
    written = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        loader.exec_module(module)
    finally:
        sys.path.pop(0)
        sys.dont_write_bytecode = written
    return module


@pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: rule.id)
def test_a_rule_has_a_page(rule: Rule, script: ModuleType) -> None:
    page = script.page(rule, "what explain says", defaultdict(list), script.sections().get(rule.id, ""))
    assert f"`{rule.id}`" in page
    assert f"- {script.plain(rule.symptoms[0])}" in page
    assert script.plain(rule.fix) in page
    assert "what explain says" in page


def test_a_rule_names_the_lesson_that_has_it(script: ModuleType) -> None:
    named = {
        one.removeprefix("wallsocket rule "): claim for claim in all_claims() for one in claim.read if "rule " in one
    }
    assert named
    for rule in all_rules():
        page = script.page(rule, "", defaultdict(list), "")
        assert ("A lesson has a program with it:" in page) == (rule.id in named)
        if rule.id in named:
            assert f"../lesson/{named[rule.id].lesson}.md#{named[rule.id].id.lower()}" in page
