"""The pytest plugin, for tests of any project.

- The fixture ``wallsocket_lab``: networks of one test, as bad as it wants.
- ``--wallsocket``: the tests run under the trace, and what the rules find is told with the test that caused it.
- ``--wallsocket-hang 30``: a test that lasts longer has its threads, tasks, lines and sockets printed, and the cause.

``wallsocket_lab`` gives a test networks of its own, as bad as it wants::

    def test_my_client_survives_loss(wallsocket_lab):
        client, server = wallsocket_lab.hosts("client", "server", loss="10%")
        server.popen("my-server --bind 0.0.0.0")
        assert client.run("my-client server", timeout=60).returncode == 0

Labs end with the test, with every program in them. They share nothing, so tests may run in parallel.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ..lab import Lab

__all__ = ["LabFactory", "wallsocket_lab"]


class LabFactory:
    """Makes labs that end with the test. Has the functions of :mod:`wallsocket.lab` that return a lab."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.labs: list[Lab] = []

    def _keep(self, make: Callable[..., Lab], *arguments: Any, **options: Any) -> Lab:
        options.setdefault("seed", self.seed)
        made = make(*arguments, **options)
        self.labs.append(made)
        return made

    def lab(self, **options: Any) -> Lab:
        """An empty lab, to add hosts and links to."""
        from .. import lab

        return self._keep(lab.Lab, **options)

    def load(self, source: str | os.PathLike[str] | dict[str, Any], **options: Any) -> Lab:
        """The lab that a TOML file describes; its programs run."""
        from .. import lab

        made = lab.load(source, **options)
        self.labs.append(made)
        return made

    def hosts(self, *names: str, **options: Any) -> Lab:
        """Hosts on one network; see :func:`wallsocket.lab.hosts`."""
        from .. import lab

        return self._keep(lab.hosts, *names, **options)

    def __getattr__(self, name: str) -> Callable[..., Lab]:
        from .. import lab

        if name not in ("firewall", "line", "mtu_bottleneck", "nat", "pair", "router", "star"):
            raise AttributeError(f"wallsocket_lab has no {name!r}")
        return lambda *arguments, **options: self._keep(getattr(lab, name), *arguments, **options)

    def report(self) -> str:
        """Seed, links and counters of the labs, for the report of a failed test."""
        lines = [f"seed {self.seed} (again with --wallsocket-seed={self.seed})"]
        for made in self.labs:
            for link in made.links:
                for end in (link.b, link.a):
                    counts = link.counters(end) if link.counts else {}
                    text = " ".join(f"{name}={value}" for name, value in counts.items() if value) or "plain cable"
                    lines.append(f"{link} to {end.name}: {text}")
        return "\n".join(lines)

    def close(self) -> None:
        """End all labs."""
        for made in self.labs:
            made.close()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of the plugin, and its settings in ``pyproject.toml`` or ``pytest.ini``."""
    group = parser.getgroup("wallsocket")
    group.addoption(
        "--wallsocket-seed",
        type=int,
        default=0,
        metavar="N",
        help="seed of the wallsocket_lab fixture's links (default 0)",
    )
    group.addoption(
        "--wallsocket",
        action="store_true",
        help="run the tests under the trace; findings are told with the test that caused them",
    )
    group.addoption(
        "--wallsocket-fail",
        choices=["error", "warning", "note", "never"],
        help="fail a test with a finding of this severity, or worse (default error)",
    )
    group.addoption(
        "--wallsocket-hang",
        type=_seconds,
        metavar="SECONDS",
        help="print what a test waits for when it has run this long, and let it go on",
    )
    group.addoption(
        "--wallsocket-hang-fail", action="store_true", help="a test that hangs fails, where it can be interrupted"
    )
    parser.addini(
        "wallsocket_fail",
        "fail a test with a finding of this severity, or worse: error, warning, note or never",
        default="error",
    )
    parser.addini(
        "wallsocket_paths",
        "settings of some tests, the last line that fits counts: PATTERN: ignore RULE..., or PATTERN: fail SEVERITY",
        type="linelist",
    )
    for name, whose in (("user_code", "your own code"), ("library", "library code")):
        parser.addini(
            f"wallsocket_{name}", f"files and folders of {whose}, for the source lines of --wallsocket", type="paths"
        )


def _seconds(text: str) -> float:
    try:
        seconds = float(text.removesuffix("s"))
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r}: give seconds, such as 30")
    return seconds


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Iterator[None]:
    """Begin anew under the trace, before anything is imported, captured or started."""
    if early_config.known_args_namespace.wallsocket:
        from . import tracing

        tracing.begin(
            user_code=early_config.getini("wallsocket_user_code"), library=early_config.getini("wallsocket_library")
        )
    yield


def pytest_configure(config: pytest.Config) -> None:
    """Bring in what the options ask for."""
    if config.getoption("--wallsocket-hang") is not None:
        from .hanging import Hanging

        if not (getattr(config.option, "dist", "no") != "no" and not hasattr(config, "workerinput")):
            config.pluginmanager.register(Hanging(config), "wallsocket-hanging")
    elif config.getoption("--wallsocket-hang-fail"):
        raise pytest.UsageError("--wallsocket-hang-fail goes with --wallsocket-hang SECONDS")
    if config.getoption("--wallsocket"):
        from .tracing import Tracing

        config.pluginmanager.register(Tracing(config), "wallsocket-tracing")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Add seed and counters of the labs to the report of a failed test."""
    outcome: Any = yield
    report = outcome.get_result()
    factory = getattr(item, "funcargs", {}).get("wallsocket_lab")
    if report.when == "call" and report.failed and isinstance(factory, LabFactory) and factory.labs:
        report.sections.append(("wallsocket lab", factory.report()))


@pytest.fixture
def wallsocket_lab(request: pytest.FixtureRequest) -> Iterator[LabFactory]:
    """Private networks for one test: ``wallsocket_lab.hosts("client", "server", loss="10%", delay="50ms")``."""
    factory = LabFactory(request.config.getoption("--wallsocket-seed"))
    yield factory
    factory.close()
