"""A lab as text: hosts, addresses, and the links between them with what they do to frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .host import Host
    from .link import Link
    from .network import Lab, Switch

__all__ = ["draw"]


def draw(lab: Lab) -> str:
    """The network as a tree from its first host on; a link that closes a circle ends at a name that stands above."""
    lines: list[str] = []
    drawn: set[str] = set()
    used: set[int] = set()
    for host in lab:
        if host.name not in drawn:
            drawn.add(host.name)
            lines.append(_name(host))
            _branches(lab, host, "", lines, drawn, used)
    return "\n".join(lines)


def _name(end: Host | Switch) -> str:
    if hasattr(end, "subnets"):
        return f"{end.name} (switch)"
    return f"{end.name} (router)" if end.forward else end.name


def _branches(lab: Lab, end: Host | Switch, indent: str, lines: list[str], drawn: set[str], used: set[int]) -> None:
    mine = [(number, link) for number, link in enumerate(lab.links) if end in (link.a, link.b) and number not in used]
    used |= {number for number, _ in mine}
    for position, (_, link) in enumerate(mine):
        last = position == len(mine) - 1
        other = link.b if link.a is end else link.a
        near, far = _addresses(link, end), _addresses(link, other)
        again = other.name in drawn
        text = " ".join(part for part in (near, "──", far, _name(other), "(above)" if again else "") if part)
        lines.append(f"{indent}{'└─' if last else '├─'} {text}{_state(link, other)}")
        if not again:
            drawn.add(other.name)
            _branches(lab, other, indent + ("   " if last else "│  "), lines, drawn, used)


def _addresses(link: Link, end: Host | Switch) -> str:
    for interface in getattr(end, "interfaces", ()):
        if interface.link is link:
            return " ".join(map(str, interface.addresses))
    return ""


def _state(link: Link, toward: Host | Switch) -> str:
    """MTU and impairments; of both directions where they differ."""
    parts = [f"MTU {link.mtu}"] if link.mtu != 1500 else []
    there = _text(link.settings(toward))
    back = _text(link.settings(link.a if toward is link.b else link.b))
    if there == back:
        parts += [there] if there else []
    else:
        parts += [f"there: {there or 'plain'}", f"back: {back or 'plain'}"]
    return f"   {', '.join(parts)}" if parts else ""


def _text(settings: dict[str, object]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in settings.items() if value)
