"""Why socket calls fail: `explain` for exceptions of plain sockets, `of` and `settle` for those of our endpoints."""

from __future__ import annotations

from .endpoints.reasons import Reason, explain, of, settle

__all__ = ["Reason", "explain", "of", "settle"]
