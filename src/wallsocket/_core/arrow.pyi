from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, Self, final

@final
class Stream:
    def __new__(
        cls,
        columns: Sequence[tuple[str, Literal["int", "float", "str", "bytes"]]],
        open: Callable[[], Iterable[list[tuple[Any, ...]]]],
    ) -> Self: ...
    @property
    def column_names(self) -> list[str]: ...
    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any: ...
