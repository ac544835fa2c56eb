"""The logic of the page, without a browser."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
STATIC = HERE.parents[1] / "src/wallsocket/web/static"
NODE = shutil.which("node")


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_logic() -> None:
    done = subprocess.run(
        [str(NODE), "--test", *map(str, sorted(HERE.glob("*.test.mjs")))],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "# fail 0" in done.stdout


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_syntax() -> None:
    # One process for all: a module is compiled, not run.
    check = """
      import { readFileSync } from "node:fs";
      import { SourceTextModule } from "node:vm";
      for (const path of process.argv.slice(1)) new SourceTextModule(readFileSync(path, "utf8"), { identifier: path });
    """
    modules = sorted(map(str, STATIC.glob("*.mjs")))
    assert modules
    command = [str(NODE), "--no-warnings", "--experimental-vm-modules", "--input-type=module", "-e", check, *modules]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("sheet", sorted(STATIC.glob("*.css")), ids=lambda path: path.name)
def test_rules_of_a_style_sheet_are_closed(sheet: Path) -> None:
    depth = 0
    for number, line in enumerate(sheet.read_text().splitlines(), 1):
        # A rule stands alone or in one condition; nothing else is nested here.
        assert not (line.startswith("/*") and depth), f"{sheet.name}:{number}: a rule above is not closed"
        depth += line.count("{") - line.count("}")
        assert 0 <= depth <= 2, f"{sheet.name}:{number}"
    assert depth == 0


def test_nothing_is_loaded_from_elsewhere_and_no_text_becomes_markup() -> None:
    for path in STATIC.iterdir():
        text = path.read_text()
        assert "innerHTML" not in text, path
        assert "insertAdjacentHTML" not in text, path
        assert "eval(" not in text, path
        if path.suffix == ".html":
            assert "style=" not in text
            assert "<script>" not in text
        for scheme in ("http://", "https://", "//cdn"):
            assert text.replace("http://www.w3.org/2000/svg", "").count(scheme) == 0, path
