from typing import Any, TypeVar

_Event = TypeVar("_Event")

def events(
    kind: type[_Event],
    rows: list[tuple[Any, ...]],
    after: int | None,
    *,
    numbered: bool,
    allowed: bytes,
    alike: list[int],
    seen: dict[Any, Any],
) -> list[_Event]: ...
