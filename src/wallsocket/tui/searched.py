"""A panel with a line to search in."""

from __future__ import annotations

from abc import abstractmethod

from textual.containers import Vertical
from textual.widgets import Input

__all__ = ["Searched"]


class Searched(Vertical):
    """A panel whose last part is a search line, hidden until it is asked for."""

    DEFAULT_CSS = """
    Searched > Input { height: 1; border: none; display: none; }
    Searched > Input.-asked { display: block; }
    """

    #: The words that were searched for.
    search = ""

    def ask(self) -> None:
        """Open the search line."""
        line = self.query_one(Input)
        line.add_class("-asked")
        line.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter in the search line."""
        event.stop()
        self._search(event.value)

    def key_escape(self) -> None:
        """Everything again."""
        self.query_one(Input).value = ""
        self._search("")

    def _search(self, words: str) -> None:
        self.search = words
        self.query_one(Input).set_class(bool(words), "-asked")
        self.searched()

    @abstractmethod
    def searched(self) -> None:
        """Show what has the words."""
