"""The tree that the module draws is the tree that it has."""

from __future__ import annotations

import inspect
import re

from wallsocket import errors


def drawn() -> list[tuple[str, str]]:
    """Each class of the picture with its parent there, in order."""
    above: list[tuple[int, str]] = []
    found = []
    for line in (errors.__doc__ or "").splitlines():
        matched = re.match(r"( {4}[│├└─ ]*)([A-Z]\w+)  ", line)
        if matched is None:
            continue
        depth, name = len(matched[1]), matched[2]
        above = [entry for entry in above if entry[0] < depth]
        found.append((name, above[-1][1] if above else "Exception"))
        above.append((depth, name))
    return found


def test_the_tree_is_complete_and_right() -> None:
    classes = {name: kind for name, kind in vars(errors).items() if inspect.isclass(kind)}
    assert dict(drawn()) == {name: kind.__bases__[0].__name__ for name, kind in classes.items()}
    assert sorted(classes) == errors.__all__


def test_other_bases_are_told() -> None:
    for name, kind in vars(errors).items():
        if inspect.isclass(kind) and len(kind.__bases__) > 1 and not issubclass(kind.__base__, OSError):
            line = next(line for line in (errors.__doc__ or "").splitlines() if f" {name} " in line)
            assert kind.__bases__[1].__name__ in line
