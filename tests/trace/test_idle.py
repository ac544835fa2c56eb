"""Who asks for an idle processor is told of one, holds nobody up, and is not left waiting for ever."""

from __future__ import annotations

import os
import select
import signal
import time

import pytest

from wallsocket.trace.idle import Idle


def answers(idle: Idle, timeout_s: float) -> bool:
    """Whether a processor is idle within a time."""
    return bool(select.select([idle.asked()], [], [], timeout_s)[0])


def test_it_answers_once_for_each_question_and_only_when_a_processor_has_nothing_to_do() -> None:
    with Idle() as idle:
        assert idle.pid is not None
        assert os.sched_getscheduler(idle.pid) == os.SCHED_IDLE
        # The same session, whose processes share processors by their policies, and not its keys.
        assert os.getsid(idle.pid) == os.getsid(0)
        assert os.getpgid(idle.pid) == idle.pid
        for _ in range(3):
            assert answers(idle, 60)
            assert answers(idle, 60)
            idle.answered()
        os.kill(idle.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, idle.pid, os.WSTOPPED | os.WNOWAIT)
        assert not answers(idle, 0.05)
        os.kill(idle.pid, signal.SIGCONT)
        assert answers(idle, 60)


def test_without_the_process_every_moment_is_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    with Idle() as idle:
        assert idle.pid is not None
        os.kill(idle.pid, signal.SIGKILL)
        for _ in range(3):
            assert answers(idle, 60)
            idle.answered()
    monkeypatch.setenv("PATH", "/nowhere")
    with Idle() as idle:
        assert idle.pid is None
        for _ in range(3):
            assert answers(idle, 0)
            idle.answered()


def test_nothing_is_left_of_it() -> None:
    before = set(os.listdir("/proc/self/fd"))
    with Idle() as idle:
        assert idle.pid is not None
    assert set(os.listdir("/proc/self/fd")) == before
    deadline = time.monotonic() + 60
    with pytest.raises(ProcessLookupError):
        while time.monotonic() < deadline:
            os.kill(idle.pid, 0)
            time.sleep(0.01)
