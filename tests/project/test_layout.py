"""What the layout promises, beyond the contracts of the import linter (pyproject.toml)."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support import repository

SOURCE = repository.ROOT / "src/wallsocket"
#: Modules of the package; a folder without ``__init__.py`` holds programs, which are data to us.
MODULES = sorted(
    path
    for path in SOURCE.rglob("*.py")
    if all((folder / "__init__.py").exists() for folder in path.parents if folder.is_relative_to(SOURCE))
)
#: Reached by a command only, not by ``import``.
NOT_PUBLIC = {"cli", "demo"}

# `socket` is the standard library's; apart from its constants only these parts make sockets or ask for names.
MAY_MAKE_SOCKETS = {
    "kernel",
    "endpoints",
    "wire",
    "lab",
    "trace",
    "testing",
    "serve",
    "web",
    "doctor",
    "demo",
    "lessons",
    "pytest_plugin",
}
CALLS_OF_SOCKET = {
    "socket",
    "socketpair",
    "create_connection",
    "create_server",
    "fromfd",
    "getaddrinfo",
    "gethostbyname",
    "gethostbyaddr",
    "getnameinfo",
    "if_nameindex",
    "if_nametoindex",
}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_sockets_are_made_in_few_places(path: Path) -> None:
    if MAY_MAKE_SOCKETS.intersection((path.relative_to(SOURCE).parts[0], path.stem)):
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            target = node.func
            is_socket = isinstance(target.value, ast.Name) and target.value.id == "socket"
            assert not (is_socket and target.attr in CALLS_OF_SOCKET), (
                f"{path.name}:{node.lineno} calls socket.{target.attr}: ask wallsocket.kernel (a Host) for it"
            )


def test_unsafe_code_stands_in_two_crates() -> None:
    for path in sorted((repository.ROOT / "crates").rglob("*.rs")):
        crate = path.relative_to(repository.ROOT / "crates").parts[0]
        # The preloaded library lives in other programs, and is little else.
        if crate in ("wallsocket-sys", "wallsocket-preload"):
            continue
        code = re.sub(r"//.*|\"(?:\\.|[^\"\\])*\"", "", path.read_text())
        assert not re.search(r"\bunsafe\s*(?:\{|fn|impl|extern)", code), (
            f"{path}: unsafe outside wallsocket-sys and wallsocket-preload"
        )


def test_every_crate_has_its_sentence() -> None:
    sentences = (repository.ROOT / "crates/README.md").read_text()
    for manifest in sorted((repository.ROOT / "crates").glob("*/Cargo.toml")):
        assert f"`{manifest.parent.name}`" in sentences, (
            f"crates/README.md does not say what {manifest.parent.name} is for"
        )


def test_the_pinned_tools_are_the_ones_asked_for() -> None:
    project = tomllib.loads((repository.ROOT / "pyproject.toml").read_text())
    for group in ("dev", "docs"):
        pinned = {
            name.lower().replace("_", "-")
            for name in re.findall(
                r"^([\w.-]+)==", (repository.ROOT / f"requirements-{group}.txt").read_text(), re.MULTILINE
            )
        }
        for requirement in project["project"]["dependencies"] + project["dependency-groups"][group]:
            name = re.match(r"[\w.-]+", requirement)
            assert name is not None
            assert name[0].lower().replace("_", "-") in pinned, (
                f"{name[0]} is not in requirements-{group}.txt: run `make lock`"
            )


def test_help_lists_every_target() -> None:
    makefile = (repository.ROOT / "Makefile").read_text()
    targets = set(re.search(r"^\.PHONY: (.*)", makefile, re.MULTILINE)[1].split())  # type: ignore[index]
    printed = subprocess.run(
        ["make", "-s", "help"], cwd=repository.ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert {line.split()[0] for line in printed} == targets


def test_importing_the_package_loads_nothing_heavy() -> None:
    program = "import sys, wallsocket; print(*sorted(m for m in sys.modules if m.split('.')[0] in " \
        "('anyio', 'click', 'msgspec', 'sqlite3', 'asyncio')))"  # fmt: skip
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert loaded == []


@pytest.mark.parametrize(
    "path", [p for p in MODULES if not p.name.startswith("_")], ids=lambda p: p.relative_to(SOURCE).as_posix()
)
def test_public_modules_list_their_names(path: Path) -> None:
    if (
        any(part.startswith("_") for part in path.relative_to(SOURCE).parts)
        or path.relative_to(SOURCE).parts[0] in NOT_PUBLIC
    ):
        return
    names = [
        node
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets)
    ]
    assert names, f"{path} has no __all__"
