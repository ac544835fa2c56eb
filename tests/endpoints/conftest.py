from __future__ import annotations

import pytest

from wallsocket.endpoints import reasons


@pytest.fixture
def patient_reasons(monkeypatch):
    """Let lookups take their time, and forget earlier ones: a loaded machine must not change what a test sees."""
    monkeypatch.setattr(reasons, "DEADLINE_S", 20.0)
    monkeypatch.delenv("WALLSOCKET_REASONS", raising=False)
    reasons._recent.clear()
    return reasons
