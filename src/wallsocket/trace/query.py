"""A recording for data tools: SQL over its tables, and its tables as Arrow streams, which need no library here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import msgspec

from ..errors import UsageError
from ..events import (
    Binary,
    Call,
    Counter,
    Descriptor,
    Fact,
    Mark,
    Network,
    Packet,
    Process,
    Socket,
    Source,
    Stack,
    State,
)
from ..kernel import names as naming
from .syscalls import names

if TYPE_CHECKING:
    from .recording import Recording

__all__ = ["FUNCTIONS", "TABLES", "Columns", "Result", "sql", "table"]

Kind: TypeAlias = Literal["int", "float", "str", "bytes"]

#: Tables that can be had as Arrow, by name.
TABLES: Final[Mapping[str, type[Any]]] = {
    kind.__name__.lower(): kind
    for kind in (
        Process, Socket, Descriptor, Source, Call, State, Packet, Counter, Fact, Mark, Network, Binary, Stack,
    )
}  # fmt: skip
#: What SQL can ask beside SQLite's own functions: name -> what it gives.
FUNCTIONS: Final[Mapping[str, str]] = {
    "call_name": "the name of a system call: call_name(number)",
    "error_name": "the error of a failed call, NULL of others: error_name(result)",
    "address": "a sockaddr as text: address(local)",
    "state_name": "the name of a TCP state: state_name(state)",
}
#: Rows that are handed on at once.
_BATCH: Final = 8192
_KINDS: Final[Mapping[type, Kind]] = {int: "int", float: "float", str: "str", bytes: "bytes"}


class Columns:
    """Columns of rows, for whatever reads the Arrow PyCapsule stream: ``polars.DataFrame(…)``, ``pyarrow.table(…)``,
    ``duckdb``, ``pandas.DataFrame.from_arrow(…)``. Rows are made as they are taken, and can be taken again and again.
    """  # noqa: D205

    def __init__(
        self, columns: Sequence[tuple[str, Kind]], rows: Callable[[], Iterable[tuple[Any, ...]]], *, batch: int = _BATCH
    ) -> None:
        """``rows()`` gives the rows from the beginning; numbers are 64 bits wide."""
        self._columns = list(columns)
        self._rows = rows
        self._batch = batch

    @property
    def column_names(self) -> list[str]:
        """Names, in order."""
        return [name for name, _ in self._columns]

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self._rows())

    def _batches(self) -> Iterator[list[tuple[Any, ...]]]:
        rows = iter(self._rows())
        while batch := list(islice(rows, self._batch)):
            yield batch

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """The Arrow C stream of all rows (https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html)."""
        from .._core.arrow import Stream

        return Stream(self._columns, self._batches).__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        return f"<columns {', '.join(self.column_names)}>"


class Result:
    """The rows that a SELECT gave; also an Arrow stream, as :class:`Columns` is.

    Attributes:
        column_names: names, in order.
    """

    def __init__(self, column_names: Sequence[str], rows: list[tuple[Any, ...]]) -> None:
        self.column_names = list(column_names)
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self._rows)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return self._rows[index]

    def dicts(self) -> Iterator[dict[str, Any]]:
        """Each row by the names of its columns."""
        for row in self._rows:
            yield dict(zip(self.column_names, row, strict=True))

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """The Arrow C stream of all rows.

        Raises:
            UsageError: a column holds text in one row and something else in another.

        """
        kinds = [self._kind(index) for index in range(len(self.column_names))]
        columns = list(zip(self.column_names, kinds, strict=True))
        return Columns(columns, lambda: self._rows).__arrow_c_stream__(requested_schema)

    def _kind(self, index: int) -> Kind:
        found = {type(row[index]) for row in self._rows} - {type(None)}
        if found <= {int, float} and float in found:
            return "float"
        if len(found) > 1:
            what = " and ".join(sorted(kind.__name__ for kind in found))
            raise UsageError(f"the column {self.column_names[index]!r} holds {what}: CAST it to one of them")
        return _KINDS[found.pop()] if found else "str"

    def __repr__(self) -> str:
        return f"<{len(self)} rows of {', '.join(self.column_names)}>"


def table(recording: Recording, name: str) -> Columns:
    """A table of a recording, by its name in schema.sql."""
    kind = TABLES.get(name)
    if kind is None:
        raise UsageError(f"there is no table {name!r}; there are {', '.join(TABLES)}")
    kinds: dict[type, Kind] = {int: "int", str: "str", bytes: "bytes"}
    columns = [
        (
            field.name,
            kinds[next(one for one in kinds if one is field.type or one in getattr(field.type, "__args__", ()))],
        )
        for field in _fields(kind)
    ]
    return Columns(columns, lambda: map(msgspec.structs.astuple, recording.rows(kind)))


class _Field(msgspec.Struct, frozen=True):
    name: str
    type: Any


def _fields(kind: type[Any]) -> list[_Field]:
    from typing import get_type_hints

    hints = get_type_hints(kind)
    return [_Field(name, hints[name]) for name in kind.__struct_fields__]


def sql(recording: Recording, statement: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> Result:
    """Ask a recording a question in SQL."""
    calls = names(recording.meta.get("machine", ""))

    def quietly(say: Callable[..., str | None]) -> Callable[[Any], str | None]:
        def answer(value: Any) -> str | None:
            try:
                return None if value is None else say(value)
            except (OverflowError, TypeError, ValueError):
                return None  # no number that a kernel uses

        return answer

    functions: dict[str, Callable[[Any], Any]] = {
        "call_name": lambda number: calls.get(number, f"syscall {number}"),
        "error_name": quietly(lambda result: naming.error(-result) if -4096 < result < 0 else None),
        "address": quietly(naming.address),
        "state_name": quietly(naming.tcp_state),
    }
    return Result(*recording.select(statement, parameters, functions))
