"""A process that runs while it is read: each answer is right, or says that it is not known."""

from __future__ import annotations

import collections
import itertools
import os
import textwrap
from pathlib import Path

from tests.stacks.programs import Start
from wallsocket import _core
from wallsocket.errors import NotAvailable

python = _core.python

# Each function is called from one line only, so a stack mixed from two moments shows. The lines matter.
SOURCE = """
import oracle, threading, socket

def leaf_a(n):
    x = n
    return x + 1

def leaf_b(n):
    y = n * 2
    return y

def middle(n):
    a = leaf_a(n)
    b = leaf_b(n)
    exec(compile(f"z = {n}" + chr(10) * (n % 7), f"<gen {n % 5}>", "exec"))
    return a + b

def churn():
    while True:
        threads = [threading.Thread(target=middle, args=(n,)) for n in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

def work():
    n = 0
    while True:
        n = middle(n) % 1000

spinning = [threading.Thread(target=work, daemon=True) for _ in range(2)]
for thread in spinning:
    thread.start()
threading.Thread(target=churn, daemon=True).start()
oracle.start(spinning=[thread.native_id for thread in spinning])
pair = socket.socketpair()
pair[0].recv(1)
"""
#: Lines each function can be at: its own `def` too, before its first instruction.
LINES = {"leaf_a": {5, 6, 7}, "leaf_b": {9, 10, 11}, "middle": {13, 14, 15, 16, 17}, "work": set(range(27, 31))}
#: The line from which each function is called.
CALLED_FROM = {"leaf_a": ("middle", 14), "leaf_b": ("middle", 15), "middle": ("work", 30)}


def test_two_thousand_reads_of_a_busy_process(interpreter: str, start: Start) -> None:
    program = start(interpreter, textwrap.dedent(SOURCE))
    source = Path(os.fsdecode(program.process.args[-1])).read_text().splitlines()  # type: ignore[index]
    assert source[13].strip() == "a = leaf_a(n)"
    assert source[29].strip() == "n = middle(n) % 1000"
    seen: collections.Counter[str] = collections.Counter()
    reader = python.describe(program.pid)
    for index in range(2000):
        try:
            stack = reader.frames(program.facts["spinning"][index % 2])
        except NotAvailable as unknown:
            seen[f"unknown: {unknown}"] += 1
            continue
        frames = [frame for frame in stack.frames if frame.file.endswith("program.py")]
        seen["waiting" if stack.waiting else "running"] += 1
        for frame in frames:
            assert frame.line in LINES[frame.function], frame
        if stack.waiting:
            own = [frame.function for frame in frames]
            assert own[-1] == "work"
            assert stack.frames[-1].function == "Thread._bootstrap"
            for inner, outer in itertools.pairwise(frames):
                assert (outer.function, outer.line) == CALLED_FROM[inner.function], stack.frames
        else:
            assert len(stack.frames) <= 1
    # Both kinds of answer must occur, or this test shows nothing.
    assert seen["waiting"] > 100, seen
    assert seen["running"] > 100, seen


def test_the_list_of_threads_of_a_process_that_starts_and_ends_threads(interpreter: str, start: Start) -> None:
    program = start(interpreter, textwrap.dedent(SOURCE))
    lasting = {program.main, *program.facts["spinning"]}
    known = 0
    for _ in range(300):
        try:
            threads = {thread.native_id for thread in python.threads(program.pid)}
        except NotAvailable:
            continue
        known += 1
        assert lasting <= threads
    assert known > 30
