"""A project whose tests are run by a pytest of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TextIO


def _prepare(folder: Path, text: str, settings: str, arguments: tuple[str, ...]) -> tuple[list[str], dict[str, str]]:
    (folder / "test_project.py").write_text(text)
    (folder / "pytest.ini").write_text(f"[pytest]\n{settings}\n")
    # Only what is looked at: the many plugins of the development tools take seconds to load.
    plugins = ["-p", "wallsocket.pytest_plugin", "-p", "xdist.plugin", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return [sys.executable, "-m", "pytest", "-q", *plugins, *arguments], environment


def run(folder: Path, text: str, *arguments: str, settings: str = "") -> subprocess.CompletedProcess[str]:
    """Run ``text`` as the only test file, with ``settings`` under ``[pytest]``."""
    command, environment = _prepare(folder, text, settings, arguments)
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=110)


def start(folder: Path, text: str, *arguments: str, output: TextIO) -> subprocess.Popen[str]:
    """The same, while the caller looks on; everything it prints goes to ``output``."""
    command, environment = _prepare(folder, text, "", arguments)
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output, text=True)
