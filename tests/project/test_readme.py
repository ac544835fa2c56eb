"""What the README promises can be typed as it stands."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.support.repository import ROOT

README = (ROOT / "README.md").read_text()


def test_its_program_runs(tmp_path) -> None:
    (program,) = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("b'hello' ESTABLISHED\n", "")


def test_its_commands_and_options_are_there() -> None:
    shell = "".join(re.findall(r"^```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE))
    commands = set(re.findall(r"^wallsocket ([a-z]+)", shell, re.MULTILINE)) | {"trace", "show", "rule", "lab", "arp"}
    helps = {}
    for command in commands:
        words = [sys.executable, "-m", "wallsocket", command, "--help"]
        helps[command] = subprocess.run(words, capture_output=True, text=True, timeout=60).stdout
        assert helps[command].startswith(f"Usage: wallsocket {command}")
    options = set(re.findall(r"(?<![-\w])(--[a-z][a-z-]+)", README)) - {"--port"}
    assert len(options) > 8
    assert not {option for option in options if not any(option in text for text in (*helps.values(), "--help"))}


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\((?!http)([^)#]+)\)", README))))
def test_its_links_lead_somewhere(link: str) -> None:
    assert (ROOT / link).exists()
