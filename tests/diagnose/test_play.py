"""The stage on which examples are played."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.diagnose.test_examples import lab_works
from wallsocket.diagnose import all_rules, rule_of
from wallsocket.diagnose.play import Language, Stage, command_of, example, languages
from wallsocket.errors import UsageError

SERVER = """
import socket
listener = socket.create_server(("0.0.0.0", 4567))
print("ready", flush=True)
while True:
    connection, _ = listener.accept()
    connection.sendall(b"from the other host")
    connection.close()
"""
CLIENT = """
import socket
print(socket.create_connection(("server", 4567)).recv(100).decode())
"""
LAB = """
[hosts.client]
[hosts.server]
[[links]]
between = ["client", "server"]
[example]
host = "client"
peers = { server = "peer.py" }
"""


@pytest.mark.skipif(not lab_works(), reason="no namespaces here")
def test_a_lab_has_its_peers_ready_before_the_program_starts(tmp_path: Path) -> None:
    (tmp_path / "lab.toml").write_text(LAB)
    (tmp_path / "peer.py").write_text(SERVER)
    with Stage(tmp_path) as stage:
        assert stage.lab
        done = stage.run([sys.executable, "-c", CLIENT], capture_output=True, timeout=60, check=True)
    assert done.stdout.decode().strip() == "from the other host"


@pytest.mark.skipif(not lab_works(), reason="no namespaces here")
def test_a_peer_that_ends_at_once_is_told(tmp_path: Path) -> None:
    (tmp_path / "lab.toml").write_text(LAB)
    (tmp_path / "peer.py").write_text("print('no')")
    with pytest.raises(UsageError, match=r"peer\.py ended before it was ready"), Stage(tmp_path):
        pass


def test_without_a_lab_programs_run_here(tmp_path: Path) -> None:
    with Stage(tmp_path) as stage:
        assert not stage.lab
        done = stage.run([sys.executable, "-c", "print(1)"], stdout=subprocess.PIPE, timeout=60)
    assert done.stdout == b"1\n"


@pytest.mark.parametrize(("language", "least"), [("python", 140), ("c", 25), ("node", 10), ("go", 5)])
def test_the_commonest_causes_have_an_example_in_other_languages(language: Language, least: int) -> None:
    rules = [rule for rule in all_rules() if language in languages(rule)]
    assert len(rules) >= least
    assert {example(rule, language).suffix for rule in rules} == {
        {"python": ".py", "c": ".c", "node": ".js", "go": ".go"}[language]
    }


def test_a_language_that_is_missing_is_told_with_those_that_are_there() -> None:
    rule = rule_of("slow-reader")
    assert rule is not None
    assert example(rule, "c").name == "variant.c"
    assert example(rule, healthy=True).name == "healthy.py"
    with pytest.raises(UsageError, match=r"^slow-reader has no example in node; there is one in python, c, go$"):
        example(rule, "node")


@pytest.mark.parametrize(("suffix", "what"), [(".c", "a C compiler"), (".go", "Go"), (".js", "Node.js")])
def test_without_its_tool_a_program_is_not_played(
    suffix: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match=rf"variant{suffix} needs {what}; .* is not installed$"):
        command_of(tmp_path / f"variant{suffix}", tmp_path)


def test_a_program_that_does_not_compile_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "variant.c").write_text("int main(void) { return x; }\n")
    try:
        command_of(tmp_path / "variant.c", tmp_path)
    except UsageError as error:
        assert "\n" not in str(error)
        if "not installed" in str(error):
            pytest.skip(str(error))
    else:
        pytest.fail("a program without a meaning was compiled")


@pytest.mark.parametrize(
    "language",
    ["c", pytest.param("node", marks=pytest.mark.soak), pytest.param("go", marks=pytest.mark.soak)],
)
def test_the_command_plays_the_fault_in_that_language(language: Language, tmp_path: Path) -> None:
    rule = rule_of({"c": "linger-zero", "node": "nobody-listens", "go": "syn-unanswered"}[language])
    assert rule is not None
    try:
        command_of(example(rule, language), tmp_path)
    except UsageError as error:
        pytest.skip(str(error))
    words = [sys.executable, "-m", "wallsocket", "rule", "play", rule.id, "--language", language]
    done = subprocess.run(words, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0
    assert example(rule, language).read_text().splitlines()[0] in done.stdout
    assert any(line.endswith(f" {rule.id}") for line in done.stderr.splitlines()), done.stderr
