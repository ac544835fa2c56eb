from collections.abc import Sequence
from typing import Final, Self, final

BATCH_MAXIMUM: Final[int]

@final
class Batch:
    def __new__(cls, count: int, size: int) -> Self: ...
    def receive(self, descriptor: int, count: int, flags: int) -> list[tuple[bytes, bytes, bool]]: ...

def send_many(descriptor: int, datagrams: Sequence[tuple[bytes, bytes]], flags: int) -> int: ...
