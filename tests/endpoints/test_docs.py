"""What docs/ says about endpoints and framing is run."""

from __future__ import annotations

import doctest
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from wallsocket import cli, framing, tcp

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = ("endpoints.md", "framing.md")
FRAMES = framing.LengthPrefixed(4)


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_examples_say_what_they_give(page, patient_reasons):
    result = doctest.testfile(str(DOCS / page), module_relative=False)
    assert result.failed == 0
    assert result.attempted == sum(block.count(">>> ") for block in blocks(page, "python"))


def services():
    return [block for page in PAGES for block in blocks(page, "python") if ">>> " not in block]


@pytest.mark.parametrize("program", services(), ids=["blocking", "async"])
def test_services_serve(program):
    with tcp.listen("127.0.0.1:0") as probe:
        port = probe.local[1]
    assert program.count('":4567"') == 1
    program = program.replace('":4567"', f'"127.0.0.1:{port}"')
    if "await" in program:
        indented = "".join(f"    {line}\n" for line in program.splitlines())
        program = f"import asyncio\nasync def main():\n{indented}asyncio.run(main())\n"
    service = subprocess.Popen([sys.executable, "-c", program])
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                connection = tcp.connect(("127.0.0.1", port), timeout_s=10)
                break
            except ConnectionRefusedError:
                assert time.monotonic() < deadline
                assert service.poll() is None
                time.sleep(0.05)
        with connection.messages(FRAMES) as stream:
            stream.send_many([b"hello", b"again"])
            assert [stream.receive(timeout_s=30), stream.receive(timeout_s=30)] == [b"HELLO", b"AGAIN"]
    finally:
        service.kill()
        service.wait()


def command_lines():
    lines = (DOCS / "endpoints.md").read_text().splitlines()
    return [re.split(r" {3,}", line)[0] for line in lines if line.startswith("wallsocket ")]


@pytest.mark.parametrize("line", command_lines())
def test_commands_exist_with_their_options(line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FILE").write_text("content")
    name, *arguments = shlex.split(line)
    command, context = cli.commands, None
    while isinstance(command, click.Group):
        context = click.Context(command, context, info_name=name)
        name, command, arguments = command.resolve_command(context, arguments)
    command.make_context(name, arguments, context)


def test_the_drawings_of_states_are_those_of_the_data(tmp_path):
    subprocess.run([sys.executable, ROOT / "scripts/draw-states", tmp_path], check=True)
    drawn = sorted(tmp_path.iterdir())
    assert [path.name for path in drawn] == [
        "states-tcp-kernel.svg",
        "states-tcp.svg",
        "states-udp.svg",
        "states.md",
    ]
    for path in drawn:
        assert path.read_text() == (DOCS / path.name).read_text(), f"run scripts/draw-states: docs/{path.name} is old"
