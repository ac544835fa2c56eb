"""A table of a recording as a mapping, without holding it: rows are read when they are asked for, a block at a time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, ItemsView, Iterator, Mapping, ValuesView
from typing import Any, Final, TypeVar

__all__ = ["Table"]

_Row = TypeVar("_Row")

#: Rows read at once: who asks for one mostly asks for its neighbours next.
_BLOCK_BITS: Final = 8
#: Blocks that stay in memory, of the latest that were asked for: what lives at one time in a busy program.
_BLOCKS: Final = 32


class Table(Mapping[int, _Row]):
    """The rows of a table by id, in the order of their ids.

    Args:
        read: gives the rows whose ids lie between two numbers, both included, in order.
        count: how many rows there are.
        identify: the id of a row.
    """

    __slots__ = ("_blocks", "_count", "_identify", "_latest", "_latest_number", "_read")

    def __init__(self, read: Callable[[int, int], Iterator[_Row]], count: int, identify: Callable[[_Row], int]) -> None:
        self._read = read
        self._count = count
        self._identify = identify
        self._blocks: OrderedDict[int, dict[int, _Row]] = OrderedDict()
        self._latest: dict[int, _Row] = {}
        self._latest_number: int | None = None

    def get(self, id: int, default: Any = None, /) -> Any:
        """The row of this id."""
        number = id >> _BLOCK_BITS
        if number != self._latest_number:
            self._latest = self._block(number)
            self._latest_number = number
        return self._latest.get(id, default)

    def __getitem__(self, id: int) -> _Row:
        row: _Row | None = self.get(id)
        if row is None:
            raise KeyError(id)
        return row

    def __contains__(self, id: object) -> bool:
        return isinstance(id, int) and self.get(id) is not None

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[int]:
        return map(self._identify, self._all())

    def values(self) -> ValuesView[_Row]:
        """All rows, read as they are iterated over."""
        return _Values(self)

    def items(self) -> ItemsView[int, _Row]:
        """All ids and rows, read as they are iterated over."""
        return _Items(self)

    def _all(self) -> Iterator[_Row]:
        return self._read(-(1 << 63), (1 << 63) - 1)

    def _block(self, number: int) -> dict[int, _Row]:
        block = self._blocks.get(number)
        if block is None:
            first = number << _BLOCK_BITS
            if -(1 << 63) <= first < 1 << 63:
                block = {self._identify(row): row for row in self._read(first, first + (1 << _BLOCK_BITS) - 1)}
            else:
                block = {}
            self._blocks[number] = block
            if len(self._blocks) > _BLOCKS:
                self._blocks.popitem(last=False)
        else:
            self._blocks.move_to_end(number)
        return block


class _Values(ValuesView[_Row]):
    _mapping: Table[_Row]

    def __iter__(self) -> Iterator[_Row]:
        return self._mapping._all()


class _Items(ItemsView[int, _Row]):
    _mapping: Table[_Row]

    def __iter__(self) -> Iterator[tuple[int, _Row]]:
        identify = self._mapping._identify
        return ((identify(row), row) for row in self._mapping._all())
