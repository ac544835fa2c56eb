"""Test suites of well-known network programs and libraries, and what each of their tests said.

CPython's come with Debian's ``libpython3.N-testsuite``. The others are looked for in the folder that the environment
variable ``SOAK_SUITES`` names: each source tree under its suite's name, and in ``venv`` a Python that has what their
tests need. What is not there is left out.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

__all__ = ["SUITES", "Suite", "difference"]

#: On a loaded machine; the longest takes a few minutes on a quiet one.
PATIENCE_S: Final = 3000
#: The interpreter that CPython's tests are installed for.
PYTHON: Final = Path("/usr/bin/python3")
PLACE: Final = Path(os.environ.get("SOAK_SUITES", "/nonexistent"))


@dataclass(frozen=True)
class Suite:
    """One suite: what runs it in a fresh folder, and how its outcomes are read."""

    name: str
    #: From the fresh folder, which is also the working folder, to the command.
    command: Callable[[Path], list[str]]
    #: From that folder and the command's output to the outcome of each test.
    outcomes: Callable[[Path, str], dict[str, str]]
    #: Files without which it cannot be run.
    needs: tuple[Path, ...]
    #: Source tree that the fresh folder is a copy of.
    source: Path | None = None
    #: Names in that tree that are left out: what was built and installed is tested, not what lies beside the tests.
    without: tuple[str, ...] = ()

    def missing(self) -> list[str]:
        """What it needs and does not find."""
        return [str(path) for path in self.needs if not path.exists()]

    def run(self, *prefix: str) -> dict[str, str]:
        """Run it behind the words of ``prefix``: the outcome of each test."""
        # Not under pytest's folder: the path of a Unix socket has 107 bytes at most.
        with tempfile.TemporaryDirectory(prefix="s") as name:
            folder = Path(name) / "s"
            if self.source is None:
                folder.mkdir()
            else:
                shutil.copytree(self.source, folder, symlinks=True, ignore=shutil.ignore_patterns(*self.without))
            result = subprocess.run(
                [*prefix, *self.command(folder)],
                cwd=folder,
                env={**os.environ, "TMPDIR": str(folder)},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=PATIENCE_S,
                check=False,
            )
            outcomes = self.outcomes(folder, result.stdout)
        assert outcomes, result.stdout[-2000:] + result.stderr[-2000:]
        return outcomes


def difference(expected: Mapping[str, str], got: Mapping[str, str]) -> dict[str, tuple[str | None, str | None]]:
    """Tests whose outcomes differ."""
    return {
        name: (expected.get(name), got.get(name))
        for name in sorted(expected.keys() | got.keys())
        if expected.get(name) != got.get(name)
    }


def _collected(outcomes: list[tuple[str, str]]) -> dict[str, str]:
    """By name; of tests with one name the second is name (2)."""
    found: dict[str, str] = {}
    for name, outcome in outcomes:
        numbered = (name if number == 1 else f"{name} ({number})" for number in count(1))
        found[next(one for one in numbered if one not in found)] = outcome
    return found


def _junit(folder: Path, output: str) -> dict[str, str]:
    """As pytest and CPython's regrtest write them."""
    found = []
    report = folder / "results.xml"
    for case in ElementTree.parse(report).iter("testcase") if report.exists() else ():
        inside = [part.tag for part in case if part.tag in ("failure", "error", "skipped")]
        # regrtest says run or skipped in an attribute.
        status = case.get("status", "run")
        outcome = inside[0] if inside else "ok" if status == "run" else status
        found.append((f"{case.get('classname')}.{case.get('name')}", outcome))
    return _collected(found)


def _tap(folder: Path, output: str) -> dict[str, str]:
    """As ``prove -v`` writes them: a line with the file's name and dots, then the lines of its tests."""
    found = []
    file = ""
    for line in output.splitlines():
        if heading := re.match(r"(\S+\.t) \.\.+(.*)", line):
            file = heading[1]
            if "skipped" in heading[2]:
                found.append((file, "skipped"))
        elif test := re.match(r"(ok|not ok) (\d+)([^#]*)(# (?:T[O]DO|skip).*)?", line):
            found.append((f"{file} {test[2]}{test[3]}".strip(), f"{test[1]} {test[4] or ''}".strip()))
    return _collected(found)


def _redis(folder: Path, output: str) -> dict[str, str]:
    """As Redis's own runner in Tcl writes them, in colours: ``[ok]: NAME (12 ms)``."""
    found = []
    for line in re.sub(r"\x1b\[[0-9;]*m", "", output).splitlines():
        if test := re.match(r"\[(ok|err|ignore|skip|exception)\]: (.*?)(?: \(\d+ ms\))?$", line):
            found.append((re.sub(r"\d{4,}", "N", test[2]), test[1]))
    return _collected(found)


def _cpython(name: str, *options: str) -> Suite:
    tests = Path("/usr/lib") / PYTHON.resolve().name / "test"
    words = [str(PYTHON), "-m", "test", "--junit-xml"]
    needs = (PYTHON, tests / "libregrtest", tests / ("test_asyncio" if name == "test_asyncio" else f"{name}.py"))
    return Suite(name, lambda folder: [*words, str(folder / "results.xml"), *options, name], _junit, needs)


def _pytest(name: str, *options: str, without: tuple[str, ...] = ()) -> Suite:
    python = PLACE / "venv/bin/python"
    words = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junit-xml"]
    return Suite(
        name,
        lambda folder: [*words, str(folder / "results.xml"), *options],
        _junit,
        (python, PLACE / name),
        PLACE / name,
        without,
    )


def _shell(name: str, command: str, outcomes: Callable[[Path, str], dict[str, str]], *needs: str) -> Suite:
    return Suite(name, lambda folder: ["sh", "-c", command], outcomes, (*map(Path, needs), PLACE / name), PLACE / name)


#: All of them.
SUITES: Final = (
    # A socket of AF_VSOCK waits for ever where the kernel has vsock and no loopback for it.
    _cpython("test_socket", "-i", "*VSOCK*"),
    *map(_cpython, ("test_ssl", "test_asyncio", "test_httplib", "test_httpservers", "test_ftplib", "test_smtplib")),
    *map(_cpython, ("test_select", "test_selectors", "test_socketserver")),
    _pytest("h11", "h11"),
    _pytest("urllib3", "-p", "no:asyncio", "test", "--ignore", "test/contrib/emscripten"),
    # Others of test_log wait a tenth of a second for a subscription, and then for ever.
    _pytest("pyzmq", "tests", "--ignore", "tests/test_log.py", "--ignore", "tests/test_cython.py", without=("zmq",)),
    _pytest("paho_mqtt", "tests"),
    _shell(
        "nginx-tests",
        "TEST_NGINX_BINARY=/usr/sbin/nginx prove -v ${SOAK_NGINX:-h2*.t http_*.t proxy*.t upstream*.t}",
        _tap,
        "/usr/sbin/nginx",
        "/usr/bin/prove",
    ),
    _shell(
        "redis",
        "mkdir -p src && for name in server cli benchmark check-aof check-rdb sentinel; do "
        'ln -sf "$(command -v redis-$name)" src/; done; exec tclsh tests/test_helper.tcl --clients 1'
        " --single unit/protocol --single unit/networking --single unit/pubsub --single unit/limits --single unit/querybuf"
        " --single unit/replybufsize --single unit/type/list --single integration/block-repl --single integration/redis-cli",
        _redis,
        "/usr/bin/redis-server",
        "/usr/bin/tclsh",
    ),
)
