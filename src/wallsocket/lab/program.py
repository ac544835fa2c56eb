"""Programs in a host: ``subprocess`` with one more argument, the host."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import NotPermitted, UsageError

if TYPE_CHECKING:
    from .host import Host

__all__ = ["Command", "Entry", "Process", "helper", "shell"]

#: What may be run: arguments, or one text that is split as a shell would, without a shell.
Command = str | Sequence["str | bytes | os.PathLike[str]"]

#: Capabilities (capabilities(7)) of programs in a host, over its network alone: NET_BIND_SERVICE, _BROADCAST, _ADMIN, _RAW.
_NETWORK_CAPABILITIES = 1 << 10 | 1 << 11 | 1 << 12 | 1 << 13


def helper() -> str:
    """Path of the program that holds namespaces and starts programs in them."""
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "holder")


def _arguments(command: Command, shell: bool) -> list[str | bytes | os.PathLike[str]]:
    if shell:
        if not isinstance(command, str):
            raise UsageError("with shell=True the command is one text")
        return ["/bin/sh", "-c", command]
    arguments = shlex.split(command) if isinstance(command, str) else list(command)
    if not arguments:
        raise UsageError("there is no command to run")
    return list(arguments)


class Entry:
    """The way into a host of a lab that another process has: a name and the descriptors of its namespaces."""

    def __init__(self, name: str, descriptors: list[int]) -> None:
        self.name = name
        self._descriptors = descriptors

    #: What sees a program before it runs; nobody, of a lab that another process has.
    _sees: Callable[[int], None] | None = None

    def _enter(self) -> list[int]:
        return self._descriptors


class Process(subprocess.Popen[Any]):
    """A running program of a host: a ``subprocess.Popen`` whose process is in the host's namespaces.

    ``pid`` is the program's number as the calling process sees it, so signals, ``/proc`` and tracing reach it.
    The program is killed when the lab ends. It keeps the caller's user id and gets the network capabilities of its host
    (it may configure it and open raw sockets) unless ``capabilities=False``.
    """

    def __init__(self, host: Host | Entry, command: Command, *, capabilities: bool = True, **options: Any) -> None:
        """Start it; options are those of ``subprocess.Popen`` except ``executable``.

        Raises:
            UsageError: there is no command, or an option cannot be had here.
            OSError: the program cannot be executed, with the same meaning as from ``subprocess.Popen``.
            NotPermitted: the kernel refuses to let a program into the host.

        """
        if "executable" in options:
            raise UsageError("executable= cannot be used in a host; give the program's path as the first argument")
        self.host = host
        shell = options.pop("shell", False)
        arguments = _arguments(command, shell)
        namespaces = host._enter()
        # Descriptor numbers of the user (or -1), process, network and mount namespace.
        network, mounts, processes, *user = namespaces
        report, far_report = os.pipe()
        # With somebody to see it first, the program begins at the end of this pipe.
        hold, release = os.pipe() if host._sees is not None else (-1, -1)
        order = [user[0] if user else -1, processes, network, mounts, far_report]
        order += [_NETWORK_CAPABILITIES if capabilities else 0, hold]
        options["pass_fds"] = (*options.get("pass_fds", ()), *namespaces, far_report, *([hold] if hold >= 0 else []))
        started = False
        try:
            try:
                super().__init__([helper(), "enter", *map(str, order), *arguments], **options)
                started = True
            finally:
                os.close(far_report)
                if hold >= 0:
                    os.close(hold)
            self._become_the_program(report, release, arguments)
        except BaseException:
            if started:
                self._abandon(report)
            raise
        finally:
            os.close(report)
        self.args = command

    def _become_the_program(self, report: int, release: int, arguments: list[str | bytes | os.PathLike[str]]) -> None:
        sees = self.host._sees
        said: list[tuple[str, str]] = []
        try:
            for line in _lines(report):
                word, _, rest = line.partition(" ")
                said.append((word, rest))
                if word == "pid":
                    super().wait()
                    self.pid, self.returncode = int(rest), None
                # Two processes write these, in any order.
                if {"pid", "held"} <= {word for word, _ in said} and release >= 0 and sees is not None:
                    sees(self.pid)
                    os.close(release)
                    release = -1
        finally:
            if release >= 0:
                os.close(release)
        if not said:
            super().wait()
        for word, rest in said:
            if word == "errno":
                number, _, what = rest.partition(" ")
                if self.returncode is None:
                    super().wait()
                if what == "execute":
                    raise OSError(int(number), os.strerror(int(number)), os.fspath(arguments[0]))
                text = f"cannot {what} of host {self.host.name!r} for a program: {os.strerror(int(number))}"
                raise NotPermitted(text) from OSError(int(number), os.strerror(int(number)))
        if self.returncode is not None:
            raise NotPermitted(f"the program's starter ended with status {self.returncode} before the program ran")

    def _abandon(self, report: int) -> None:
        """Leave no process and no open pipe behind when starting it failed or was interrupted."""
        if self.returncode is None:
            for line in _lines(report):
                if line.startswith("pid "):
                    super().wait()
                    self.pid, self.returncode = int(line[4:]), None
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            super().wait()
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                stream.close()


def shell(name: str) -> tuple[list[str], dict[str, str]]:
    """Command and environment of the user's shell, with a prompt that names the host."""
    environment = {**os.environ, "PS1": f"{name}$ ", "WALLSOCKET_HOST": name}
    program = environment.get("SHELL", "/bin/sh")
    # bash would replace the prompt by the one of its start files.
    quiet = ["--norc", "--noprofile"] if program.endswith("bash") else []
    return [program, *quiet, "-i"], environment


def _lines(descriptor: int) -> Iterator[str]:
    """What comes through a pipe until its end, line by line as it comes."""
    rest = b""
    while part := os.read(descriptor, 4096):
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            yield line.decode(errors="replace")


def run(
    host: Host,
    command: Command,
    *,
    input: Any,
    capture_output: bool,
    timeout: float | None,
    check: bool,
    **options: Any,
) -> subprocess.CompletedProcess[Any]:
    """Run a program to its end; the arguments and errors are those of ``subprocess.run``."""
    if input is not None:
        if options.get("stdin") is not None:
            raise UsageError("stdin and input cannot both be given")
        options["stdin"] = subprocess.PIPE
    if capture_output:
        if options.get("stdout") is not None or options.get("stderr") is not None:
            raise UsageError("stdout and stderr cannot be given with capture_output")
        options["stdout"] = options["stderr"] = subprocess.PIPE
    with host.popen(command, **options) as process:
        try:
            output, errors = process.communicate(input, timeout=timeout)
        except subprocess.TimeoutExpired as expired:
            process.kill()
            # As subprocess.run does: what the program wrote until it was killed belongs to the exception.
            expired.stdout, expired.stderr = process.communicate()
            raise
        except BaseException:
            process.kill()
            raise
        status = process.poll()
    if status is None:
        raise AssertionError("communicate() waits for the end")
    if check and status:
        raise subprocess.CalledProcessError(status, command, output, errors)
    return subprocess.CompletedProcess(command, status, output, errors)
