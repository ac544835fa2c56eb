"""The panel of the ladder: one conversation, asked for in windows, so that its length does not matter."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widgets import Input, Static

from ..trace.text import fit
from ..view.ladder import Ladder as Window
from ..view.ladder import Rung
from .messages import Jump
from .searched import Searched
from .words import heads, ladder_line

__all__ = ["Ladder"]

#: Lines that are asked for together.
_CHUNK: Final = 100

Asking = Callable[[dict[str, object]], Window | None]


class Lines(ScrollView, can_focus=True):
    """The lines; knows only those that were seen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "up", show=False),
        Binding("down,j", "move(1)", "down", show=False),
        Binding("pageup", "move(-20)", "page up", show=False),
        Binding("pagedown", "move(20)", "page down", show=False),
        Binding("home,g", "move(-1000000000)", "first", show=False),
        Binding("end,G", "move(1000000000)", "last", show=False),
        Binding("enter", "open", "details"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.at = 0
        self._chunks: dict[int, list[Rung]] = {}
        self._window: Window | None = None
        self._ask: Asking | None = None

    def show(self, window: Window, ask: Asking, at: int) -> None:
        """Take another ladder, or a new state of it."""
        self._window, self._ask = window, ask
        self._chunks = {}
        self.at = max(0, min(at, window.total - 1))
        self.virtual_size = Size(0, window.total)
        self._reveal()
        self.refresh()

    def rung(self, index: int) -> Rung | None:
        """What stands at a position."""
        chunk = index // _CHUNK
        if chunk not in self._chunks and self._ask is not None:
            if len(self._chunks) > 50:
                self._chunks.clear()
            found = self._ask({"first": chunk * _CHUNK, "count": _CHUNK})
            self._chunks[chunk] = found.rungs if found is not None else []
        rungs = self._chunks.get(chunk, [])
        place = index - chunk * _CHUNK
        return rungs[place] if 0 <= place < len(rungs) else None

    def render_line(self, y: int) -> Strip:
        """One line of the screen."""
        width = self.size.width
        index = y + self.scroll_offset.y
        window = self._window
        rung = self.rung(index) if window is not None and index < window.total else None
        if window is None or rung is None:
            return Strip.blank(width)
        text = ladder_line(rung, width, two=window.right is not None, wire=window.wire)
        if index == self.at:
            text.stylize("reverse" if self.has_focus else "underline")
        return Strip(text.render(self.app.console), width).adjust_cell_length(width)

    def action_move(self, by: int) -> None:
        """Move the cursor."""
        if self._window is None or not self._window.total:
            return
        self.at = max(0, min(self.at + by, self._window.total - 1))
        self._reveal()
        self.refresh()

    def action_open(self) -> None:
        """Details of the line under the cursor."""
        rung = self.rung(self.at)
        line = rung.line if rung is not None else None
        if line is None:
            return
        for table, rows in (("call", line.calls), ("packet", line.packets), ("state", line.states)):
            if rows:
                self.post_message(Jump("detail", table=table, row=rows[0]))
                return

    def on_focus(self) -> None:
        """The cursor is drawn otherwise."""
        self.refresh()

    def on_blur(self) -> None:
        """The cursor is drawn otherwise."""
        self.refresh()

    def _reveal(self) -> None:
        self.scroll_to_region(Region(0, self.at, 1, 1), animate=False)


class Ladder(Searched):
    """Who the two are, the lines, and a line to search in."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("plus,equals_sign", "zoom(-1)", "nearer"),
        Binding("minus", "zoom(1)", "further"),
        Binding("f", "failed", "only failed"),
        Binding("right_square_bracket,n", "other(1)", "next talk"),
        Binding("left_square_bracket,p", "other(-1)", "previous"),
    ]
    DEFAULT_CSS = """
    Ladder > #about, Ladder > #rails { height: 1; }
    Ladder > #rails { color: $text-muted; }
    Ladder > Lines { height: 1fr; }
    """

    def __init__(self, ask: Callable[[str, dict[str, object]], object | None]) -> None:
        super().__init__(id="ladder")
        self._ask_view = ask
        self.conversation = ""
        self.level = 0
        self.only = ""
        self._window: Window | None = None

    def compose(self) -> ComposeResult:
        """Title, rails, lines, search."""
        yield Static(id="about", markup=False)
        yield Static(id="rails", markup=False)
        yield Lines()
        yield Input(placeholder="show only lines with these words; Escape shows all", compact=True)

    def show(self, at: int | None = None) -> None:
        """Read the chosen conversation anew; ``at``: the line to stand at."""
        lines = self.query_one(Lines)
        about, rails = self.query_one("#about", Static), self.query_one("#rails", Static)
        window = self._ask({"first": 0, "count": 1})
        self._window = window
        if window is None:
            about.update("")
            rails.update("No conversation yet.")
            return
        self.level = window.level
        right = window.right
        title = f"{window.title}  {window.total} of {window.whole}" if self._narrowed else window.title
        if window.inferred:
            title += "  [inferred: these two talk]"
        if self.level:
            title += f"  ×{4**self.level} lines in one"
        if window.wire_missing:
            title += f"  wire not recorded ({window.wire_missing})"
        about.update(Text(fit(title, max(20, self.size.width)), style="bold"))
        left = window.left.title or window.left.address
        other = (right.title or right.address) if right is not None else None
        rails.update(heads(left, other, self.size.width or 80, wire=window.wire))
        lines.show(window, self._ask, lines.at if at is None else at)

    @property
    def _narrowed(self) -> bool:
        return bool(self.search or self.only)

    def _ask(self, window: dict[str, object]) -> Window | None:
        if not self.conversation:
            return None
        found = self._ask_view(
            "ladder",
            {
                "conversation": self.conversation,
                "level": self.level,
                "search": self.search,
                "only": self.only,
                **window,
            },
        )
        return found if isinstance(found, Window) else None

    def action_zoom(self, by: int) -> None:
        """Nearer or further; the cursor stays at its time."""
        if self._window is None:
            return
        at = self.query_one(Lines).at * 4**self.level
        self.level = max(0, min(self.level + by, self._window.levels - 1))
        self.show(at // 4**self.level)

    def action_failed(self) -> None:
        """Only failed calls, resets and ICMP errors; or everything again."""
        self.only = "" if self.only else "failed"
        self.show(0)

    def action_other(self, by: int) -> None:
        """The next or previous conversation."""
        found = self._ask_view("conversations", {"count": 500})
        cards = getattr(found, "cards", [])
        keys = [card.key for card in cards]
        if keys:
            now = keys.index(self.conversation) if self.conversation in keys else -by
            self.conversation = keys[(now + by) % len(keys)]
            self.level = 0
            self.show(0)

    def key_escape(self) -> None:
        """Everything again."""
        self.only = ""
        super().key_escape()

    def searched(self) -> None:
        """Those that have the words."""
        self.query_one(Lines).focus()
        self.show(0)
