"""Whatever ends the program that has a lab: its namespaces and all their processes are gone."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest

from tests.lab.apart import Apart, wait_until

#: Two hosts, a program, and a daemon that has left its parent and its session.
LAB = """
import sys, time
from wallsocket import lab
with lab.hosts("a", "b") as (a, b):
    a.popen("sleep 1000")
    b.run("setsid sh -c 'sleep 1000 & sleep 1000 &' >/dev/null 2>&1", shell=True)
    print("ready", flush=True)
    print(a.run("readlink /proc/self/ns/net", capture_output=True, text=True).stdout.strip(), flush=True)
    {end}
"""


def members(namespace: str) -> list[str]:
    """Processes in a network namespace."""
    found = []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and os.readlink(f"/proc/{name}/ns/net") == namespace:
                found.append(name)
        except OSError:
            continue
    return found


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("pass", 0),
        ("raise ValueError", 1),
        ("sys.exit(3)", 3),
        ("import os; os._exit(4)", 4),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV); time.sleep(100)", -signal.SIGSEGV),
    ],
)
def test_ends_that_the_program_chooses(apart: Apart, end: str, status: int) -> None:
    process = apart.start(LAB.format(end=end))
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    assert process.wait(timeout=30) == status
    wait_until(lambda: not apart.left(), "no process is left")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_ends_by_a_signal(apart: Apart, number: signal.Signals) -> None:
    process = apart.start(LAB.format(end="time.sleep(1000)"))
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    namespace = process.stdout.readline().strip()
    assert members(namespace)
    assert len(apart.left()) >= 6
    process.send_signal(number)
    process.wait(timeout=30)
    wait_until(lambda: not apart.left(), "no process is left")
    assert not members(namespace)


def test_an_interrupt_of_the_whole_group_leaves_nothing(apart: Apart) -> None:
    """Ctrl-C in a terminal reaches the program, its lab's helper and the programs of its hosts at once."""
    process = apart.start(LAB.format(end="time.sleep(1000)"), start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    os.killpg(process.pid, signal.SIGINT)
    process.wait(timeout=30)
    wait_until(lambda: not apart.left(), "no process is left")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_signal_at_any_point_leaves_nothing(apart: Apart, number: signal.Signals) -> None:
    program = """
import sys
import wallsocket.lab
print("go", flush=True)
with wallsocket.lab.hosts("a", "b") as (a, b):
    for _ in range(3):
        a.popen("sleep 1000")
        b.run("true")
print("done", flush=True)
"""
    delays_ms = [0, 1, 2, 3, 5, 7, 9, 12, 15, 20, 26, 33, 42, 55]
    for delay_ms in delays_ms:
        process = apart.start(program, start_new_session=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "go\n"
        # The moment is the scenario here: each run is cut at another point of the lab's life.
        time.sleep(delay_ms / 1000)
        if number == signal.SIGINT:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        process.communicate(timeout=30)
        wait_until(lambda: not apart.left(), f"no process is left after {number.name} at {delay_ms} ms")


def test_the_holder_does_not_outlive_a_parent_whose_descriptors_were_copied(apart: Apart) -> None:
    """A forked child keeps the socket to the holder open; the end of the parent is what counts."""
    program = """
import os, sys, time
from wallsocket import lab
net = lab.hosts("a", "b")
pid = os.fork()
if pid == 0:
    time.sleep(1000)
print(net._namespaces.holder, pid, flush=True)
os._exit(0)
"""
    process = apart.start(program)
    assert process.stdout is not None
    holder, child = map(int, process.stdout.readline().split())
    process.wait(timeout=30)
    wait_until(lambda: not any(line.startswith(f"{holder} ") for line in apart.left()), "the holder is gone")
    os.kill(child, signal.SIGKILL)
    wait_until(lambda: not apart.left(), "no process is left")


def test_a_killed_holder_takes_the_programs_along(apart: Apart) -> None:
    program = """
import os, signal, sys
from wallsocket import lab
net = lab.hosts("a", "b")
a, b = net
process = a.popen("sleep 1000")
os.kill(net._namespaces.holder, signal.SIGKILL)
print(process.wait(timeout=20), flush=True)
net.close()
"""
    process = apart.start(program)
    assert process.communicate(timeout=30)[0] == f"{-signal.SIGKILL}\n"
    wait_until(lambda: not apart.left(), "no process is left")


def test_programs_that_ignore_signals_and_fork_are_ended(apart: Apart) -> None:
    program = """
from wallsocket import lab
net = lab.hosts("a", "b")
a, _ = net
stubborn = "trap '' TERM INT HUP; for i in 1 2 3; do (trap '' TERM; setsid sleep 1000 >/dev/null 2>&1 &) ; done"
a.run(stubborn, shell=True)
net.close()
"""
    process = apart.start(program)
    process.communicate(timeout=30)
    assert process.returncode == 0
    wait_until(lambda: not apart.left(), "no process is left")


def test_many_labs_in_a_row_use_no_more_descriptors() -> None:
    from wallsocket import lab

    def once() -> int:
        with lab.hosts("a", "b") as (a, _):
            a.run("true", stdout=subprocess.DEVNULL)
        return len(os.listdir("/proc/self/fd"))

    first = once()
    assert [once() for _ in range(5)] == [first] * 5
