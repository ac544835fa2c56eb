"""The panel of findings: what is wrong, most probable cause first, and of the chosen one why, proof and fix."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from ..view.finding import FindingPage, ProofRow
from ..view.overview import FindingCard, Overview
from .messages import Jump
from .words import SEVERITIES, milliseconds, plain

__all__ = ["Findings"]


class Findings(Vertical):
    """Findings above, the chosen one below."""

    BINDINGS: ClassVar[list[BindingType]] = []
    DEFAULT_CSS = """
    Findings > #cards { height: auto; max-height: 40%; border: none; }
    Findings > #page { height: 1fr; border: none; border-top: solid $primary; }
    Findings > #closing { height: auto; color: $text-muted; }
    """

    def __init__(self) -> None:
        super().__init__(id="findings")
        self._cards: list[FindingCard] = []
        self._proof: dict[str, ProofRow] = {}

    def compose(self) -> ComposeResult:
        """The list, the chosen finding, and what was checked."""
        yield OptionList(id="cards")
        yield OptionList(id="page")
        yield Static(id="closing", markup=False)

    def show(self, overview: Overview) -> None:
        """Take the findings of a new state; the chosen one stays chosen."""
        cards = self.query_one("#cards", OptionList)
        chosen = self._cards[cards.highlighted or 0].rule if self._cards and cards.highlighted is not None else None
        self._cards = overview.findings
        cards.clear_options()
        width = max(40, self.app.size.width - 4)  # before the first layout it has no size of its own
        cards.add_options([Option(_card(card, width), id=str(card.number)) for card in self._cards])
        if not self._cards:
            nothing = "No finding." if overview.judged else "The rules are being checked."
            cards.add_option(Option(plain(nothing, "dim"), disabled=True))
            self.query_one("#page", OptionList).clear_options()
        else:
            cards.highlighted = next((place for place, card in enumerate(self._cards) if card.rule == chosen), 0)
        self.query_one("#closing", Static).update("\n".join(overview.closing))

    def show_page(self, page: FindingPage) -> None:
        """Show one finding."""
        rows = self.query_one("#page", OptionList)
        rows.clear_options()
        self._proof = {}
        card = page.card
        for name, text in (
            ("line", card.where),
            ("in", " ".join(part for part in (card.who, page.socket) if part)),
            ("why", page.why),
        ):
            if text:
                rows.add_option(Option(_fact(name, text), disabled=True))
        for place, proof in enumerate(page.proof):
            key = f"proof{place}"
            self._proof[key] = proof
            row = _fact("proof", f"{milliseconds(proof.at_ns)}  {proof.text}")
            rows.add_option(Option(row, id=key, disabled=proof.conversation is None))
        for name, text in (
            ("fix", page.fix),
            ("cause", f"{page.cause.title}  ({page.cause.rule})" if page.cause is not None else ""),
            *(("effect", f"{effect.title}  ({effect.rule})") for effect in page.effects),
            ("wrong if", page.disproof),
        ):
            if text:
                rows.add_option(Option(_fact(name, text), disabled=True))
        if page.code is not None and page.code.lines:
            code = Text()
            for number, text in page.code.lines:
                code.append(
                    f"{'▶' if number == page.code.line else ' '} {number:5} {text}\n",
                    "bold" if number == page.code.line else "dim",
                )
            code.rstrip()
            rows.add_option(Option(code, disabled=True))

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """A finding was chosen."""
        event.stop()
        if event.option_list.id == "cards" and event.option_id is not None:
            self.post_message(Jump("finding", number=int(event.option_id)))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter: from the list to the proof, from the proof into the ladder."""
        event.stop()
        if event.option_list.id == "cards":
            page = self.query_one("#page", OptionList)
            page.focus()
            page.action_first()
        elif event.option_id is not None and (proof := self._proof.get(event.option_id)) is not None:
            self.post_message(Jump("row", table=proof.table, row=proof.row, conversation=proof.conversation or ""))


def _card(card: FindingCard, width: int) -> Text:
    text = Text()
    text.append(f"{card.severity}, {card.certainty}".ljust(17), SEVERITIES.get(card.severity, ""))
    text.append("  " if card.follows_from is None else "  ↳ ")
    text.append(card.title)
    text.append(f"  {card.where}", "dim")
    text.truncate(width, overflow="ellipsis")
    return text


def _fact(name: str, text: str) -> Text:
    return Text.assemble((name.ljust(10), "dim"), text)
