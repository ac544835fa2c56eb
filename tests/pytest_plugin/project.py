"""A project whose tests are run by a pytest of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def run(folder: Path, text: str, *arguments: str, settings: str = "") -> subprocess.CompletedProcess[str]:
    """Run ``text`` as the only test file, with ``settings`` under ``[pytest]``."""
    (folder / "test_project.py").write_text(text)
    (folder / "pytest.ini").write_text(f"[pytest]\n{settings}\n")
    # Only what is looked at: the many plugins of the development tools take seconds to load.
    plugins = ["-p", "wallsocket.pytest_plugin", "-p", "xdist.plugin", "-p", "no:cacheprovider"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugins, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=110,
    )
