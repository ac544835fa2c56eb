"""Rows that are read, not tried: kernel, machine, the guardian program, the Python interpreters."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ..kernel.refusal import GUARDIAN, HOLDER, LIBRARY
from .row import Row, Status

__all__ = ["interpreters", "rows"]

#: pidfd_getfd is of 5.6, PTRACE_GET_SYSCALL_INFO of 5.3; 5.10 is the oldest kernel that is looked after.
_OLDEST_KERNEL: Final = (5, 10)
#: Where the library's gate is in every program that has loaded it (crates/wallsocket-ring).
_GATE: Final = 0x70575000
#: CPython versions whose frames can be read from outside.
_OLDEST_PYTHON: Final = (3, 11)
_NEWEST_PYTHON: Final = (3, 15)


def rows() -> Iterator[Row]:
    """Kernel, machine, and the two programs and the library that come with the package."""
    system = os.uname()
    found = re.match(r"(\d+)\.(\d+)", system.release)
    version = (int(found[1]), int(found[2])) if found else (0, 0)
    purpose = "everything: Linux 5.10 or newer"
    if system.sysname == "Linux" and version >= _OLDEST_KERNEL:
        yield Row("kernel", Status.WORKS, purpose, f"Linux {system.release}", essential=True)
    else:
        seen = f"{system.sysname} {system.release}"
        yield Row("kernel", Status.MISSING, purpose, seen, "the kernel is too old", essential=True)
    purpose = "tables of system calls"
    if system.machine == "x86_64":
        yield Row("machine", Status.WORKS, purpose, system.machine, essential=True)
    elif system.machine == "aarch64":
        yield Row("machine", Status.UNKNOWN, purpose, "aarch64: the tables are there, but untested", essential=True)
    else:
        yield Row("machine", Status.MISSING, purpose, f"{system.machine}: no tables for it", essential=True)
    yield _program("guardian", GUARDIAN, "trace and explain: the program that traces", essential=True)
    yield _library()
    yield _program("holder", HOLDER, "lab: the program that holds its namespaces")


def _library() -> Row:
    """Whether a program can be given the library, and whether that finds its place there."""
    name, purpose = "preload", "--via preload: calls recorded without stops"
    if not LIBRARY.is_file():
        return Row(
            name,
            Status.MISSING,
            purpose,
            f"{LIBRARY}: no such file",
            allow="install the wheel, or in the source tree: make build",
        )
    environment = {**os.environ, "LD_PRELOAD": str(LIBRARY)}
    try:
        found = subprocess.run(
            ["cat", "/proc/self/maps"], capture_output=True, text=True, timeout=5, check=False, env=environment
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Row(name, Status.UNKNOWN, purpose, f"cat /proc/self/maps: {error}")
    if re.search(rf"^0*{_GATE:x}-", found.stdout, re.MULTILINE):
        return Row(name, Status.WORKS, purpose, f"{LIBRARY}")
    if LIBRARY.name in found.stdout:
        seen = "it is loaded, but is refused the page that its calls come from"
        return Row(
            name, Status.REFUSED, purpose, seen, "a policy on memory that is written and executed (SELinux: execmem)"
        )
    said = found.stderr.strip().splitlines()
    return Row(
        name, Status.REFUSED, purpose, said[0] if said else "cat did not load it", "the dynamic linker, which says why"
    )


def _program(name: str, path: Path, purpose: str, *, essential: bool = False) -> Row:
    """Whether a program of the package is there and starts."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return Row(
            name,
            Status.MISSING,
            purpose,
            f"{path}: {error.strerror}",
            allow="install the wheel, or in the source tree: make build",
            essential=essential,
        )
    try:
        # Without orders it ends at once with status 1 or 2: it is not started by hand.
        run = subprocess.run([path], capture_output=True, timeout=5, check=False, stdin=subprocess.DEVNULL)
    except OSError as error:
        allow = f"chmod +x {path}" if not mode & stat.S_IXUSR else "put the environment on a disk that allows programs"
        return Row(
            name,
            Status.REFUSED,
            purpose,
            f"{path}: {error.strerror}",
            "the file's mode or a noexec mount",
            allow,
            "",
            essential,
        )
    except subprocess.TimeoutExpired:
        return Row(name, Status.UNKNOWN, purpose, "did not end within 5 s", essential=essential)
    if run.returncode in (1, 2):
        return Row(name, Status.WORKS, purpose, f"{mode & 0o777:o} {path}", essential=essential)
    return Row(name, Status.UNKNOWN, purpose, f"ended with status {run.returncode}", essential=essential)


def interpreters() -> Iterator[Row]:
    """A row for each CPython on PATH: whether the lines of its programs can be named."""
    purpose = "file and line of calls in programs that it runs"
    seen: set[Path] = set()
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        for minor in range(6, 30):
            path = shutil.which(f"python3.{minor}", path=folder)
            if path is None:
                continue
            version, real = _ask(path)
            if not version or real in seen:
                continue
            seen.add(real)
            # The flag t is that of a free-threaded build.
            numbers = tuple(map(int, version.split(".")[:2]))
            known = _OLDEST_PYTHON <= numbers <= _NEWEST_PYTHON and not version.endswith("t")
            yield Row(
                f"CPython {version}",
                Status.WORKS if known else Status.MISSING,
                purpose,
                str(real),
                "" if known else "its frames cannot be read",
                without="" if known else "calls are recorded; their lines stay unknown",
            )


def _ask(path: str) -> tuple[str, Path]:
    """Version and real path of an interpreter; an empty version when it does not answer, as a shim for nothing."""
    program = (
        "import platform, sys; print(platform.python_version() + sys.abiflags, sys.implementation.name, sys.executable)"
    )
    try:
        answer = subprocess.run(
            [path, "-I", "-S", "-c", program], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return "", Path(path)
    words = answer.stdout.split(maxsplit=2)
    if answer.returncode != 0 or len(words) != 3 or words[1] != "cpython":
        return "", Path(path)
    return words[0], Path(words[2].strip()).resolve()
