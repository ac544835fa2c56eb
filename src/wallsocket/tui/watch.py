"""The application: panels of one recording, read anew while it grows."""

from __future__ import annotations

import contextlib
from typing import Any, ClassVar, Final

import msgspec
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import ContentSwitcher, Footer, OptionList, RichLog, Static

from ..errors import WallsocketError
from ..trace.text import escape, fit
from ..trace.verdict import amount, duration
from ..view import Feed, NotReady, Status
from ..view.detail import Detail
from ..view.finding import FindingPage
from ..view.ladder import Conversations, Locate
from ..view.overview import Overview
from .details import Details
from .findings import Findings
from .ladder import Ladder
from .messages import Changed, Jump, Printed
from .sockets import Sockets

__all__ = ["Watch"]

_PANELS: Final = (
    ("findings", "Findings"),
    ("sockets", "Sockets"),
    ("ladder", "Ladder"),
    ("details", "Details"),
    ("output", "Output"),
)
#: What gets the keys in each panel.
_FOCUSED: Final = {
    "findings": "#cards", "sockets": "DataTable", "ladder": "Lines", "details": "#details", "output": "#output"
}  # fmt: skip
_SOURCES: Final = {
    "findings": "The rules of wallsocket explain, checked against everything recorded so far. Each cites the rows that "
    "prove it; Enter on a row of the proof shows it in the ladder.",
    "sockets": "State and queues: what the kernel last said about each socket (sock_diag, TCP_INFO, at calls and between them). In "
    "brackets: nobody reported it, it follows from calls and segments.",
    "ladder": "Calls and their source lines: the tracer, at the entry and the return of each system call. Segments: frames "
    "captured on the interface. States: the kernel. In brackets: inferred. What is missing is named above the rails.",
    "details": "The row of the recording as it was written: the call's arguments, result and payload, the frame's bytes, or "
    "the kernel's sample.",
    "output": "What the traced command printed, to stdout and to stderr.",
}


