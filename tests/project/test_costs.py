"""The README's table of costs is the one that ``scripts/costs`` writes."""

from __future__ import annotations

import importlib.machinery
import importlib.util
from types import ModuleType

from tests.support.repository import ROOT


def costs() -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("costs", str(ROOT / "scripts/costs"))
    specification = importlib.util.spec_from_loader("costs", loader)
    assert specification is not None
    module = importlib.util.module_from_spec(specification)
    loader.exec_module(module)
    return module


def test_each_figure_is_a_range_per_call() -> None:
    made = costs().table(
        {
            "C": {"untraced": [4.0, 5.0, 4.0], "wallsocket, calls only": [54.0, 305.0, 64.0]},
            "Python": {"untraced": [6.0, 6.0, 6.0], "wallsocket, calls only": [66.0, 76.0, 86.0]},
        }
    )
    assert made == [
        "| mode | what each socket call pays | C program | Python program |",
        "|---|---|---|---|",
        "| `--no-kernel --no-lines` | two stops, arguments and the first 64 bytes | 25–150 µs | 30–40 µs |",
    ]


def test_the_readme_has_its_place() -> None:
    module = costs()
    readme = (ROOT / "README.md").read_text()
    assert readme.count(module.BEGIN) == readme.count(module.END) == 1
    between = readme[readme.index(module.BEGIN) : readme.index(module.END)]
    assert between.splitlines()[1] == "| mode | what each socket call pays | C program | Python program |"


def test_its_rows_are_what_the_benchmark_measures() -> None:
    from pathlib import Path

    from bench import trace

    known = trace._tracers(Path("/nowhere"))
    names = {name for name in costs().ROWS if not name.startswith("strace")}
    assert names <= known.keys()
