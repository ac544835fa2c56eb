"""No two modules need each other when they are imported; where one makes the other, it imports it when it is called."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..support.repository import ROOT

#: (who names the other's types or makes it when called, what that is built on) -> why the two name each other.
EXPLAINED = {
    ("cli.explain", "cli.rule"): "explain --rule names rules as rule does; rule play runs explain",
    ("diagnose.audience", "diagnose.subjects"): "types alone: a socket knows which trackers want its calls",
    ("diagnose.facts", "diagnose.tracker"): "types alone: trackers are found in the facts that they read",
    ("endpoints.aio.messages", "endpoints.aio.stream"): "a stream makes its message stream",
    ("endpoints.base", "endpoints.reasons"): "an error looks its reason up when it is asked for",
    ("endpoints.drawing", "endpoints.states"): "states draw themselves when they are shown",
    ("endpoints.messages", "endpoints.stream"): "a stream makes its message stream",
    ("lab.bound", "lab.host"): "a host makes what is bound to its network",
    ("lab.drawing", "lab.network"): "a network draws itself when it is shown",
    ("lab.host", "lab.link"): "types alone: hosts know their links",
    ("lab.host", "lab.network"): "a host knows its network, and waits for its addresses",
    ("lab.host", "lab.program"): "types alone: a program knows where it runs",
    ("lab.link", "lab.network"): "a link knows its network, and asks whether its ends are switches",
    ("trace.query", "trace.recording.reader"): "types alone: a recording is asked by SQL",
    ("trace.recording.following", "trace.recording.reader"): "a recording that grows is opened anew for each look",
    ("trace.recording.reader", "trace.timeline"): "a recording tells its conversations",
}


def test_two_modules_that_name_each_other_are_explained_and_never_at_import() -> None:
    source = ROOT / "src" / "wallsocket"
    modules = {_name(path, source): path for path in source.rglob("*.py") if "examples" not in path.parts}
    edges = {name: dict(_edges(name, path, modules)) for name, path in modules.items()}
    # Who names a package names what that takes from its own modules.
    inside = {
        name: {inner for inner, early in named.items() if early and inner.startswith(f"{name}.")}
        for name, named in edges.items()
    }
    for named in edges.values():
        for name, early in list(named.items()):
            for inner in inside.get(name, ()):
                named[inner] = named.get(inner, False) or early
    circles = {(one, other) for one, named in edges.items() for other in named if one < other and one in edges[other]}
    assert circles == set(EXPLAINED)
    for one, other in circles:
        assert not (edges[one][other] and edges[other][one]), f"{one} and {other} import each other when imported"


def _name(path: Path, source: Path) -> str:
    return ".".join(path.relative_to(source).with_suffix("").parts).removesuffix("__init__").removesuffix(".")


def _edges(name: str, path: Path, modules: dict[str, Path]) -> Iterator[tuple[str, bool]]:
    """(module, whether it is imported when this one is)."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    found: dict[str, bool] = {}
    for node, at_import in _imports(ast.parse(path.read_text()).body):
        if node.level == 0:
            if not (node.module or "").startswith("wallsocket"):
                continue
            base = (node.module or "").split(".")[1:]
        else:
            base = package[: len(package) - node.level + 1] + (node.module.split(".") if node.module else [])
        for alias in node.names:
            module = ".".join([*base, alias.name])
            target = module if module in modules else ".".join(base)
            if target in modules and target not in ("", name):
                found[target] = found.get(target, False) or at_import
    yield from found.items()


def _imports(nodes: Iterable[ast.stmt], *, at_import: bool = True) -> Iterator[tuple[ast.ImportFrom, bool]]:
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            yield node, at_import
        later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        types = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for field in ("body", "orelse", "finalbody"):
            inner = getattr(node, field, ())
            yield from _imports(inner, at_import=at_import and not later and not (types and field == "body"))
        for handler in getattr(node, "handlers", ()):
            yield from _imports(handler.body, at_import=at_import and not later)
