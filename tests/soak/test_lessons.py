"""Every experiment gives its verdict, over and over, on a machine that is busy with other things."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from wallsocket.lessons.catalogue import all_claims
from wallsocket.lessons.lesson import Claim
from wallsocket.lessons.play import missing, play

pytestmark = [pytest.mark.soak, pytest.mark.timeout(12_000)]

ROUNDS = int(os.environ.get("LESSON_ROUNDS", "20"))
#: What keeps a core busy besides the experiments.
BUSY = "while True: sum(range(1000))"


def test_all_experiments_many_times_in_a_row_on_a_busy_machine(capsys: pytest.CaptureFixture[str]) -> None:
    claims = [claim for claim in all_claims() if not claim.not_shown and missing(claim) is None]
    failures: Counter[str] = Counter()
    slowest = ("", 0.0)

    def one(claim: Claim) -> tuple[Claim, str, float]:
        run = play(claim)
        wrong = run.failure or ("" if run.as_expected else f"{run.verdict}: {run.seen}")
        if not wrong and run.right_answer is None:
            wrong = f"no answer: {run.seen}"
        return claim, wrong, run.took_s

    cores = len(os.sched_getaffinity(0))
    load = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(cores)]
    started = time.monotonic()
    try:
        for number in range(1, ROUNDS + 1):
            with ThreadPoolExecutor(cores) as pool:
                for claim, wrong, took_s in pool.map(one, claims):
                    slowest = max(slowest, (claim.id, took_s), key=lambda pair: pair[1])
                    if wrong:
                        failures[claim.id] += 1
                        with capsys.disabled():
                            print(f"\nround {number}: {claim.id}: {wrong}")
    finally:
        for process in load:
            process.kill()
            process.wait()
    with capsys.disabled():
        took_s = time.monotonic() - started
        print(f"\n{len(claims)} experiments, {ROUNDS} times, {took_s:.0f} s; slowest {slowest[0]} {slowest[1]:.1f} s")
    assert not failures
