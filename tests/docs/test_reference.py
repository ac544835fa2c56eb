"""The reference has every public name."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.docs.pages import DOCS
from tests.support.repository import ROOT

PYTHON = ROOT / "build/docs-environment/bin/python"
#: Half a minute of work, which takes its time where others work, too.
LIMIT_S = 1200
#: Reads and resolves as make docs does, with every warning an error, so that docstrings that cannot be rendered are found;
#: writes no pages.
READ = """\
import json, sys
from sphinx.application import Sphinx

folder = sys.argv[1]
app = Sphinx(folder, folder, f"{folder}/out", f"{folder}/trees", "dummy", status=None, warningiserror=True)
app.build()
print(json.dumps([name for name, *_ in app.env.get_domain("py").get_objects()]))
sys.exit(app.statuscode)
"""
#: The public modules.
MODULES = (
    *(
        "aio",
        "diagnose",
        "errors",
        "framing",
        "kernel",
        "lab",
        "options",
        "raw",
        "reasons",
        "states",
        "tcp",
        "trace",
        "udp",
    ),
    *("unix", "wire", "wire.columns", "events", "testing.awkward", "testing.conformance"),
)

pytestmark = [
    pytest.mark.skipif(not PYTHON.exists(), reason="the documents' tools are not installed: scripts/docs environment"),
    pytest.mark.xdist_group("reference"),
    pytest.mark.timeout(LIMIT_S + 30),  # the first of them builds the reference
]


@pytest.fixture(scope="module")
def inventory(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names that the built reference has an entry for."""
    folder = tmp_path_factory.mktemp("reference")
    shutil.copytree(DOCS / "reference", folder / "reference")
    shutil.copy(DOCS / "conf.py", folder)
    shutil.copytree(DOCS / "_static", folder / "_static")
    pages = sorted(
        set(re.findall(r"\]\(\.\./([\w-]+)\.md\)", "".join(map(Path.read_text, (folder / "reference").iterdir()))))
    )
    for page in pages:
        (folder / f"{page}.md").write_text(f"# {page}\n")
    listed = "\n".join(["reference/index", *pages])
    (folder / "index.md").write_text(f"# Reference\n\n```{{toctree}}\n{listed}\n```\n")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    words = [str(PYTHON), "-c", READ, str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=LIMIT_S, env=environment)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def resolved(name: str) -> Any:
    """What a name of the inventory means, or None."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            value: Any = importlib.import_module(".".join(parts[:length]))
        except ImportError:
            continue
        for part in parts[length:]:
            value = getattr(value, part, None)
        return value
    return None


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_there(module: str, inventory: set[str]) -> None:
    package = importlib.import_module(f"wallsocket.{module}")
    assert f"wallsocket.{module}" in inventory
    there = {id(value) for name in inventory if (value := resolved(name)) is not None}
    missing = []
    for name in package.__all__:
        value = getattr(package, name)
        # A class or function may stand under another of its names, a module under its own.
        known = callable(value) and id(value) in there
        if isinstance(value, ModuleType):
            known = value.__name__ in inventory
        if not known and f"wallsocket.{module}.{name}" not in inventory:
            missing.append(name)
    assert not missing, f"docs/reference lacks names of wallsocket.{module}: {', '.join(missing)}"


def test_the_modules_are_all() -> None:
    """A new public module needs its page."""
    import wallsocket

    assert set(wallsocket._MODULES) <= set(MODULES)
