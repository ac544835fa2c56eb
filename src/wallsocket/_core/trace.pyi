import os
from typing import Any, final

def syscalls() -> list[tuple[str, int | None, int | None, str, str, tuple[str, str, str] | list[str], str]]: ...

@final
class Rows:
    @property
    def received(self) -> int:
        """Rows that came, without those that are added here."""

    def __new__(cls, guardian: str | os.PathLike[str], user: list[str], libraries: list[str]) -> Rows: ...
    def feed(self, data: bytes) -> dict[str, list[tuple[Any, ...]]]: ...

@final
class NativeLines:
    def __new__(cls, guardian: str | os.PathLike[str], user: list[str], libraries: list[str]) -> NativeLines: ...
    def at(self, pid: int, instruction: int, stack: int) -> tuple[str | None, int | None, str | None, int] | None: ...
    def stack(
        self, pid: int, instruction: int, stack: int
    ) -> list[tuple[str | None, int | None, str | None]] | None: ...
