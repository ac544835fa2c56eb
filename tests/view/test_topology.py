"""The map: who began, what is joined to one way, and where each box stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.recordings import Script, lost_letter
from wallsocket.view import Snapshot, ask


def test_programs_and_the_way_between_them(tmp_path: Path) -> None:
    lost_letter(tmp_path / "run.wsrec").close()
    with Snapshot.open(tmp_path / "run.wsrec") as snapshot:
        found: Any = ask(snapshot, "topology", {})
    places = {place.title: place for place in found.places}
    assert set(places) == {"upper.py (pid 70)", "nc (pid 71)"}
    server, client = places["upper.py (pid 70)"], places["nc (pid 71)"]
    assert server.listens == ["127.0.0.1:4567"]
    assert (server.findings, client.findings) == ([1, 2], [])
    (link,) = found.links
    assert (link.source, link.target, link.kinds, link.key) == (client.id, server.id, ["tcp"], "2-3")
    assert (link.to_target, link.to_source, link.conversations) == (3000, 0, 1)
    assert client.x < server.x
    assert all(
        place.x + place.width <= found.width and place.y + place.height <= found.height for place in found.places
    )


def test_hosts_that_were_not_traced_and_who_began(tmp_path: Path) -> None:
    script = Script(tmp_path / "proxy.wsrec")
    script.process(1, 7, "proxy")
    for number in range(3):
        script.socket(1 + number, 1, 0, local="10.0.0.2:80", remote=f"10.0.0.9:{5000 + number}", origin="accept")
        script.call("read", 1 + number, 1, 10, fd=3, socket=1 + number, length=10, offset=0)
    script.socket(4, 1, 0, local="10.0.0.2:40000", remote="10.0.0.3:5432")
    script.call("write", 10, 1, 20, fd=4, socket=4, length=20, offset=0)
    script.call("connect", 12, 1, -111, fd=5, socket=5, address="10.0.0.4:1")
    script.socket(5, 1, 0)
    script.done(100).close()
    with Snapshot.open(tmp_path / "proxy.wsrec") as snapshot:
        found: Any = ask(snapshot, "topology", {})
    ways = {(link.source, link.target): link for link in found.links}
    assert set(ways) == {("10.0.0.9", "process 1"), ("process 1", "10.0.0.3"), ("process 1", "10.0.0.4")}
    assert ways["10.0.0.9", "process 1"].conversations == 3
    assert ways["10.0.0.9", "process 1"].to_target == 30
    assert ways["process 1", "10.0.0.4"].failed == 1
    xs = {place.id: place.x for place in found.places}
    assert xs["10.0.0.9"] < xs["process 1"] < xs["10.0.0.3"]
    assert [place.traced for place in found.places if place.id == "10.0.0.3"] == [False]
