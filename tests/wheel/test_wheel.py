"""The wheel and the source archive, as a user gets them: no compiler, no network, an empty environment."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.support import repository

# One environment for all of them.
pytestmark = pytest.mark.xdist_group("wheel")

DIST = repository.ROOT / "dist"
WHEELHOUSE = repository.ROOT / "build/wheelhouse"


@pytest.fixture(scope="module")
def wheel() -> Path:
    found = list(DIST.glob("wallsocket-*.whl"))
    if not found:
        pytest.skip("no wheel in dist/: `make wheel` makes it, `make test` does so by itself")
    assert len(found) == 1, found
    return found[0]


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that holds the wheel and what it asks for, and nothing else; its ``bin`` folder."""
    place = tmp_path_factory.mktemp("wheel") / "environment"
    subprocess.run(
        [sys.executable, "-m", "virtualenv", "-q", "--no-download", "--no-periodic-update", place], check=True
    )
    # PATH holds the environment alone: no compiler, no cargo, no maturin.
    subprocess.run(
        [place / "bin/python", "-m", "pip", "install", "-q", "--no-index", "--find-links", WHEELHOUSE, wheel],
        check=True,
        env={"PATH": str(place / "bin"), "HOME": str(place), "TMPDIR": os.environ.get("TMPDIR", "/tmp")},
    )
    return place / "bin"


def _run(installed: Path, *command: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment["PATH"] = str(installed)
    return subprocess.run(
        [installed / command[0], *command[1:]],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        cwd=folder or installed,
    )


def test_is_one_small_wheel_for_every_python(wheel: Path) -> None:
    assert wheel.name.endswith("x86_64.whl")
    assert "-cp311-abi3-manylinux" in wheel.name
    assert wheel.stat().st_size <= 8 << 20


def test_holds_what_it_needs_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    for needed in (
        "wallsocket/_core.abi3.so",
        "wallsocket/py.typed",
        "wallsocket/trace/schema.sql",
        "wallsocket/trace/guardian",
        "wallsocket/trace/preload.so",
        "wallsocket/lab/holder",
    ):
        assert needed in names
    assert any(name.endswith("LICENSE-MIT") for name in names)
    strangers = [n for n in names if n.split("/")[0] not in ("wallsocket",) and ".dist-info/" not in n]
    assert strangers == []
    assert not [name for name in names if "__pycache__" in name or name.endswith((".rs", ".pyc"))]


def test_the_module_loads(installed: Path) -> None:
    shown = _run(
        installed, "python", "-c", "import wallsocket, wallsocket._core as c; print(wallsocket.__version__, c.__file__)"
    )
    assert shown.returncode == 0, shown.stderr
    version, file = shown.stdout.split()
    assert version == "0.1.0"
    assert Path(file).is_relative_to(installed.parent)


def test_the_guardian_can_be_started(installed: Path) -> None:
    guardian = next(installed.parent.glob("lib/python3*/site-packages/wallsocket/trace/guardian"))
    assert os.access(guardian, os.X_OK), "pip dropped the executable bit"
    with guardian.open("rb") as file:
        head = file.read(4096)
    assert head[:4] == b"\x7fELF"
    assert b"ld-linux" not in head, "the guardian asks for a dynamic loader"


def test_the_command_answers(installed: Path) -> None:
    shown = _run(installed, "wallsocket", "--help")
    assert shown.returncode == 0, shown.stderr
    assert "explain" in shown.stdout


def test_the_demo_runs(installed: Path) -> None:
    shown = _run(installed, "wallsocket", "demo")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "one-recv-per-message" in shown.stdout + shown.stderr


#: A project that has nothing else to do with Wallsocket. Ten at once: each has the same addresses to itself.
PROJECT = """
import sys
import pytest

@pytest.mark.parametrize("number", range(10))
def test_my_client_survives_loss(wallsocket_lab, number):
    client, server = wallsocket_lab.hosts("client", "server", loss="10%")
    server.popen([sys.executable, "-m", "http.server", "80"])
    assert client.run([sys.executable, "my_client.py", "http://server/"], timeout=90).returncode == 0
"""
CLIENT = """
import sys, time, urllib.error, urllib.request
while True:
    try:
        sys.exit(urllib.request.urlopen(sys.argv[1], timeout=60).status != 200)
    except urllib.error.URLError:
        time.sleep(0.05)  # the server is not up yet
"""


def test_the_pytest_fixture_is_there_for_any_project(installed: Path, tmp_path: Path) -> None:
    command = [
        installed / "python",
        "-m",
        "pip",
        "install",
        "-q",
        "--no-index",
        "--find-links",
        WHEELHOUSE,
        "pytest",
        "pytest-xdist",
    ]
    subprocess.run(command, check=True, env={"PATH": str(installed), "HOME": str(tmp_path)})
    (tmp_path / "test_project.py").write_text(PROJECT)
    (tmp_path / "my_client.py").write_text(CLIENT)
    options = ["-q", "-p", "no:cacheprovider", "-n", "3", f"--rootdir={tmp_path}"]
    shown = _run(installed, "python", "-m", "pytest", *options, str(tmp_path), folder=tmp_path)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "10 passed" in shown.stdout


def test_the_source_archive_is_whole(wheel: Path) -> None:
    archives = list(DIST.glob("wallsocket-*.tar.gz"))
    assert len(archives) == 1
    with tarfile.open(archives[0]) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    needed = {"pyproject.toml", "Cargo.toml", "Cargo.lock", "LICENSE-APACHE", "LICENSE-MIT", "README.md"}
    needed |= {"scripts/build_backend.py", "src/wallsocket/__init__.py", "crates/wallsocket-py/src/lib.rs"}
    assert needed <= names, needed - names
    assert not [name for name in names if name.endswith((".so", ".pyc")) or name == "src/wallsocket/trace/guardian"]
