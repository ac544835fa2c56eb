"""Starts programs in hosts of a lab that another process has, so that all are recorded by one trace.

The first line of standard input says which, as JSON: a list of ``{"host", "descriptors", "command"}``. Each is started when
the one before has said that it listens. The end of standard input ends them.
"""

from __future__ import annotations

import json
import subprocess
import sys

from ..lab.program import Entry, Process

__all__ = ["main"]


def main() -> None:
    """Do what standard input says."""
    started: list[Process] = []
    try:
        for job in json.loads(sys.stdin.readline()):
            if started:
                # It ends without a word when it fails; then the next one shows that nobody is there.
                output = started[-1].stdout
                assert output is not None
                output.readline()
            entry = Entry(job["host"], job["descriptors"])
            quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
            started.append(Process(entry, job["command"], capabilities=False, **quiet))
        sys.stdin.read()
    finally:
        for program in started:
            program.kill()
            program.wait()


if __name__ == "__main__":
    main()
