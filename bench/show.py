"""The page with recordings of 10⁴ to 10⁶ events (10⁷ with WALLSOCKET_BENCH_EVENTS=7): first picture, frames, memory.

The recording is synthetic: half of its events are one conversation's, the rest are of up to a thousand short ones. The first
picture is the time from the start of reading to a page that names the recording; complete is when its findings are there. A
frame's work is what the browser's main thread did (script, style, layout) while the ladder was scrolled and zoomed, by the
browser's own count (Performance.getMetrics), divided by the frames that it drew.
"""

from __future__ import annotations

import os
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.measure import Missing, Table
from tests.support.recordings import NUMBER, inet, row, tcp_frame
from wallsocket import events
from wallsocket.trace.recording import Writer

SERVER = "127.0.0.1:4567"
SHORT = 1000
#: Events of one exchange: write, segment, acknowledgement, read.
EXCHANGE = 4
FRAMES = 60


def build(path: Path, count: int) -> None:
    """A recording with about so many events."""
    meta = {"version": "0", "machine": "x86_64", "command": '["bench"]', "calls": "yes", "kernel": "yes", "wire": "yes"}
    writer = Writer(path, meta=meta | {"lines": "yes", "payload": "64", "lost": "0"})
    writer.write("source", [(1, "/srv/app.py", 10, "main")])
    processes = [(1, 70, "client"), (2, 71, "server")]
    writer.write(
        "process",
        [
            row(events.Process, id=number, pid=pid, command=f'["{name}"]', started_ns=0)
            for number, pid, name in processes
        ],
    )
    exchanges = count // EXCHANGE
    short = min(SHORT, exchanges // 20)
    sockets = []
    for number in range(short + 1):
        client = f"127.0.{1 + number // 200}.{1 + number % 200}:40000"
        common = {"family": 2, "type": 1, "protocol": 6, "created_ns": 0}
        sockets.append(
            row(
                events.Socket,
                id=2 * number + 1,
                process=1,
                origin="socket",
                local=inet(client),
                remote=inet(SERVER),
                **common,
            )
        )
        sockets.append(
            row(
                events.Socket,
                id=2 * number + 2,
                process=2,
                origin="accept",
                local=inet(SERVER),
                remote=inet(client),
                **common,
            )
        )
    writer.write("socket", sockets)
    tables: dict[str, list[Any]] = {"call": [], "packet": []}
    for exchange, kind, values in _exchanges(exchanges, short):
        tables[kind].append(values)
        if exchange % 5000 == 4999 and len(tables["call"]) > 10_000:
            for table, rows in tables.items():
                writer.write(table, rows)
                rows.clear()
            writer.commit()
    for table, rows in tables.items():
        writer.write(table, rows)
    writer.finish({"ended_ns": str(exchanges * 20_000), "exit_status": "0", "end": "exit"})


def _exchanges(count: int, short: int) -> Iterator[tuple[int, str, tuple[Any, ...]]]:
    offsets = [0] * (short + 1)
    calls = packets = 0
    for exchange in range(count):
        number = 0 if exchange % 2 or not short else 1 + (exchange // 2) % short
        at, offset = exchange * 20_000, offsets[number]
        client = f"127.0.{1 + number // 200}.{1 + number % 200}:40000"
        offsets[number] += 100
        common = {"fd": 3, "length": 100, "result": 100, "took_ns": 900, "offset": offset, "source": 1, "known": 1}
        write = row(
            events.Call, id=calls + 1, process=1, tid=70, number=NUMBER["write"], entry_ns=at, socket=2 * number + 1,
            payload=b"x" * 32, **common,
        )  # fmt: skip
        yield exchange, "call", write
        sent = tcp_frame(client, SERVER, "A", seq=1 + offset, ack=1, payload=b"x" * 100)
        yield exchange, "packet", (packets + 1, at + 1000, "lo", 1, len(sent), sent, None)
        answer = tcp_frame(SERVER, client, "A", seq=1, ack=101 + offset)
        yield exchange, "packet", (packets + 2, at + 1500, "lo", 1, len(answer), answer, None)
        read = row(
            events.Call, id=calls + 2, process=2, tid=71, number=NUMBER["read"], entry_ns=at + 2000,
            socket=2 * number + 2, payload=b"x" * 32, **common,
        )  # fmt: skip
        yield exchange, "call", read
        calls, packets = calls + 2, packets + 2


def run(rounds: int) -> list[Table]:
    """One table: a row for each size."""
    if shutil.which("chromium") is None:
        raise Missing("chromium is not installed")
    del rounds  # each figure is of one run: a run of a million events takes its time
    most = int(os.environ.get("WALLSOCKET_BENCH_EVENTS", "6"))
    table = Table(
        "The page",
        [
            "events", "first picture", "complete", "server's memory", "ladder: work per frame",
            "graph: work per frame", "nodes", "script's memory",
        ],
    )  # fmt: skip
    for power in range(4, most + 1):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "bench.wsrec")
            build(path, 10**power)
            found = _measure(path)
        table.rows.append([f"10^{power}", *found.values()])
    return [table]


def _measure(path: Path) -> dict[str, str]:
    from playwright.sync_api import sync_playwright

    from wallsocket.view import Feed
    from wallsocket.web import Page

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1280, "height": 800})
        tab.set_default_timeout(3_600_000)
        began = time.monotonic()
        with Feed(path) as feed, Page(feed) as page:
            tab.goto(page.url)
            tab.wait_for_selector("main .lead")
            first = time.monotonic() - began
            tab.wait_for_selector("body[data-stage=ready]")
            tab.wait_for_selector(".card")
            complete = time.monotonic() - began
            tab.evaluate("location.hash = '#/ladder/1-2'")
            tab.wait_for_selector(".row .said")
            client = tab.context.new_cdp_session(tab)
            # The thread's own time: other programs do not disturb it.
            client.send("Performance.enable", {"timeDomain": "threadTicks"})
            ladder = _work(client, tab, "document.querySelector('.list').scrollTop += 400")
            nodes = tab.evaluate("document.querySelectorAll('*').length")
            tab.evaluate("location.hash = '#/sequence/1-2'")
            tab.wait_for_selector(".plot canvas")
            tab.evaluate("document.querySelector('.plot').focus()")
            press = "new KeyboardEvent('keydown', {key: STEP % 2 ? '-' : '+', bubbles: true})"
            zoom = f"document.querySelector('.plot').dispatchEvent({press})"
            graph = _work(client, tab, zoom)
            heap = client.send("Runtime.getHeapUsage")["usedSize"]
            browser.close()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "first": f"{first:.2f} s",
        "complete": f"{complete:.1f} s",
        "memory": f"{memory:,.0f} MB",
        "ladder": f"{ladder:.1f} ms",
        "graph": f"{graph:.1f} ms",
        "nodes": str(nodes),
        "heap": f"{heap / 1e6:.1f} MB",
    }


def _work(client: Any, tab: Any, act: str) -> float:
    """Milliseconds of the main thread for each of some frames, in each of which ``act`` is done."""

    def busy() -> float:
        found = {entry["name"]: entry["value"] for entry in client.send("Performance.getMetrics")["metrics"]}
        return sum(float(found[name]) for name in ("ScriptDuration", "LayoutDuration", "RecalcStyleDuration"))

    before = busy()
    tab.evaluate(
        f"""() => new Promise((done) => {{
          let STEP = 0;
          const frame = () => {{ {act}; STEP += 1; STEP < {FRAMES} ? requestAnimationFrame(frame) : done(); }};
          requestAnimationFrame(frame);
        }})"""
    )
    return (busy() - before) * 1000 / FRAMES
