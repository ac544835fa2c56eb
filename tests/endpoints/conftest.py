from __future__ import annotations

import anyio
import pytest

from wallsocket.endpoints import reasons


@pytest.fixture
def patient_reasons(monkeypatch):
    """Let lookups take their time, and forget earlier ones: a loaded machine must not change what a test sees."""
    monkeypatch.setattr(reasons, "DEADLINE_S", 20.0)
    monkeypatch.setattr(reasons, "LOOP_DEADLINE_S", 20.0)
    monkeypatch.delenv("WALLSOCKET_REASONS", raising=False)
    reasons._recent.clear()
    return reasons


@pytest.fixture(params=["asyncio", "trio"])
def run(request):
    """Run an async check on both kinds of event loop, but not for ever."""

    def go(check):
        async def limited():
            with anyio.fail_after(60):
                await check()

        anyio.run(limited, backend=request.param)

    return go
