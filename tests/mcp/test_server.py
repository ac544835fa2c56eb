"""The server of the Model Context Protocol, asked by the official client over stdin and stdout."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

mcp = pytest.importorskip("mcp")

from mcp import ClientSession, StdioServerParameters  # noqa: E402
from mcp.client.stdio import stdio_client  # noqa: E402

REFUSED = """
import socket
try:
    socket.create_connection(("127.0.0.1", 9))
except OSError:
    pass
"""


def ask(use: Callable[[ClientSession], Awaitable[None]], *arguments: str) -> None:
    """Start the server and use it."""

    async def run() -> None:
        parameters = StdioServerParameters(
            command=sys.executable, args=["-m", "wallsocket", "mcp", *arguments], env=dict(os.environ)
        )
        with anyio.fail_after(100):
            async with stdio_client(parameters) as (read, write), ClientSession(read, write) as session:
                await session.initialize()
                await use(session)

    anyio.run(run)


async def text(session: ClientSession, tool: str, **arguments: Any) -> str:
    answer = await session.call_tool(tool, arguments)
    assert not answer.is_error, answer
    return "".join(part.text for part in answer.content)


def test_it_reads_and_runs_nothing_unless_allowed() -> None:
    async def use(session: ClientSession) -> None:
        tools = (await session.list_tools()).tools
        assert sorted(tool.name for tool in tools) == ["explain", "inspect", "rule", "show"]
        assert all(tool.annotations.read_only_hint for tool in tools)
        answer = await session.call_tool("run", {"command": ["true"]})
        assert answer.is_error

    ask(use)


def test_a_recording_is_explained_and_shown_in_pages(tmp_path: Path) -> None:
    script = tmp_path / "refused.py"
    script.write_text(REFUSED)
    recording = tmp_path / "run.wsrec"
    command = [
        sys.executable,
        "-m",
        "wallsocket",
        "trace",
        "-q",
        "-o",
        str(recording),
        "--",
        sys.executable,
        str(script),
    ]
    subprocess.run(command, check=True, timeout=60)

    async def use(session: ClientSession) -> None:
        lines = (await text(session, "explain", recording=str(recording))).splitlines()
        assert json.loads(lines[0])["rule"] == "nobody-listens"
        assert json.loads(lines[0])["line"] == 4
        shown = await text(session, "show", recording=str(recording))
        assert "connect(127.0.0.1:9)" in shown
        assert len(shown) < 21_000
        rest = await text(session, "show", recording=str(recording), offset=10)
        assert rest.strip() == shown[10:].strip()
        missing = await text(session, "explain", recording=str(tmp_path / "none.wsrec"))
        assert "none.wsrec" in missing

    ask(use)


def test_a_program_that_runs_is_inspected() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        async def use(session: ClientSession) -> None:
            answer = await text(session, "inspect", target=f":{port}")
            sockets = [json.loads(line)["socket"] for line in answer.splitlines() if line.startswith('{"socket"')]
            assert any(found["local"] == f"127.0.0.1:{port}" and found["state"] == "LISTEN" for found in sockets)

        ask(use)


def test_rules_by_name_number_and_symptom() -> None:
    async def use(session: ClientSession) -> None:
        assert "nobody-listens" in await text(session, "rule", words="107")
        assert "usual fix" in await text(session, "rule", words="close-wait")
        assert "nobody-listens" in await text(session, "rule", words="connection refused")

    ask(use)


def test_programs_run_when_allowed(tmp_path: Path) -> None:
    script = tmp_path / "refused.py"
    script.write_text(REFUSED)

    async def use(session: ClientSession) -> None:
        answer = await text(session, "run", command=[sys.executable, str(script)], private_network=False)
        assert '"rule":"nobody-listens"' in answer

    ask(use, "--allow-run")
