"""What commands print with --json is what `wallsocket schema` says: each is run, and each of its lines read as one of its types."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

from wallsocket import cli, wire
from wallsocket.cli.output import OUTPUT, schema
from wallsocket.wire import TCP, UDP, Ethernet, IPv4

WALLSOCKET = [sys.executable, "-m", "wallsocket"]
PAIR = """
import socket, threading
listener = socket.create_server(("127.0.0.1", 0))
def serve():
    connection, _ = listener.accept()
    connection.recv(10)
    connection.close()
thread = threading.Thread(target=serve)
thread.start()
with socket.create_connection(listener.getsockname()) as connection:
    connection.sendall(b"x" * 2000)
    thread.join()
try:
    socket.create_connection(("127.0.0.1", 1))
except OSError:
    pass
"""
WAITS = """
import asyncio
async def main():
    server = await asyncio.start_server(lambda r, w: r.read(), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    print("ready", flush=True)
    await reader.read()
asyncio.run(main())
"""


@cache
def lab_works() -> bool:
    return subprocess.run(["unshare", "--user", "--net", "true"], capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("output")
    there, back = IPv4("10.0.0.1", "10.0.0.2"), IPv4("10.0.0.2", "10.0.0.1")
    packets = [
        there / TCP(40000, 80, 100, 0, "S"),
        back / TCP(80, 40000, 900, 101, "S."),
        there / TCP(40000, 80, 101, 901, "P.") / "hello",
        there / UDP(5000, 53) / bytes(12),
        bytes(20),
    ]
    wire.write(
        folder / "day.pcapng", [Ethernet() / packet if not isinstance(packet, bytes) else packet for packet in packets]
    )
    (folder / "pair.py").write_text(PAIR)
    (folder / "waits.py").write_text(WAITS)
    return folder


def run(folder: Path, *words: str, given: str = "") -> str:
    done = subprocess.run(
        [*WALLSOCKET, *words],
        input=given,
        capture_output=True,
        text=True,
        timeout=100,
        cwd=folder,
        env={**os.environ, "XDG_STATE_HOME": str(folder)},
        check=False,
    )
    assert done.stdout, done.stderr
    return done.stdout


def unknown(said: Any, known: Any, where: str = "") -> str:
    """The first place at which something was said that the type does not know, or nothing."""
    if isinstance(said, dict) and isinstance(known, dict):
        places = (
            unknown(value, known[key], f"{where}.{key}") if key in known else f"{where}.{key}"
            for key, value in said.items()
        )
    elif isinstance(said, list) and isinstance(known, list) and len(said) == len(known):
        places = (
            unknown(one, other, f"{where}[{at}]") for at, (one, other) in enumerate(zip(said, known, strict=True))
        )
    else:
        return "" if said == known else where
    return next(filter(None, places), "")


def reading(line: str, command: str) -> tuple[type[Any] | None, list[str]]:
    """The type of the line, or why it is none of the command's."""
    complaints = []
    said = json.loads(line)
    for kind in OUTPUT[command].lines:
        try:
            read = msgspec.json.decode(line, type=kind, strict=True)
        except msgspec.ValidationError as error:
            complaints.append(f"{kind.__name__}: {error}")
            continue
        if not (place := unknown(said, json.loads(msgspec.json.encode(read)))):
            return kind, []
        complaints.append(f"{kind.__name__}: it does not have {place}")
    return None, complaints


def check(text: str, command: str, *kinds: str) -> None:
    """All lines are the command's, and those kinds are among them."""
    met = set()
    for line in text.splitlines():
        kind, complaints = reading(line, command)
        assert kind is not None, f"{line}\n" + "\n".join(complaints)
        met.add(kind.__name__)
    assert met >= set(kinds), met


# -- The table


def commands() -> Iterator[str]:
    def walk(command: click.Command, words: list[str]) -> Iterator[str]:
        if isinstance(command, click.Group):
            context = click.Context(command)
            if any("--json" in parameter.opts for parameter in command.params):
                yield " ".join(words)
            for name in command.list_commands(context):
                inner = command.get_command(context, name)
                assert inner is not None
                yield from walk(inner, [*words, name])
            # What `rule ID` and `lesson ID` run.
            if (hidden := getattr(command, "commands", {}).get("show")) is not None and hidden.hidden:
                yield from walk(hidden, words)
        elif any("--json" in parameter.opts for parameter in command.params):
            yield " ".join(words)

    yield from walk(cli.commands, [])


@pytest.mark.parametrize("command", sorted(set(commands())))
def test_every_command_with_json_says_what_it_prints(command: str) -> None:
    assert command in OUTPUT or command.split()[0] in ("tcp", "udp", "unix"), (
        f"`wallsocket {command} --json` has no entry in cli/output.py"
    )


@pytest.mark.parametrize("command", OUTPUT)
def test_the_schema_is_whole(command: str) -> None:
    text = run(Path(), "schema", *command.split())
    found = json.loads(text)
    assert found == json.loads(json.dumps(schema(command)))
    for one in found["anyOf"]:
        assert one["$ref"].removeprefix("#/$defs/") in found["$defs"]
    references = {text.split('"')[0] for text in json.dumps(found).split('"#/$defs/')[1:]}
    assert references <= found["$defs"].keys()


def test_schema_lists_the_commands_and_refuses_others() -> None:
    assert {line.split("  ")[0] for line in run(Path(), "schema").splitlines()} == OUTPUT.keys()
    done = subprocess.run([*WALLSOCKET, "schema", "lab", "up"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "'lab up' has no --json" in done.stderr


# -- The commands


def test_explain_show_recordings(folder: Path) -> None:
    lab = ["--lab"] if lab_works() else []
    said = run(folder, "explain", *lab, "--json", "-o", "run.wsrec", "--", sys.executable, "pair.py")
    check(said, "explain", "Finding", "Summary")
    kinds = [
        "recording",
        "process",
        "source",
        "socket",
        "descriptor",
        "call",
        "state",
        "fact",
        "conversation",
        "line",
        "way",
    ]
    kinds += ["packet"] if lab else []
    check(run(folder, "show", "--json", "run.wsrec"), "show", *(f"Show{kind.capitalize()}Line" for kind in kinds))
    check(
        run(folder, "show", "--summary", "--json", "run.wsrec"),
        "show --summary",
        "ShowSummaryCallLine",
        "ShowSummarySocketLine",
    )
    check(run(folder, "redact", "--json", "-o", "clean.wsrec", "run.wsrec"), "redact", "RedactedFile")
    run(folder, "explain", "--json", "-o", "other.wsrec", "--", sys.executable, "-c", "import socket; socket.socket()")
    said = run(folder, "diff", "--json", "other.wsrec", "run.wsrec")
    check(said, "diff", "DiffPairLine", "FirstLine", "ComparedFinding", "DiffSummaryLine")
    run(folder, "explain", "--json", "--", sys.executable, "-c", "import socket; socket.socket()")
    check(run(folder, "recordings", "--json"), "recordings", "StoredRecording")
    check(run(folder, "recordings", "--prune", "--keep", "0", "--json"), "recordings", "Removed")


def test_inspect(folder: Path) -> None:
    with subprocess.Popen([sys.executable, "waits.py"], cwd=folder, stdout=subprocess.PIPE) as program:
        try:
            assert program.stdout is not None
            assert program.stdout.readline() == b"ready\n"
            said = run(folder, "inspect", "--json", "--stack", str(program.pid))
            check(said, "inspect", "InspectThreadLine", "InspectTaskLine", "InspectSocketLine", "Summary")
            with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
                waiting = [socket.socket() for _ in range(2)]
                for one in waiting:
                    one.setblocking(False)
                    one.connect_ex(listener.getsockname())
                said = run(folder, "inspect", "--all", "--json", str(os.getpid()))
            check(said, "inspect --all", "InspectAllSickLine", "InspectAllSummaryLine")
            for one in waiting:
                one.close()
        finally:
            program.kill()


@pytest.mark.parametrize(
    "words",
    [
        "doctor",
        "options SO_RCVBUF TCP_NODELAY SO_PEERCRED",
        "lesson exercise",
        "lesson quiz",
        "lesson course",
        "lesson",
    ],
)
def test_what_needs_nothing(words: str, folder: Path) -> None:
    command = {"options": "options", "doctor": "doctor"}.get(words.split()[0], words)
    check(run(folder, *words.split(), "--json"), command)


def test_a_lesson_and_a_quiz(folder: Path) -> None:
    if not lab_works():
        pytest.skip("no namespaces here")
    question = json.loads(run(folder, "lesson", "quiz", "--json", "--count", "1").splitlines()[0])["question"]
    check(run(folder, "lesson", question["id"], "--json"), "lesson", "Claim")
    answers = json.dumps({question["id"]: "A"})
    check(
        run(folder, "lesson", "quiz", "--json", "--answers", "-", given=answers),
        "lesson quiz",
        "QuizAnswerLine",
        "QuizSummaryLine",
    )


def test_a_judged_exercise(folder: Path) -> None:
    (folder / "upper.py").write_text("raise SystemExit('no program at all')\n")
    check(run(folder, "lesson", "check", "upper.py", "-e", "uppercase-tcp", "--json"), "lesson check", "Verdict")


def test_captures(folder: Path) -> None:
    check(run(folder, "capture", "-r", "day.pcapng", "--json"), "capture", "Frame")
    check(run(folder, "capture", "-r", "day.pcapng", "--list", "--json"), "capture", "Connection")
    check(run(folder, "capture", "-r", "day.pcapng", "--follow", "1", "--json"), "capture", "Followed")
    check(run(folder, "replay", "day.pcapng", "--dry-run", "--json"), "replay", "Replay")
    packet = 'IPv4("10.0.0.1", "10.0.0.2") / UDP(5000, 53) / "hello"'
    check(run(folder, "inject", "-i", "lo", "--dry-run", "--json", packet), "inject", "Dry")


def test_talking(folder: Path) -> None:
    for protocol, address in (("tcp", "127.0.0.1"), ("udp", "127.0.0.1"), ("unix", "unix:talk.sock")):
        where = f"{address}:0" if protocol != "unix" else address
        more = ("--echo", "--count", "1") if protocol == "udp" else ("--idle", "2s")
        listening = subprocess.Popen(
            [*WALLSOCKET, protocol, "listen", "--json", *more, where],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder,
        )  # fmt: skip
        with listening:
            assert listening.stdout is not None
            first = listening.stdout.readline()
            local = json.loads(first)["local"]
            said = run(folder, protocol, "connect", "--json", "--idle", "1s", local, given="hello\n")
            check(said, protocol, "Event")
            rest = listening.communicate(timeout=60)[0]
            check(first + rest, protocol, "Event", "Received")


NETWORK = """
[hosts.a]
[hosts.b]
[[links]]
between = ["a", "b"]
"""


def test_a_lab(folder: Path) -> None:
    if not lab_works():
        pytest.skip("no namespaces here")
    name = f"output-{os.getpid()}"
    (folder / f"{name}.toml").write_text(NETWORK)
    up = subprocess.Popen([*WALLSOCKET, "lab", "up", f"{name}.toml"], cwd=folder, stderr=subprocess.PIPE, text=True)
    with up:
        try:
            assert up.stderr is not None
            assert "up as" in up.stderr.readline()
            status = run(folder, "lab", "status", "--name", name, "--json")
            check(status, "lab status", "LabStatus")
            address = next(host for host in json.loads(status)["hosts"] if host["host"] == "b")["addresses"][
                0
            ].partition("/")[0]
            check(run(folder, "lab", "list", "--json"), "lab list", "RunningLab")
            inside = ("lab", "exec", "--name", name, "a", "--", *WALLSOCKET)
            said = run(folder, *inside, "ping", "--json", "-c", "1", "b")
            check(said, "ping", "PingReplyLine", "PingSummaryLine")
            check(
                run(folder, *inside, "traceroute", "--json", "b"),
                "traceroute",
                "TracerouteHopLine",
                "TracerouteSummaryLine",
            )
            check(
                run(folder, *inside, "arp", "--json", "-i", "eth0", address),
                "arp",
                "ArpNeighbourLine",
                "ArpSummaryLine",
            )
            packet = f'IPv4(destination="{address}") / UDP(5000, 53) / "hello"'
            check(run(folder, *inside, "inject", "--json", "-i", "eth0", packet), "inject", "Sent")
        finally:
            up.send_signal(signal.SIGTERM)


def test_the_page(folder: Path) -> None:
    pytest.importorskip("starlette")
    recording = folder / "page.wsrec"
    run(folder, "explain", "--json", "-o", str(recording), "--", sys.executable, "-c", "import socket; socket.socket()")
    serving = subprocess.Popen(
        [*WALLSOCKET, "web", "--json", str(recording)], cwd=folder, stdout=subprocess.PIPE, text=True
    )
    with serving:
        try:
            assert serving.stdout is not None
            check(serving.stdout.readline(), "web", "Page")
        finally:
            serving.terminate()


def test_a_line_that_says_more_is_found() -> None:
    line = {"sockets": 1, "namespaces": 1, "took_s": 0.5}
    assert reading(json.dumps({"summary": line}), "inspect --all")[0] is not None
    assert reading(json.dumps({"summary": line | {"more": 1}}), "inspect --all")[0] is None
    assert reading(json.dumps({"summary": line | {"sockets": "1"}}), "inspect --all")[0] is None
    assert reading(json.dumps({"summary": {"sockets": 1}}), "inspect --all")[0] is None
