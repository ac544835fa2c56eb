"""Whose code a line is: decided by what was installed, and by what was started."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.stacks.programs import HERE, Program, Start, eventually
from wallsocket import _core

python = _core.python

#: Blocks in a call that the standard library makes, and says before that it is about to.
BLOCKS = """
import oracle, socket

def wait():
    oracle.start()
    pair = socket.socketpair()
    pair[0].makefile("rb").read(1)
"""


class Prefix:
    """A folder like that of a virtual environment: ``bin`` and ``site-packages``."""

    def __init__(self, root: Path, start: Start) -> None:
        self.root = root
        self.start = start
        self.packages = root / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
        self.packages.mkdir(parents=True)
        (root / "bin").mkdir()

    def write(self, path: str, text: str) -> Path:
        """A file, relative to the packages."""
        file = (self.packages / path).resolve()
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def install(self, name: str, files: dict[str, str]) -> None:
        """Files with a list of them, as an installer leaves them."""
        for path, text in files.items():
            self.write(path, text)
        record = "".join(f"{path},sha256=0,{len(text)}\n" for path, text in files.items())
        self.write(f"{name}-1.0.dist-info/RECORD", record + f"{name}-1.0.dist-info/RECORD,,\n")

    def run(self, *arguments: object) -> Program:
        program: Program = self.start.command(  # type: ignore[attr-defined]
            ["env", f"PYTHONPATH={self.packages}:{HERE}", sys.executable, *map(str, arguments)]
        )
        return program


@pytest.fixture
def prefix(tmp_path: Path, start: Start) -> Prefix:
    return Prefix(tmp_path / "prefix", start)


def line_of(program: Program, **chosen: list[str]) -> tuple[str, str | None, str]:
    """File, place and function that the blocked call of the main thread is attributed to."""
    found = python.describe(program.pid, **chosen)
    assert found is not None

    def blocked() -> _core.python.Stack | None:
        stack = found.frames(program.pid)
        return stack if stack.waiting and stack.frames[0].function == "SocketIO.readinto" else None

    stack = eventually(blocked, "it waits for data")
    return Path(stack.top.file).name, stack.place, stack.top.function


def test_what_no_distribution_brought_is_the_users(prefix: Prefix) -> None:
    script = prefix.write("byhand/service.py", BLOCKS + "wait()\n")
    assert line_of(prefix.run(script)) == ("service.py", "user", "wait")


def test_what_another_distribution_brought_is_a_librarys(prefix: Prefix, tmp_path: Path) -> None:
    prefix.install("Dep", {"dep/__init__.py": BLOCKS})
    app = tmp_path / "app.py"
    app.write_text("import dep\ndef main():\n    dep.wait()\nmain()\n")
    program = prefix.run(app)
    assert line_of(program) == ("app.py", "user", "main")
    folder = str(prefix.packages / "dep")
    assert line_of(program, user_code=[folder]) == ("__init__.py", "user", "wait")
    name, place, _ = line_of(program, library=[str(app)])
    assert (name, place) == ("socket.py", "library")


@pytest.mark.parametrize("how", ["module", "submodule", "script", "file"])
def test_the_distribution_that_was_started_is_the_users(prefix: Prefix, how: str) -> None:
    prefix.install("dep", {"dep.py": BLOCKS})
    text = "import dep\n\ndef main():\n    dep.wait()\n"
    files = {"svc/__init__.py": "", "svc/core.py": text, "svc/__main__.py": "from svc.core import main\nmain()\n"}
    script = "import re\nimport sys\nfrom svc.core import main\nif __name__ == '__main__':\n    sys.exit(main())\n"
    prefix.install("Some_Service", {**files, "../../../bin/serve": script})
    arguments: dict[str, tuple[object, ...]] = {
        "module": ("-m", "svc"),
        "submodule": ("-m", "svc.__main__"),
        "script": (prefix.root / "bin" / "serve",),
        "file": (prefix.packages / "svc" / "__main__.py",),
    }
    assert line_of(prefix.run(*arguments[how])) == ("core.py", "user", "main")


def test_code_that_is_not_installed_goes_before_the_runner_that_was_started(prefix: Prefix, tmp_path: Path) -> None:
    prefix.install("runner", {"runner.py": BLOCKS + "import sys, runpy\nrunpy.run_path(sys.argv[1])\n"})
    case = tmp_path / "case.py"
    case.write_text("import sys\ndef test_it():\n    sys.modules['__main__'].wait()\ntest_it()\n")
    assert line_of(prefix.run("-m", "runner", case)) == ("case.py", "user", "test_it")


def test_a_list_of_files_that_is_missing_or_strange(prefix: Prefix, tmp_path: Path) -> None:
    prefix.install("dep", {"dep.py": BLOCKS})
    record = prefix.packages / "dep-1.0.dist-info" / "RECORD"
    record.unlink()
    app = tmp_path / "app.py"
    app.write_text("import dep\ndef main():\n    dep.wait()\nmain()\n")
    assert line_of(prefix.run(app)) == ("app.py", "user", "main")
    record.write_bytes(b'\xff\x00,"\n"dep.py\n../../../../etc/passwd,,\n')
    assert line_of(prefix.run(app))[1] == "user"
    record.unlink()
    record.mkdir()
    assert line_of(prefix.run(app)) == ("app.py", "user", "main")
