"""Records the pytest that :mod:`.tracing` begins anew. A program of its own, so that nothing of pytest is loaded twice.

Arguments: the variable that tells pytest the recording's file, whose code is whose as JSON, then Python's arguments as
pytest was started with them.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["main"]


def main() -> int:
    """Run it to its end; the exit status is pytest's."""
    from wallsocket.errors import WallsocketError
    from wallsocket.trace import places
    from wallsocket.trace.run import run

    variable, code, *arguments = sys.argv[1:]
    try:
        result = run(
            [sys.executable, *arguments], output=_told(variable, places.new_paths("pytest")), **json.loads(code)
        )
    except WallsocketError as error:
        print(f"pytest --wallsocket: {error}", file=sys.stderr)
        return 4  # pytest's own status for a wrong use
    if result.failure is not None:
        print(f"pytest --wallsocket: {result.failure}", file=sys.stderr)
    places.prune()
    return result.exit_status


def _told(variable: str, paths: Iterator[Path]) -> Iterator[Path]:
    """The same, each told in the environment before it is tried."""
    for path in paths:
        os.environ[variable] = str(path)
        yield path


if __name__ == "__main__":
    sys.exit(main())