class Sources(ModalScreen[None]):
    """Which source feeds the panel."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,enter,question_mark", "dismiss", "back")]
    DEFAULT_CSS = """
    Sources { align: center middle; }
    Sources > Static { width: 70; max-width: 95%; height: auto; padding: 1 2; border: round $primary; background: $surface; }
    """

    def __init__(self, panel: str) -> None:
        super().__init__()
        self._panel = panel

    def compose(self) -> ComposeResult:
        """A box with the text."""
        name = dict(_PANELS)[self._panel]
        text = Text.assemble((f"{name}\n\n", "bold"), _SOURCES[self._panel])
        text.append(
            "\n\n1–5 panels  / search  + − closer, farther  f only failed\n[ ] other conversation  Enter open  Esc back  q quit",
            "dim",
        )
        yield Static(text)


class Watch(App[None]):
    """Shows a feed until the user ends it.

    Args:
        feed: what is shown; entered.
        output: a traced command prints: there is a panel for that.
    """

    TITLE = "wallsocket watch"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(str(number), f"panel('{name}')", title, show=False)
            for number, (name, title) in enumerate(_PANELS, 1)
        ),
        Binding("slash", "search", "search"),
        Binding("question_mark", "sources", "source"),
        Binding("q", "quit", "quit"),
        Binding("ctrl+c", "quit", show=False, priority=True),
    ]
    CSS = """
    #head { height: 1; background: $primary; color: $text; }
    #tabs { height: 1; }
    ContentSwitcher { height: 1fr; }
    """

    def __init__(self, feed: Feed, *, output: bool = False) -> None:
        super().__init__()
        self._feed = feed
        self._output = output
        self._generation = -1
        self._number = 0
        self._listening = contextlib.ExitStack()
        self._overview: Overview | None = None

    def compose(self) -> ComposeResult:
        """Head, names of the panels, the panel, keys."""
        yield Static(id="head", markup=False)
        yield Static(id="tabs", markup=False)
        with ContentSwitcher(initial="findings"):
            yield Findings()
            yield Sockets()
            yield Ladder(self._ask)
            yield Details()
            if self._output:
                yield RichLog(id="output", markup=False, wrap=True, max_lines=10_000)
        yield Footer()

    def on_mount(self) -> None:
        """Listen to the feed."""
        self._listening.enter_context(self._feed.listen(self._tell))
        self._draw_tabs()
        self.query_one("#cards", OptionList).focus()
        self.on_changed(Changed(self._feed.status))

    def on_unmount(self) -> None:
        """No more."""
        self._listening.close()

    # -- news

    def _tell(self, status: Status) -> None:
        # In the feed's thread.
        self.post_message(Changed(status))

    def on_changed(self, message: Changed) -> None:
        """The feed has come further."""
        status = message.status
        if status.generation != self._generation and self._feed.snapshot is not None:
            self._generation = status.generation
            self._refresh_panels()
        self._draw_head(status)

    def printed(self, text: str) -> None:
        """Say, from any thread, what the traced command has printed."""
        self.post_message(Printed(text))

    def on_printed(self, message: Printed) -> None:
        """The command printed."""
        if self._output:
            self.query_one("#output", RichLog).write(Text(escape(message.text)))

    def _refresh_panels(self) -> None:
        sockets = self.query_one(Sockets)
        overview = self._ask("overview", {"count": 500, "search": sockets.search})
        if not isinstance(overview, Overview):
            return
        self._overview = overview
        self.query_one(Findings).show(overview)
        sockets.show(overview)
        ladder = self.query_one(Ladder)
        if not ladder.conversation:
            found = self._ask("conversations", {"count": 1})
            if isinstance(found, Conversations) and found.cards:
                ladder.conversation = found.cards[0].key
        ladder.show()

    def _draw_head(self, status: Status) -> None:
        overview = self._overview
        words = ["recording" if status.growing else "ended"]
        if overview is not None:
            words.append(f"{amount(overview.calls, 'call')} on {amount(overview.sockets, 'socket')}")
            words.append(duration(overview.recorded_ns))
        if status.problem:
            words.append(status.problem)
        elif status.stage in ("reading", "judging") and status.total:
            words.append(f"{status.stage} {100 * status.done // status.total} %")
        elif status.stage == "waiting":
            words.append("waiting for the first call")
        if overview is not None:
            words.append(overview.command or "an attached program")
        self.query_one("#head", Static).update(fit(" · ".join(words), max(20, self.size.width)))

    def _draw_tabs(self) -> None:
        now = self.query_one(ContentSwitcher).current
        text = Text(no_wrap=True)
        for number, (name, title) in enumerate(_PANELS, 1):
            if name != "output" or self._output:
                text.append(f" {number} {title} ", "reverse" if name == now else "")
                text.append(" ")
        self.query_one("#tabs", Static).update(text)

    # -- asking

    def _ask(self, view: str, arguments: dict[str, Any]) -> msgspec.Struct | None:
        """A view of the latest state; ``None`` while it cannot be had."""
        try:
            return self._feed.ask(view, arguments)
        except NotReady:
            return None
        except WallsocketError as error:
            self.notify(str(error), severity="warning")
            return None

    # -- what was chosen

    def on_jump(self, message: Jump) -> None:
        """A panel leads to another one."""
        message.stop()
        if message.what == "finding":
            if not message.number:
                self._refresh_panels()
                return
            page = self._ask("finding", {"number": message.number})
            if isinstance(page, FindingPage):
                self.query_one(Findings).show_page(page)
        elif message.what == "conversation":
            self._show_conversation(message.conversation, 0)
        elif message.what == "row":
            place = self._ask(
                "locate", {"table": message.table, "row": message.row, "conversation": message.conversation}
            )
            if isinstance(place, Locate) and place.conversation is not None:
                self._show_conversation(place.conversation, place.index or 0)
        elif message.what == "detail":
            detail = self._ask("detail", {"table": message.table, "row": message.row})
            if isinstance(detail, Detail):
                self.query_one(Details).show(detail)
                self.action_panel("details")

    def _show_conversation(self, key: str, at: int) -> None:
        ladder = self.query_one(Ladder)
        ladder.conversation, ladder.level, ladder.search, ladder.only = key, 0, "", ""
        self.action_panel("ladder")
        ladder.show(at)

    # -- keys

    def action_panel(self, name: str) -> None:
        """Show a panel."""
        if name == "output" and not self._output:
            return
        self.query_one(ContentSwitcher).current = name
        self._draw_tabs()
        self.query_one(_FOCUSED[name]).focus()
        if name == "ladder":
            self.call_after_refresh(self.query_one(Ladder).show)

    def action_search(self) -> None:
        """Search in the panel that is shown."""
        now = self.query_one(ContentSwitcher).current
        if now == "sockets":
            self.query_one(Sockets).ask()
        else:
            self.action_panel("ladder")
            self.query_one(Ladder).ask()

    def action_sources(self) -> None:
        """Which source feeds the panel."""
        self.push_screen(Sources(self.query_one(ContentSwitcher).current or "findings"))
