"""Recording what a program does with its sockets, and reading such recordings."""

from __future__ import annotations
