"""What all benchmarks share: the machine, interleaved rounds, medians with their spread."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

BIN = Path(__file__).parent / "bin"
PEERS = Path(__file__).parent / "peers"
BUILD = Path(__file__).parent.parent / "build" / "bench"
PATH = f"{os.environ['PATH']}:/usr/local/sbin:/usr/sbin:/sbin"

Spread = Sequence[float]


@dataclass
class Table:
    """A table of the report, and the trials behind it."""

    title: str
    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    data: Any = None

    def markdown(self) -> list[str]:
        """The table as lines of Markdown."""
        lines = [list(self.columns), ["---"] * len(self.columns), *map(list, self.rows)]
        return [f"| {' | '.join(line)} |" for line in lines]


class Others:
    """How many cores other programs used meanwhile: the machine's busy time less ours and our children's."""

    cores = 0.0

    def __enter__(self) -> Self:
        self._before = _busy_s(), _own_s(), time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        busy, own, at = self._before
        self.cores = max(0.0, (_busy_s() - busy - (_own_s() - own)) / (time.monotonic() - at))


def _busy_s() -> float:
    with open("/proc/stat") as file:
        user, nice, system, _, _, irq, soft, *_ = map(int, file.readline().split()[1:])
    return (user + nice + system + irq + soft) / os.sysconf("SC_CLK_TCK")


def _own_s() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def machine() -> str:
    """One line about the machine and the peers' versions."""
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "unknown CPU")
    strace = _first_line("strace", "-V")
    return (
        f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, CPython {platform.python_version()}"
        f"{', ' + strace if strace else ''}; {time.strftime('%Y-%m-%d')}; load at the start {os.getloadavg()[0]:.1f}."
    )


def _first_line(*command: str) -> str:
    if shutil.which(command[0], path=PATH) is None:
        return ""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.partition("\n")[0]


class Missing(Exception):
    """A peer cannot be had on this machine; the text says why."""


#: Programs of peers that the running benchmark looked for in vain.
lacking: list[str] = []


def present(program: str, path: str = PATH) -> str | None:
    """Where a peer's program is; what is not here is reported as missing."""
    place = shutil.which(program, path=path)
    if place is None and program not in lacking:
        lacking.append(program)
    return place


def compiled(name: str, *libraries: str) -> Path:
    """``peers/NAME.c``, compiled when it is newer than what was compiled before.

    Raises:
        Missing: there is no compiler, or no header of a library.
    """
    source, target = PEERS / f"{name}.c", BIN / name
    if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
        BIN.mkdir(exist_ok=True)
        command = ["gcc", "-O2", "-w", "-o", str(target), str(source), *libraries]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            raise Missing(f"{name}.c cannot be compiled: gcc: {error.strerror}") from error
        if done.returncode != 0:
            why = next((line for line in done.stderr.splitlines() if "error" in line), "gcc failed")
            raise Missing(f"{name}.c cannot be compiled: {why.strip()}")
    return target


def peer_package(requirement: str) -> dict[str, str] | None:
    """An environment in which a peer from PyPI can be imported; None when it cannot be had.

    It goes to ``build/``, not into the tools' environment: nothing but a benchmark needs it.
    """
    folder = BUILD / requirement.replace("==", "-")
    if not folder.exists():
        arriving = folder.with_name(f"{folder.name}.arriving")
        shutil.rmtree(arriving, ignore_errors=True)
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--target",
            str(arriving),
            requirement,
        ]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            return None
        arriving.rename(folder)
    return {**os.environ, "PYTHONPATH": str(folder)}


def interleaved(rounds: int, peers: Mapping[str, Callable[[], float]], what: str) -> dict[str, list[float]]:
    """Run every peer once in each round, so that what disturbs the machine disturbs all; the result of each trial."""
    results: dict[str, list[float]] = {name: [] for name in peers}
    for number in range(rounds):
        for name, peer in peers.items():
            if sys.stderr.isatty():
                print(f"\r{what}: round {number + 1} of {rounds}: {name:50.50}", end="", file=sys.stderr, flush=True)
            results[name].append(peer())
    if sys.stderr.isatty():
        print(f"\r{'':100}\r", end="", file=sys.stderr)
    return results


def spread(values: Spread, digits: int = 1) -> str:
    """Median (lowest to highest)."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def ratios(above: Spread, below: Spread) -> list[float]:
    """Quotient of each round; rounds in which the divisor is not positive say nothing."""
    return [a / b for a, b in zip(above, below, strict=True) if b > 0]
