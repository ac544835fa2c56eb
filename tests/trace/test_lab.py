"""Programs of several hosts of a lab in one recording."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from wallsocket import lab, trace
from wallsocket.diagnose import diagnose
from wallsocket.errors import UsageError
from wallsocket.trace.timeline import Timeline
from wallsocket.trace.wire import SYN, segment

SERVER = """
import socket
with socket.create_server(("", 9000)) as listener:
    print("listening", flush=True)
    for _ in range({count}):
        with listener.accept()[0] as connection:
            connection.sendall(connection.recv(100).upper())
"""
CLIENT = """
import socket
with socket.create_connection(("server", 9000)) as connection:
    connection.sendall(b"hello")
    assert connection.recv(100) == b"HELLO"
"""
WALLSOCKET = [sys.executable, "-m", "wallsocket"]


def start_server(net: lab.Lab, count: int = 1) -> lab.Process:
    server = net["server"].popen([sys.executable, "-c", SERVER.format(count=count)], stdout=subprocess.PIPE)
    assert server.stdout is not None
    assert server.stdout.readline() == b"listening\n"
    return server


def test_both_ends_of_a_connection_are_in_one_view(tmp_path: Path) -> None:
    with lab.hosts("server", "client", delay="5ms") as net:
        with net.trace(output=tmp_path / "a.wsrec") as t:
            server = start_server(net)
            net["client"].run([sys.executable, "-c", CLIENT], check=True, timeout=60)
            assert server.wait(timeout=60) == 0
            server.stdout.close()
        recording = t.recording
        names = {process.id: recording.networks[process.network].name for process in recording.processes.values()}
        assert list(names.values()) == ["server", "client"]
        [talk] = [one for one in recording.conversations() if one.kind == "tcp"]
        left, right = recording.sockets[talk.left], recording.sockets[talk.right]
        assert (names[left.process], names[right.process]) == ("client", "server")
        # Captured at both ends, each drawn once; nothing is taken for a second transmission.
        frames = [found for packet in recording.packets() if (found := segment(packet)) is not None]
        assert {found.network for found in frames if found.flags & SYN} == {left.network, right.network}
        timeline = Timeline(recording, decode=segment)
        ways = [*timeline.joins.ways(talk.left), *timeline.joins.ways(talk.right)]
        assert [way.end - way.begin for way in ways] == [5, 5]
        assert not any(carried.again for way in ways for carried in way.carried)
        assert not diagnose(recording).findings


def test_a_frame_that_is_lost_is_sent_again_and_seen_so(tmp_path: Path) -> None:
    with lab.hosts("server", "client", lose=[3]) as net:
        with net.trace(output=tmp_path / "a.wsrec") as t:
            server = start_server(net)
            net["client"].run([sys.executable, "-c", CLIENT], check=True, timeout=60)
            server.wait(timeout=60)
            server.stdout.close()
        [talk] = [one for one in t.recording.conversations() if one.kind == "tcp"]
        timeline = Timeline(t.recording, decode=segment)
        ways = [*timeline.joins.ways(talk.left), *timeline.joins.ways(talk.right)]
        assert any(carried.again for way in ways for carried in way.carried)


def test_what_cannot_be_run_is_said_and_the_next_one_recorded(tmp_path: Path) -> None:
    with lab.hosts("server", "client") as net:
        with net.trace(output=tmp_path / "a.wsrec") as t:
            with pytest.raises(FileNotFoundError):
                net["client"].run(["/nothing/of/that/name"])
            net["client"].run([sys.executable, "-c", "import socket; socket.socketpair()"], check=True)
            with pytest.raises(UsageError, match="recorded already"):
                net.trace()
        assert len(t.recording.sockets) == 2
        # The next one is another recording; between them nothing is recorded.
        net["client"].run([sys.executable, "-c", "import socket; socket.socketpair()"], check=True)
        with net.trace(output=tmp_path / "b.wsrec") as again:
            pass
        assert len(again.recording.sockets) == 0


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A lab whose client asks one port too high."""
    (tmp_path / "server.py").write_text(SERVER.format(count=1))
    (tmp_path / "client.py").write_text(CLIENT)
    (tmp_path / "wrong.py").write_text(CLIENT.replace("9000", "9001"))
    path = tmp_path / "net.toml"
    path.write_text(
        f'[hosts.server]\nrun = "{sys.executable} server.py"\n[hosts.client]\nrun = "{sys.executable} wrong.py"\n'
        '[[links]]\nbetween = ["client", "server"]\n'
    )
    return path


def run(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*WALLSOCKET, *words],
        cwd=folder,
        env={**os.environ, "XDG_STATE_HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def test_explain_plays_a_file_and_names_the_cause(file: Path) -> None:
    done = run("explain", "--json", "--lab", file.name, folder=file.parent)
    first, *_, summary = map(json.loads, filter(lambda line: line.startswith("{"), done.stdout.splitlines()))
    assert first["rule"] == "nobody-listens", done
    assert os.path.basename(first["file"]) == "wrong.py"
    assert summary["lost"] == 0
    assert done.returncode == 1


def test_trace_takes_commands_for_the_hosts(file: Path) -> None:
    commands = [f"{host}={sys.executable} {host}.py" for host in ("server", "client")]
    done = run("trace", "--lab", file.name, "-o", "a.wsrec", *commands, folder=file.parent)
    assert done.returncode == 0, done
    assert "exit status 0" in done.stderr
    with trace.Recording.open(file.parent / "a.wsrec") as recording:
        assert json.loads(recording.meta["command"]) == commands
    shown = run("show", "a.wsrec", folder=file.parent).stdout
    assert "client.py (pid " in shown
    assert ") on client" in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--lab", "none.toml"], "none.toml: No such file"),
        (["--lab", "net.toml", "nohost=true"], "there is no host 'nohost'"),
        (["--lab", "net.toml", "true"], "'true' is not HOST=COMMAND"),
        (["--lab", "net.toml", "--one-core"], "--one-core is for one command"),
        (["--lab", "empty.toml"], "no host runs anything"),
    ],
)
def test_what_is_wrong_is_said(words: list[str], said: str, file: Path) -> None:
    (file.parent / "empty.toml").write_text("[hosts.a]\n")
    done = run("trace", *words, folder=file.parent)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == 2


def test_the_word_after_lab_is_the_command_unless_it_is_a_toml_file(tmp_path: Path) -> None:
    done = run("trace", "-q", "--lab", "printf", "%s|", "--lab", "x.toml", folder=tmp_path)
    assert (done.stdout, done.returncode) == ("--lab|x.toml|", 0)
