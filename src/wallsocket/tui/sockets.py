"""The panel of sockets: a row for each, those with findings first."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import DataTable, Input

from ..view.overview import Overview, SocketCard
from .messages import Jump
from .searched import Searched
from .words import plain

__all__ = ["Sockets"]

_COLUMNS = ("", "state", "receive", "send", "program", "socket", "how it went")


class Sockets(Searched):
    """The table, and a line to search in."""

    DEFAULT_CSS = """
    Sockets > DataTable { height: 1fr; }
    """

    def __init__(self) -> None:
        super().__init__(id="sockets")
        self._cards: list[SocketCard] = []

    def compose(self) -> ComposeResult:
        """The table above the search line."""
        table: DataTable[object] = DataTable(cursor_type="row", zebra_stripes=True)
        table.add_columns(*_COLUMNS)
        yield table
        yield Input(placeholder="show only sockets with these words; Escape shows all", compact=True)

    def show(self, overview: Overview) -> None:
        """Take the sockets of a new state; the cursor stays on its socket."""
        table = self.query_one(DataTable)
        before = self._cards[table.cursor_row].id if 0 <= table.cursor_row < len(self._cards) else None
        self._cards = overview.cards
        table.clear()
        for card in self._cards:
            table.add_row(*(plain(text, style) for text, style in _cells(card)))
        if not self._cards:
            return
        table.move_cursor(row=next((place for place, card in enumerate(self._cards) if card.id == before), 0))

    def searched(self) -> None:
        """Those that have the words."""
        self.query_one(DataTable).focus()
        self.post_message(Jump("finding"))

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Enter on a socket: its ladder."""
        event.stop()
        if 0 <= event.cursor_row < len(self._cards):
            self.post_message(Jump("conversation", conversation=self._cards[event.cursor_row].conversation))


def _cells(card: SocketCard) -> list[tuple[str, str]]:
    state = card.state or ""
    return [
        ("●" if card.findings else " ", "red"),
        (f"[{state}]" if card.inferred and state else state, "green"),
        *((("" if value is None else str(value)), "") for value in (card.receive_queue, card.send_queue)),
        (card.who, "dim"),
        (card.title, ""),
        (card.verdict + (f", {card.drops} dropped" if card.drops else ""), ""),
    ]
