"""The command line as a whole: help, errors, exit statuses, speed of its start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tests.support.recordings import lost_letter
from wallsocket import cli
from wallsocket.errors import RecordingError


def run(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "wallsocket", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)  # type: ignore[call-overload,no-any-return]


def test_help_lists_only_what_is_there() -> None:
    done = run("--help")
    assert done.returncode == 0
    installed = {path.stem for path in Path(cli.__file__).parent.glob("*.py")}
    for name, entry in cli.COMMANDS.items():
        listed = any(line.startswith(f"  {name} ") for line in done.stdout.splitlines())
        assert listed == (entry.module in installed and bool(entry.group)), name
    groups = [line.rstrip(":") for line in done.stdout.splitlines() if line.endswith(":") and line[0].isalpha()]
    assert [group for group in groups if group != "Options"] == [
        group
        for group in ("See", "Talk", "Wire", "Network", "Learn")
        if any(entry.group == group and entry.module in installed for entry in cli.COMMANDS.values())
    ]


def test_each_installed_command_has_help() -> None:
    for name in cli._available():
        done = run(name, "--help")
        assert (done.returncode, done.stderr) == (0, ""), name
        assert done.stdout.startswith(f"Usage: wallsocket {name}"), name
        assert "\\b" not in done.stdout, name


def test_without_a_command() -> None:
    done = run()
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("Usage: wallsocket")


def test_version() -> None:
    done = run("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("wallsocket ")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["shwo"], "wallsocket: no command 'shwo'; did you mean show?"),
        (["qqqqqq"], "wallsocket: no command 'qqqqqq'; wallsocket --help lists them"),
        (["--qqqqqq"], "wallsocket: no such option '--qqqqqq'"),
        (["show", "--qqqqqq"], "wallsocket show: no such option '--qqqqqq' (wallsocket show --help)"),
        (["show", "/nowhere/x.wsrec"], "wallsocket: /nowhere/x.wsrec: no such file"),
        (["show", "/"], "wallsocket: /: is a directory, not a recording"),
        (["show", "--from", "9" * 400 + "h"], "more than 30 years is too long to wait"),
        (["trace", "--payload", "9" * 5000, "--", "true"], "no call moves that many bytes; write all"),
        (["trace", "-p", "9" * 5000], "is not"),
        (["show", "--from", "3"], "'3' lacks a unit: ns, us, ms, s, m or h"),
        (["show", "--calls", "--json"], "wallsocket show: --json and --calls cannot be combined"),
    ],
)
def test_wrong_use_is_one_line(arguments: list[str], expected: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert expected.replace("'", "").lower() in done.stderr.replace("'", "").lower().replace(": --q", " --q")
    assert done.stderr.count("\n") == 1


def test_a_name_cannot_paint_the_terminal() -> None:
    done = run("show", "/tmp/\x1b[31m\u202e")
    assert done.returncode == 2
    assert "\x1b" not in done.stderr
    assert "\u202e" not in done.stderr


def test_errors_become_exit_statuses(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def failing(error: BaseException) -> None:
        @click.command()
        def command() -> None:
            raise error

        monkeypatch.setattr(cli._Commands, "get_command", lambda *_: command)

    for error, status, text in [
        (RecordingError("a\nb"), 2, "wallsocket: a b\n"),
        (PermissionError(13, "Permission denied", "/x"), 2, "wallsocket: /x: Permission denied\n"),
        (KeyboardInterrupt(), 130, "wallsocket: interrupted\n"),
    ]:
        failing(error)
        assert cli.main(["show"]) == status
        assert capsys.readouterr().err.lstrip("\n") == text


def test_the_result_of_a_command_is_the_exit_status(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def command() -> int:
        return 7

    monkeypatch.setattr(cli._Commands, "get_command", lambda *_: command)
    assert cli.main(["show"]) == 7


def test_a_reader_that_goes_away(tmp_path: Path) -> None:
    lost_letter(tmp_path / "a.wsrec").close()
    program = [sys.executable, "-m", "wallsocket", "show", str(tmp_path / "a.wsrec"), "--json"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        assert child.stderr.read() == b""
        assert child.wait(timeout=60) == 128 + signal.SIGPIPE


def test_completion_scripts() -> None:
    for shell in ("bash", "zsh", "fish"):
        done = run("completion", shell)
        assert done.returncode == 0, done.stderr
        assert "_WALLSOCKET_COMPLETE" in done.stdout


def test_completing_a_command_imports_none() -> None:
    environment = {
        **os.environ,
        "_WALLSOCKET_COMPLETE": "bash_complete",
        "COMP_WORDS": "wallsocket sh",
        "COMP_CWORD": "1",
    }
    done = run(env=environment)
    assert "plain,show" in done.stdout.split()


@pytest.mark.parametrize("name", cli._available())
def test_every_option_is_completed(name: str) -> None:
    from click.shell_completion import ShellComplete

    completion = ShellComplete(cli.commands, {}, "wallsocket", "_WALLSOCKET_COMPLETE")

    def look(command: click.Command, path: list[str]) -> None:
        context = click.Context(command)
        if isinstance(command, click.Group):
            for word in command.list_commands(context):
                inner = command.get_command(context, word)
                assert inner is not None
                look(inner, [*path, word])
        wanted = {
            option
            for parameter in command.get_params(context)
            if isinstance(parameter, click.Option) and not parameter.hidden
            for option in (*parameter.opts, *parameter.secondary_opts)
            if option.startswith("--")
        }
        assert {item.value for item in completion.get_completions(path, "--")} >= wanted

    command = cli.commands.get_command(click.Context(cli.commands), name)
    assert command is not None
    look(command, [name])


def modules(code: str) -> set[str]:
    program = f"import sys; {code}; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_what_is_not_needed_is_not_imported() -> None:
    """Start-up time, without a clock: what would cost most stays out."""
    heavy = {"sqlite3", "msgspec", "asyncio", "anyio", "socket", "click", "wallsocket._core", "dataclasses"}
    assert not heavy & modules("import wallsocket")
    for_help = modules("from wallsocket.cli import main; main(['--help'])")
    assert not {"sqlite3", "msgspec", "asyncio", "anyio", "wallsocket._core", "wallsocket.trace"} & for_help


def test_explain_says_what_a_command_waits_for_that_still_runs(tmp_path: Path) -> None:
    code = "import socket; a, b = socket.socketpair(); a.settimeout(9)\ntry:\n    a.recv(1)\nexcept TimeoutError:\n    pass"
    script = tmp_path / "waits.py"
    script.write_text(code)
    recording = str(tmp_path / "hang.wsrec")
    done = run("explain", "--hang", "1s", "-o", recording, "--", sys.executable, str(script))
    assert done.returncode == 0, done.stderr
    assert "it still runs after 1 s. What it waits for:" in done.stderr
    assert "timeout 9.0 s" in done.stderr
    assert "waits.py:3" in done.stderr
    done = run("explain", "--hang", "1s")
    assert done.returncode == 2
    assert "--hang goes with a command" in done.stderr
