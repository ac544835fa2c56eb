"""What a rule is.

A rule recognises one cause. It says what it is about (:attr:`Rule.subject`) and which trackers it reads
(:attr:`Rule.needs`), and is asked once about each subject of that kind. It reads facts, never the recording; it yields an
:class:`Evidence` only when its whole proof is present, a :class:`~.finding.CannotTell` when a candidate was there
but a part of the proof was not recorded, and :class:`Healthy` for failed calls that are as they should be.

Rules here must not:

- import another rule: what two rules need is a fact;
- walk over all sockets: an index is a tracker;
- read bytes: what a structure of the kernel says is a fact with a type;
- speak of intent: the sentence says what the program and the kernel did;
- state as certain what a second explanation would fit as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from .finding import CannotTell, Certainty, Layer, Proof, Severity

if TYPE_CHECKING:
    from ..events import Call
    from .facts import Facts
    from .subjects import Kind
    from .tracker import SocketTracker, Tracker
    from .trackers.destinations import Refusal
    from .trackers.flows import Flow

__all__ = ["Evidence", "Healthy", "Judgement", "Rule"]


@dataclass(slots=True)
class Evidence:
    """A rule's proof before it is ranked, grouped and joined with its causes."""

    rule: Rule
    at_ns: int  #: when it went wrong
    why: str
    proof: list[Proof]
    call: Call | None = None  #: the call whose source line is shown
    source: int | None = None  #: the line to show, where it is not that of a call (id of the recording)
    socket: int | None = None
    process: int | None = None
    certainty: Certainty = ""  # type: ignore[assignment]  #: empty: the rule's
    severity: Severity = ""  # type: ignore[assignment]  #: empty: the rule's
    title: str = ""  #: replaces the rule's title where the case can be named more exactly
    fix: str = ""
    covers: tuple[int, ...] = ()  #: numbers of docs/causes.md; empty: the rule's
    subjects: frozenset[int] = field(default_factory=frozenset)  #: sockets it concerns, peers included
    calls: Iterable[int] = ()  #: ids of failed or waiting calls that it explains, beside those in `proof`
    count: int = 1  #: how many times the same happened
    where: str = ""  #: what tells cases apart that have neither a line nor a process
    lost_ns: int | None = None  #: a finding about time: how long the wait was that it explains
    no_effects: frozenset[str] = frozenset()  #: effects of the rule that do not follow from this case

    def __post_init__(self) -> None:
        self.certainty = self.certainty or self.rule.certainty
        self.severity = self.severity or self.rule.severity
        self.title = self.title or self.rule.title
        self.fix = self.fix or self.rule.fix
        self.covers = self.covers or self.rule.covers
        if self.socket is not None:
            self.subjects |= {self.socket}

    @classmethod
    def of_refusal(cls, rule: Rule, refusal: Refusal, why: str, proof: list[Proof], **more: Any) -> Evidence:
        """Of a connection that was refused.

        Args:
            rule: whose evidence it is.
            refusal: what is explained.
            why: what happened, as a sentence.
            proof: the rows that show it.
            more: other fields, and those of the refusal that are others here.
        """
        fields: dict[str, Any] = {
            "call": refusal.connect.call,
            "socket": refusal.socket,
            "process": refusal.process,
            "calls": refusal.calls,
            "count": refusal.count,
        }
        return cls(rule, refusal.at_ns, why, proof, **(fields | more))

    def leads_to(self, rule: str) -> bool:
        """Whether a finding of that rule on the same connection follows from this one."""
        return rule in self.rule.effects and rule not in self.no_effects


@dataclass(slots=True)
class Healthy:
    """Failed calls that are no fault, and why."""

    calls: Iterable[int]  #: ids
    reason: str


Judgement = Evidence | CannotTell | Healthy


class Rule:
    """Base of all rules; the class attributes are its page in the manual."""

    id: ClassVar[str]
    title: ClassVar[str]
    covers: ClassVar[tuple[int, ...]]  #: numbers of docs/causes.md
    severity: ClassVar[Severity]  #: the gravest it gives
    certainty: ClassVar[Certainty]  #: the surest it gives
    layers: ClassVar[tuple[Layer | Literal["lines"], ...]]  #: without one of these it cannot be checked
    sentence: ClassVar[str]  #: the cause in general words
    symptoms: ClassVar[tuple[str, ...]] = ()  #: what people see and type into a search
    proof: ClassVar[str]  #: what must be in the recording
    fix: ClassVar[str]
    disproof: ClassVar[str]  #: what would show that the finding is wrong
    references: ClassVar[tuple[str, ...]]  #: "tcp(7)", "RFC 9293 3.6": a manual page, or an RFC with its section
    subject: ClassVar[Kind] = "socket"  #: what it is asked about
    needs: ClassVar[tuple[type[Tracker], ...]] = ()  #: the trackers that it reads
    given: ClassVar[type[SocketTracker[Any]] | None] = (
        None  #: asked only of sockets of which this tracker keeps something
    )
    pictures: ClassVar[Literal["no", "also", "only"]] = "no"  #: whether `inspect` can prove it, or only `inspect` can
    live: ClassVar[bool] = False  #: once its socket has ended nothing can refute it: told while the trace runs
    supersedes: ClassVar[tuple[str, ...]] = ()  #: more general rules that stay silent about the same socket
    effects: ClassVar[tuple[str, ...]] = ()  #: rules whose finding on the same connection follows from this one
    explains: ClassVar[tuple[int, ...]] = ()  #: errnos of later failed calls on the same sockets that follow from it

    def judge(self, facts: Facts, subject: Any) -> Iterator[Judgement]:
        """Yield a finding for each case about ``subject`` whose whole proof is in ``facts``."""
        raise NotImplementedError

    def judge_flow(self, facts: Facts, flow: Flow) -> Iterator[Judgement]:
        """The same from frames alone: asked of each conversation of an imported capture whose calls are not known.

        A rule that overrides this, or :meth:`judge_wire`, can be checked without its :attr:`layers`.
        """
        yield from ()

    def judge_wire(self, facts: Facts) -> Iterator[Judgement]:
        """The same, asked once at the end of an imported capture, of what is no single conversation's."""
        yield from ()

    @property
    def by_wire(self) -> bool:
        """Whether frames alone can prove it."""
        kind = type(self)
        return (
            kind.subject == "flow" or kind.judge_flow is not Rule.judge_flow or kind.judge_wire is not Rule.judge_wire
        )

    def cannot_tell(self, missing: str, reason: str) -> CannotTell:
        """This rule's question stays open because ``missing`` was not recorded."""
        return CannotTell(self.id, missing, reason)
