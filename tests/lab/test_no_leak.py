"""Whatever ends the program that has a lab: its namespaces and all their processes are gone."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.lab.apart import Apart, wait_until
from tests.lab.test_command import MAIN
from tests.lab.test_refusal import FILTER

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


#: Every part of a lab's life: plain and impaired links, a switch, a router, a published port, programs, a change while it runs.
WHOLE = """
import sys
import wallsocket.lab
print("go", flush=True)
with wallsocket.lab.Lab() as net:
    a, b, c = net.host("a"), net.host("b", forward=True), net.host("c")
    net.switch("s", a, b)
    net.link(b, c, loss="1%")
    net.publish(b, 80)
    for _ in range(3):
        a.popen("sleep 1000")
        b.run("true")
    net.link_between(a, "s").set(delay="1ms")
print("done", flush=True)
"""


def cut(apart: Apart, number: signal.Signals, delay_ms: float) -> None:
    """Run the whole, and end it by a signal at some point: nothing is left."""
    process = apart.start(WHOLE, start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "go\n"
    # The moment is the scenario here: each run is cut at another point of the lab's life.
    time.sleep(delay_ms / 1000)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    process.communicate(timeout=60)
    wait_until(lambda: not apart.left(), f"no process is left after {number.name} at {delay_ms} ms")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_signal_at_any_point_leaves_nothing(apart: Apart, number: signal.Signals) -> None:
    for delay_ms in (0, 1, 2, 3, 5, 7, 9, 12, 15, 20, 30, 50, 80):
        cut(apart, number, delay_ms)


@pytest.mark.soak
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
def test_hundreds_of_signals_at_random_points_leave_nothing(apart: Apart, number: signal.Signals) -> None:
    moments = random.Random(number)
    for _ in range(200):
        cut(apart, number, moments.uniform(0, 150))


def cut_command(apart: Apart, folder: Path, action: str, number: signal.Signals, delay_ms: float) -> None:
    """Run the command line, and end it some time after it was started: nothing is left, and no traceback is printed."""
    folder.joinpath("net.toml").write_text(
        "[hosts.a]\nrun='sleep 1000'\n[hosts.b]\n[[links]]\nbetween=['a','b']\nloss='1%'\n"
    )
    arguments = {
        "run": ["lab", "run", "--loss", "1%", "a=sleep 1000", "b=sleep 1000"],
        "up": ["lab", "up", "--name", f"cut-{os.getpid()}", str(folder / "net.toml")],
    }[action]
    # Until here an interrupt is one of Python's start, with its own traceback.
    process = apart.start(f"print('go', flush=True); {MAIN}", *arguments, start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "go\n"
    time.sleep(delay_ms / 1000)
    os.killpg(process.pid, number)
    try:
        _, errors = process.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        # Before the command begins, Python may have lost the interrupt in a callback of its own, and says so: once more.
        os.killpg(process.pid, number)
        _, errors = process.communicate(timeout=60)
        assert "Exception ignored" in errors
    wait_until(lambda: not apart.left(), f"no process is left after {number.name} at {delay_ms} ms")
    # While modules are imported the signal's meaning is still Python's.
    if delay_ms > 500:
        assert "Traceback" not in errors, errors


@pytest.mark.parametrize("action", ["run", "up"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_ended_at_any_point_leaves_nothing(
    apart: Apart, tmp_path: Path, action: str, number: signal.Signals
) -> None:
    for delay_ms in (0, 40, 80, 110, 140, 170, 200, 250, 600):
        cut_command(apart, tmp_path, action, number, delay_ms)


@pytest.mark.soak
@pytest.mark.parametrize("action", ["run", "up"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_commands_that_are_ended_at_random_points_leave_nothing(
    apart: Apart, tmp_path: Path, action: str, number: signal.Signals
) -> None:
    moments = random.Random(number)
    for _ in range(50):
        cut_command(apart, tmp_path, action, number, moments.uniform(0, 500))


#: Builds a lab with every kind of part and says how it went.
BUILD = """
import resource, sys
from wallsocket import lab, errors
try:
    with lab.Lab() as net:
        a, b = net.host("a"), net.host("b")
        net.switch("s", a, b)
        net.link(a, b, loss="1%")
        net.link_between(a, "s").set(delay="1ms")
        net.publish(b, 80)
        a.run("true")
    print("done")
except (OSError, errors.WallsocketError) as error:
    print(type(error).__name__, error)
"""


def test_without_descriptors_it_is_said_and_nothing_is_left(apart: Apart) -> None:
    seen = set()
    for limit in range(6, 60, 3):
        lower = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({limit}, {limit}))"
        # Imported before: without descriptors not even a module can be read.
        imports = "import wallsocket.lab, wallsocket.lab.publish, subprocess, selectors, wallsocket.kernel.refusal, encodings.idna"
        process = apart.start(f"{imports}\n{lower}\n{BUILD}")
        output, errors = process.communicate(timeout=60)
        assert errors == "", errors
        assert output == "done\n" or re.search("Too many open files|Errno 24", output), (limit, output)
        seen.add(output == "done\n")
        wait_until(lambda: not apart.left(), f"no process is left after {limit} descriptors")
    assert seen == {True, False}


@pytest.mark.parametrize(
    ("call", "argument", "value", "text"),
    [
        # sendto(2) of more than 100 bytes: the request for a pair of interfaces is the largest one that a lab makes.
        (44, 32, 100, "make the interface pair"),
        # setsockopt(2) SOL_PACKET: the ring of a forwarder.
        (54, 24, 263, "cannot start the forwarder of the link a-b"),
    ],
    ids=["veth", "ring"],
)
def test_without_memory_in_the_kernel_it_is_said_and_nothing_is_left(
    apart: Apart, call: int, argument: int, value: int, text: str
) -> None:
    jump = "GREATER" if call == 44 else "EQUAL"
    denial = f"""
install([
    (LOAD, 0, 0, 0), (EQUAL, 0, 3, {call}),
    (LOAD, 0, 0, {argument}), ({jump}, 0, 1, {value}),
    (RETURN, 0, 0, 0x0005000C), (RETURN, 0, 0, ALLOW),
])
"""
    process = apart.start(f"import wallsocket.lab\n{FILTER}{denial}{BUILD}")
    output, errors = process.communicate(timeout=60)
    assert errors == ""
    assert output.startswith("OSError [Errno 12]")
    assert text in output
    assert "Cannot allocate memory" in output
    wait_until(lambda: not apart.left(), "no process is left")


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
