"""Draws a graph of states as SVG: boxes, numbered arrows that keep clear of each other, and what the numbers mean."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from .states import Graph, Transition

__all__ = ["Shapes", "draw", "shapes"]

Point: TypeAlias = tuple[float, float]

_COLUMN: Final = 250
_ROW: Final = 140
_HEIGHT: Final = 46
_MARGIN: Final = 70
_BADGE: Final = 9
#: Pixels that a curve may swerve to either side, tried in this order.
_BENDS: Final = (0, 34, -34, 64, -64, 100, -100, 145, -145, 200, -200, 260, -260)
_TEXTBOOK: Final = "#444"
_OMITTED: Final = "#9a6a00"


@dataclass(frozen=True, slots=True)
class _Box:
    x: float
    y: float
    width: float

    def distance(self, point: Point) -> float:
        """How far outside ``point`` is; negative inside."""
        return max(abs(point[0] - self.x) - self.width / 2, abs(point[1] - self.y) - _HEIGHT / 2)

    def border(self, towards: Point) -> Point:
        dx, dy = towards[0] - self.x, towards[1] - self.y
        scale = min(self.width / 2 / abs(dx) if dx else 9.0, _HEIGHT / 2 / abs(dy) if dy else 9.0)
        return self.x + dx * scale, self.y + dy * scale


@dataclass(slots=True)
class _Arrow:
    number: int
    steps: list[Transition]
    #: Whether textbooks draw it. In a graph of which they draw nothing, that distinguishes nothing.
    textbook: bool = False
    path: str = ""
    points: list[Point] = field(default_factory=list)
    badge: Point = (0, 0)

    @property
    def stroke(self) -> str:
        return f'stroke="{_TEXTBOOK}"' if self.textbook else f'stroke="{_OMITTED}" stroke-dasharray="5 3"'


@dataclass(frozen=True, slots=True)
class Shapes:
    """Where a graph's parts stand, for those who draw them by other means.

    Attributes:
        width: of the whole. height: of it, without what the numbers mean.
        boxes: by state: left edge, upper edge, width, height.
        paths: by states from and to, ``""`` is no socket: the ``d`` of an SVG path.
    """

    width: float
    height: float
    boxes: dict[str, tuple[float, float, float, float]]
    paths: dict[tuple[str, str], str]


def shapes(graph: Graph) -> Shapes:
    """Where the parts of a graph stand."""
    boxes, arrows, width, bottom = _placed(graph)
    return Shapes(
        width,
        bottom,
        {name: (box.x - box.width / 2, box.y - _HEIGHT / 2, box.width, _HEIGHT) for name, box in boxes.items()},
        {(arrow.steps[0].source, arrow.steps[0].target): arrow.path for arrow in arrows},
    )


def _placed(graph: Graph) -> tuple[dict[str, _Box], list[_Arrow], float, float]:
    boxes = {
        name: _Box(
            _MARGIN + 75 + state.at[0] * _COLUMN,
            _MARGIN + _HEIGHT / 2 + state.at[1] * _ROW,
            max(120, 7.5 * len(name) + 20, 5.2 * len(" ".join(state.kernel)) + 16),
        )
        for name, state in graph.states.items()
    }
    width = max(box.x + box.width / 2 for box in boxes.values()) + _MARGIN
    bottom = max(box.y for box in boxes.values()) + _HEIGHT / 2 + 40
    arrows = _numbered(graph)
    _place(arrows, boxes, (width, bottom))
    return boxes, arrows, width, bottom


def draw(graph: Graph, highlighted: frozenset[str]) -> str:
    """Return the drawing: ``highlighted`` states filled, what textbooks draw in solid lines."""
    boxes, arrows, width, bottom = _placed(graph)
    legend, height = _legend(arrows, width, bottom)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" font-family="sans-serif">',
        f"<title>States of a {escape(graph.name)} socket</title>",
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
        '<defs><marker id="to" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        f'<path d="M0 0 8 4 0 8z" fill="{_TEXTBOOK}"/></marker></defs>',
    ]
    for arrow in arrows:
        title = f"<title>{escape(_causes(arrow))}</title>"
        parts.append(f'<g>{title}<path d="{arrow.path}" fill="none" {arrow.stroke} marker-end="url(#to)"/></g>')
    textbook = any(state.lecture for state in graph.states.values())
    for name, state in graph.states.items():
        box = boxes[name]
        kernel = " ".join(state.kernel) if state.kernel != (name,) else ""
        dashes = ' stroke-dasharray="5 3"' if textbook and not state.lecture else ""
        fill = "#ffd866" if name in highlighted else "#ffffff"
        parts.append(
            f'<g><title>{escape(state.meaning)}</title><rect x="{box.x - box.width / 2:.0f}" '
            f'y="{box.y - _HEIGHT / 2:.0f}" width="{box.width:.0f}" height="{_HEIGHT}" rx="10" fill="{fill}" '
            f'stroke="#333"{dashes}/><text x="{box.x:.0f}" y="{box.y - (2 if kernel else -4):.0f}" text-anchor="middle" '
            f'font-size="13">{escape(name)}</text><text x="{box.x:.0f}" y="{box.y + 15:.0f}" text-anchor="middle" '
            f'font-size="9" fill="#666">{escape(kernel)}</text></g>'
        )
    parts += [_badge(arrow, *arrow.badge) for arrow in arrows]
    return "\n".join([*parts, *legend, "</svg>\n"])


def _causes(arrow: _Arrow) -> str:
    return "; ".join(step.cause for step in arrow.steps)


def _numbered(graph: Graph) -> list[_Arrow]:
    """Return one arrow for each pair of states, in the order of the graph; those from and to nowhere too."""
    between: dict[tuple[str, str], _Arrow] = {}
    for step in graph.transitions:
        arrow = between.setdefault((step.source, step.target), _Arrow(len(between) + 1, []))
        arrow.steps.append(step)
        arrow.textbook = arrow.textbook or step.lecture
    arrows = list(between.values())
    if not any(arrow.textbook for arrow in arrows):
        for arrow in arrows:
            arrow.textbook = True
    return arrows


def _place(arrows: list[_Arrow], boxes: dict[str, _Box], size: Point) -> None:
    """Give every arrow its curve and its badge: short ones first, long ones go around what is there."""
    taken: list[Point] = []

    def length(arrow: _Arrow) -> float:
        source, target = arrow.steps[0].source, arrow.steps[0].target
        if not source or not target:
            return 0
        return math.dist((boxes[source].x, boxes[source].y), (boxes[target].x, boxes[target].y))

    for arrow in sorted(arrows, key=length):
        source, target = arrow.steps[0].source, arrow.steps[0].target
        if source == target or not source or not target:
            arrow.path, arrow.points = _loop_or_end(boxes[target or source], bool(source), bool(target))
        else:
            others = [box for name, box in boxes.items() if name not in (source, target)]
            choices = [_curve(boxes[source], boxes[target], bend) for bend in _BENDS]
            costs = [_cost(points, others, taken, size) for _, points in choices]
            swerves = [cost + abs(bend) * 0.6 for cost, bend in zip(costs, _BENDS, strict=True)]
            arrow.path, arrow.points = choices[swerves.index(min(swerves))]
        taken += arrow.points
    for arrow in arrows:
        elsewhere = [other for other in arrows if other is not arrow]
        arrow.badge = max(arrow.points[3:-3] or arrow.points, key=lambda point: _room(point, elsewhere, boxes.values()))


def _room(point: Point, others: Iterable[_Arrow], boxes: Iterable[_Box]) -> float:
    """How free a place for a badge is, in pixels."""
    room = min(box.distance(point) for box in boxes)
    for other in others:
        room = min(room, *(math.dist(point, each) for each in other.points))
        if other.badge != (0, 0):
            room = min(room, math.dist(point, other.badge) - _BADGE)
    return min(room, 26)


def _cost(points: list[Point], boxes: list[_Box], taken: list[Point], size: Point) -> float:
    cost = 0.0
    for x, y in points:
        cost += sum(200 for box in boxes if box.distance((x, y)) < 8)
        cost += 0 if 10 < x < size[0] - 10 and 10 < y < size[1] - 10 else 200
    inner = points[3:-3]
    return cost + sum(14 for point in inner if any(math.dist(point, other) < 9 for other in taken))


def _curve(source: _Box, target: _Box, bend: float) -> tuple[str, list[Point]]:
    """Return a curve from border to border whose middle is ``bend`` pixels beside the straight line."""
    across = (-(target.y - source.y), target.x - source.x)
    size = math.hypot(*across)
    control = (
        (source.x + target.x) / 2 + across[0] / size * 2 * bend,
        (source.y + target.y) / 2 + across[1] / size * 2 * bend,
    )
    (x1, y1), (x2, y2), (cx, cy) = source.border(control), target.border(control), control
    points = []
    for number in range(25):
        t = number / 24
        a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t**2
        points.append((a * x1 + b * cx + c * x2, a * y1 + b * cy + c * y2))
    return f"M{x1:.0f} {y1:.0f}Q{cx:.0f} {cy:.0f} {x2:.0f} {y2:.0f}", points


def _loop_or_end(box: _Box, source: bool, target: bool) -> tuple[str, list[Point]]:
    """Return a loop above the box, or the short arrow of a socket that begins or ends here."""
    if source and target:
        x, y = box.x, box.y - _HEIGHT / 2
        path = f"M{x - 18:.0f} {y:.0f}C{x - 34:.0f} {y - 44:.0f} {x + 34:.0f} {y - 44:.0f} {x + 18:.0f} {y:.0f}"
        return path, [(x + (number - 4) * 5, y - 33 + abs(number - 4) * 3) for number in range(9)]
    x = box.x - box.width / 2 + 18
    outside, inside = (x - 24, box.y - _HEIGHT / 2 - 36), (x, box.y - _HEIGHT / 2)
    (x1, y1), (x2, y2) = (outside, inside) if target else (inside, outside)
    points = [(x1 + (x2 - x1) * number / 8, y1 + (y2 - y1) * number / 8) for number in range(9)]
    return f"M{x1:.0f} {y1:.0f}L{x2:.0f} {y2:.0f}", points


def _badge(arrow: _Arrow, x: float, y: float) -> str:
    colour = _TEXTBOOK if arrow.textbook else _OMITTED
    return (
        f'<g><circle cx="{x:.0f}" cy="{y:.0f}" r="{_BADGE}" fill="{colour}"/><text x="{x:.0f}" y="{y + 3.5:.1f}" '
        f'text-anchor="middle" font-size="10" fill="#ffffff">{arrow.number}</text></g>'
    )


def _legend(arrows: list[_Arrow], width: float, top: float) -> tuple[list[str], float]:
    """Return what the numbers mean, in two columns, and the height of the whole."""
    half = (len(arrows) + 1) // 2
    parts, lowest = [], top
    for column, some in enumerate((arrows[:half], arrows[half:])):
        x, y = 20 + column * (width - 20) / 2, top
        for arrow in some:
            way = f"{arrow.steps[0].source or '(nothing)'} → {arrow.steps[0].target or '(nothing)'}: "
            lines = textwrap.wrap(way + _causes(arrow), int((width - 100) / 2 / 6.1))
            parts.append(_badge(arrow, x, y))
            spans = "".join(
                f'<tspan x="{x + 16:.0f}" dy="{14 if at else 0}">{escape(line)} </tspan>'
                for at, line in enumerate(lines)
            )
            parts.append(f'<text y="{y + 4:.0f}" font-size="11" fill="#333">{spans}</text>')
            y += 14 * len(lines) + 8
        lowest = max(lowest, y)
    return parts, lowest + 10
