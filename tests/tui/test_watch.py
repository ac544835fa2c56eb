"""The screens of ``wallsocket watch``, whole, in 80 columns and 24 lines; and a real terminal."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Awaitable, Callable
from fcntl import ioctl
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.diagnose.story import MS, Story, inet
from wallsocket.tui import Watch
from wallsocket.view import Feed

SCREENS = Path(__file__).with_name("screens")
Steps = Callable[["Pilot[None]", Watch], Awaitable[None]]


def story() -> Story:
    """A server that reads a part of a message, answers, and closes; and a client that is refused."""
    told = Story(wire="needs CAP_NET_RAW")
    told.meta["command"] = '["sh", "run.sh"]'
    server, client = told.process("upper.py"), told.process("client.py")
    line = told.source("/srv/upper.py", 6)
    there, here = ("127.0.0.1", 4567), ("127.0.0.1", 51000)
    one = told.socket(server, there, here, origin="accept")
    other = told.socket(client, here, there)
    told.call("connect", other, address=inet(*there))
    told.call("sendto", other, 3000, length=3000, payload="<b>\x1b[2J\u202e letter".encode().ljust(64, b"x"))
    told.call("recvfrom", one, 1024, length=1024, payload=b"<b>", source=line, unread=3000, left=1976)
    told.call("sendto", one, 1024, length=1024, source=line)
    told.call("close", one, source=line, unread=1976)
    told.now += 300 * MS
    told.call("recvfrom", other, -104, length=4096)
    told.call("close", other)
    alone = told.socket(client, None, None)
    told.call("connect", alone, -111, address=inet("127.0.0.1", 81))
    told.call("close", alone)
    for process in (server, client):
        told.end(process, code=1)
    return told


def screen(app: Watch) -> str:
    """What stands on the screen, without the blanks at the ends of lines."""
    strips = app.screen._compositor.render_strips()
    text = "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips) + "\n"
    return re.sub(r"\d+ rules checked", "N rules checked", text)  # they grow


def play(path: Path, steps: Steps, size: tuple[int, int] = (80, 24)) -> None:
    async def run() -> None:
        with Feed(path) as feed:
            app = Watch(feed)
            async with app.run_test(size=size) as pilot:
                await until(pilot, lambda: feed.status.stage == "ready" and app._generation == feed.status.generation)
                await steps(pilot, app)

    asyncio.run(run())


async def until(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        await pilot.pause(0.02)
    await pilot.pause()


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return story().save(tmp_path_factory.mktemp("watch") / "story.wsrec")


#: Name of the screen -> keys that lead to it.
KEYS = {
    "findings": [],
    "sockets": ["2"],
    "sockets-searched": ["2", "slash", *"upper", "enter"],
    "ladder": ["3"],
    "ladder-failed": ["3", "f"],
    "ladder-further": ["3", "minus"],
    "ladder-other": ["3", "right_square_bracket"],
    "details": ["3", "down", "enter"],
    "proof": ["1", "enter", "enter"],
    "sources": ["2", "question_mark"],
}


@pytest.mark.parametrize("name", KEYS)
def test_screen(recording: Path, name: str) -> None:
    async def steps(pilot: Pilot[None], app: Watch) -> None:
        for key in KEYS[name]:
            await pilot.press(key)
            await pilot.pause()
        await pilot.pause(0.05)
        shown = screen(app)
        kept = SCREENS / f"{name}.txt"
        if os.environ.get("WRITE_SCREENS"):
            kept.write_text(shown)
        assert shown == kept.read_text()

    play(recording, steps)


@pytest.mark.parametrize("size", [(80, 24), (40, 10), (200, 60), (20, 5)])
def test_every_size_can_be_drawn(recording: Path, size: tuple[int, int]) -> None:
    async def steps(pilot: Pilot[None], app: Watch) -> None:
        for key in ("2", "3", "down", "enter", "4", "1", "question_mark", "escape"):
            await pilot.press(key)
            await pilot.pause()
        lines = screen(app).splitlines()
        assert len(lines) == size[1]
        assert all(len(line) <= size[0] for line in lines)

    play(recording, steps, size)


def test_what_came_from_outside_is_inert(recording: Path) -> None:
    async def steps(pilot: Pilot[None], app: Watch) -> None:
        for key in ("3", "down", "enter"):
            await pilot.press(key)
            await pilot.pause()
        assert "\x1b" not in screen(app)
        assert "\u202e" not in screen(app)
        assert "<b>" in screen(app)

    play(recording, steps)


def test_a_long_ladder_is_asked_for_in_windows(tmp_path: Path) -> None:
    told = Story()
    server, client = told.process("server"), told.process("client")
    one = told.socket(server, ("127.0.0.1", 80), ("127.0.0.1", 50000), origin="accept")
    other = told.socket(client, ("127.0.0.1", 50000), ("127.0.0.1", 80))
    for length in range(1, 2001):
        told.call("sendto", other, length, length=length)
        told.call("recvfrom", one, length, length=length)
    path = told.save(tmp_path / "long.wsrec")

    async def steps(pilot: Pilot[None], app: Watch) -> None:
        await pilot.press("3")
        await pilot.pause(0.05)
        await pilot.press("end")
        await until(pilot, lambda: "2000" in screen(app))
        await pilot.press("minus", "minus", "minus")
        await until(pilot, lambda: "64 lines" in screen(app))
        await pilot.press("home")
        await until(pilot, lambda: "1.0" in screen(app))

    play(path, steps)


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, *words: str, folder: Path) -> None:
        master, slave = pty.openpty()
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "wallsocket", "watch", *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "TERM": "xterm-256color", "XDG_STATE_HOME": str(folder)},
            start_new_session=True,
        )
        os.close(slave)
        self.master = master
        self.shown = ""

    def wait_for(self, text: str) -> None:
        """Read until the text has been drawn."""
        deadline = time.monotonic() + 60
        while text not in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.shown):
            assert time.monotonic() < deadline, self.shown[-2000:]
            if select.select([self.master], [], [], 0.2)[0]:
                try:
                    self.shown += os.read(self.master, 65536).decode(errors="replace")
                except OSError:
                    assert text in self.shown
                    return

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def end(self) -> int:
        deadline = time.monotonic() + 60
        while self.process.poll() is None:
            assert time.monotonic() < deadline
            if select.select([self.master], [], [], 0.1)[0]:
                try:
                    os.read(self.master, 65536)
                except OSError:
                    break
        os.close(self.master)
        return self.process.wait(30)


def test_a_command_is_shown_while_it_runs(tmp_path: Path) -> None:
    program = (
        "import socket, sys, time\n"
        "a, b = socket.socketpair()\n"
        "a.send(b'hello'); b.recv(5)\n"
        "print('it printed this', flush=True)\n"
        "b.recv(5)\n"
    )
    terminal = Terminal("--", sys.executable, "-c", program, folder=tmp_path)
    try:
        terminal.wait_for("recording ·")
        terminal.press("5")
        terminal.wait_for("it printed this")
        terminal.press("2")
        terminal.wait_for("unix")
        terminal.press("q")
        assert terminal.end() == 128 + signal.SIGTERM
    finally:
        terminal.process.kill()
    assert len(list(tmp_path.rglob("*.wsrec"))) == 1


@pytest.mark.parametrize("keys", ["q", "\x03"])
def test_it_ends(recording: Path, tmp_path: Path, keys: str) -> None:
    terminal = Terminal(str(recording), folder=tmp_path)
    try:
        terminal.wait_for("Findings")
        terminal.wait_for("q quit")
        terminal.press(keys)
        assert terminal.end() == 0
    finally:
        terminal.process.kill()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "needs a terminal"),
        (["-p", "1", "--", "true"], "only one of them"),
        (["--"], "no command after --"),
        (["a.wsrec", "--", "true"], "not both"),
    ],
)
def test_wrong_uses_are_one_line(tmp_path: Path, words: list[str], text: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "wallsocket", "watch", *words],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert text in done.stderr
    assert "Traceback" not in done.stderr
