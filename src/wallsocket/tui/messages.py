"""What panels say to the application."""

from __future__ import annotations

from typing import Literal

from textual.message import Message

from ..view import Status

__all__ = ["Changed", "Jump", "Printed"]


class Changed(Message):
    """The recording has been read further."""

    def __init__(self, status: Status) -> None:
        super().__init__()
        self.status = status


class Printed(Message):
    """The traced command has printed a line."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class Jump(Message):
    """Something was chosen: a finding, a conversation, or a row that stands in a ladder."""

    def __init__(
        self,
        what: Literal["finding", "conversation", "row", "detail"],
        *,
        number: int = 0,
        table: str = "",
        row: int = 0,
        conversation: str = "",
    ) -> None:
        super().__init__()
        self.what = what
        self.number = number
        self.table = table
        self.row = row
        self.conversation = conversation
