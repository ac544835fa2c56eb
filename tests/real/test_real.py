"""Real servers and clients behave under Wallsocket as without it, and nothing is said to be wrong with them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.real import harness
from tests.real.harness import Outcome, Pair, recorded, run_pair, run_script
from tests.real.pairs import PAIRS
from tests.support.agreement import assert_inspected_alike

# Numbers of x86-64 (arch/x86/entry/syscalls/syscall_64.tbl).
ACCEPT = (43, 288)
CONNECT = (42,)
RECEIVE = (0, 19, 45, 47, 299)
SEND = (1, 20, 44, 46, 40, 307)

# Four runs of a pair, and the compiler before them, share a worker.
PARAMETERS = [pytest.param(pair, id=pair.name, marks=pytest.mark.xdist_group(pair.name)) for pair in PAIRS]
pytestmark = pytest.mark.timeout(400)

_REFERENCES: dict[str, tuple[Path, int, Outcome, Outcome]] = {}


@pytest.fixture
def reference(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> tuple[Pair, Path, int, Outcome, Outcome]:
    """A pair's folder and port, and what is seen of it untraced; run once for the tests of the pair."""
    if missing := pair.missing():
        pytest.skip(f"not installed: {', '.join(missing)}")
    if pair.name not in _REFERENCES:
        folder = tmp_path_factory.mktemp(pair.name.replace(".", "-"))
        port = harness.free_port()
        pair.prepare(folder, port)
        _REFERENCES[pair.name] = (folder, port, *run_pair(pair, folder, port))
    return (pair, *_REFERENCES[pair.name])


def _made(calls: dict[int, int], numbers: tuple[int, ...]) -> int:
    return sum(calls.get(number, 0) for number in numbers)


def _assert_healthy(recording: harness.Recorded) -> None:
    said = [f"{finding['rule']}: {finding['title']}: {finding['why']}" for finding in recording.findings]
    assert not said, "\n".join(said)
    assert recording.summary["lost"] == 0


@pytest.mark.parametrize("pair", PARAMETERS)
def test_a_traced_server_serves_as_before(reference: tuple[Pair, Path, int, Outcome, Outcome], tmp_path: Path) -> None:
    pair, folder, port, untraced_server, untraced_client = reference
    server, client = run_pair(pair, folder, port, server_recording=tmp_path / "server.wsrec")
    recording = recorded(tmp_path / "server.wsrec")
    assert client == untraced_client
    assert (server.stdout, server.stderr) == (untraced_server.stdout, untraced_server.stderr)
    assert recording.exit_status == untraced_server.status
    if pair.transport == "tcp":
        assert _made(recording.calls, ACCEPT) >= 1
    assert _made(recording.calls, RECEIVE) >= 1
    assert _made(recording.calls, SEND) >= 1
    _assert_healthy(recording)
    assert server.status == 0, "explain found nothing, but says that it did"


@pytest.mark.parametrize("pair", PARAMETERS)
def test_a_traced_client_asks_as_before(reference: tuple[Pair, Path, int, Outcome, Outcome], tmp_path: Path) -> None:
    pair, folder, port, untraced_server, untraced_client = reference
    server, client = run_pair(pair, folder, port, client_recording=tmp_path / "client.wsrec")
    recording = recorded(tmp_path / "client.wsrec")
    assert server == untraced_server
    assert (client.stdout, client.stderr) == (untraced_client.stdout, untraced_client.stderr)
    assert recording.exit_status == untraced_client.status
    assert _made(recording.calls, CONNECT) >= 1
    assert _made(recording.calls, RECEIVE) >= 1
    _assert_healthy(recording)
    assert client.status == 0


@pytest.mark.parametrize("pair", PARAMETERS)
def test_both_in_a_private_network(reference: tuple[Pair, Path, int, Outcome, Outcome], tmp_path: Path) -> None:
    pair, folder, port, _, untraced_client = reference
    if subprocess.run(["unshare", "--map-current-user", "--net", "true"], capture_output=True, check=False).returncode:
        pytest.skip("user namespaces are refused here")
    untraced = run_script(pair, folder, port, None)
    untraced_log = (folder / "server.out").read_bytes(), (folder / "server.err").read_bytes()
    assert untraced.stdout.startswith(untraced_client.stdout.split(b"~")[0])
    script = run_script(pair, folder, port, tmp_path / "lab.wsrec")
    recording = recorded(tmp_path / "lab.wsrec")
    assert (script.stdout, script.stderr) == (untraced.stdout, untraced.stderr)
    assert recording.exit_status == untraced.status
    for before, name in zip(untraced_log, ("server.out", "server.err"), strict=True):
        after = (folder / name).read_bytes()
        assert harness._steady(pair, after, "server") == harness._steady(pair, before, "server")
    assert recording.packets > 0
    _assert_healthy(recording)
    assert script.status == 0


@pytest.mark.parametrize(
    "pair",
    [pytest.param(pair, id=pair.name, marks=() if pair.name == "http.server" else pytest.mark.soak) for pair in PAIRS],
)
def test_a_server_is_called_alike_while_it_runs(pair: Pair, tmp_path: Path) -> None:
    if missing := pair.missing():
        pytest.skip(f"not installed: {', '.join(missing)}")
    port = harness.free_port()
    pair.prepare(tmp_path, port)
    assert_inspected_alike(
        tmp_path / "server.wsrec", *harness.inspected(pair, tmp_path, port, tmp_path / "server.wsrec")
    )


def test_every_named_program_is_looked_at() -> None:
    named = {"redis", "nginx", "http.server", "openssl", "dnsmasq", "node", "socat", "go", "java"}
    assert {pair.name for pair in PAIRS} == named
