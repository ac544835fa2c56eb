"""Waits until somebody has bound a port, by looking at the kernel's list: a connection to find out would be recorded.

Also a program: ``python ready.py PORT tcp|udp SECONDS``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

# States as proc(5) prints them: TCP_LISTEN, and for UDP the one state of an unconnected socket.
_STATE = {"tcp": "0A", "udp": "07"}


def is_bound(port: int, transport: str) -> bool:
    """Whether a listener (TCP) or an unconnected socket (UDP) has the port, over IPv4 or IPv6."""
    for table in (f"/proc/self/net/{transport}", f"/proc/self/net/{transport}6"):
        try:
            with open(table) as file:
                lines = file.readlines()[1:]
        except FileNotFoundError:  # a kernel without IPv6
            continue
        for line in lines:
            _, local, _, state, *_ = line.split()
            if int(local.rsplit(":", 1)[1], 16) == port and state == _STATE[transport]:
                return True
    return False


def wait_until_bound(port: int, transport: str, deadline_s: float, alive: Callable[[], bool] = lambda: True) -> None:
    """Return when the port is bound; raise when its server has ended or the deadline has passed."""
    ends_at = time.monotonic() + deadline_s
    while not is_bound(port, transport):
        if not alive():
            raise RuntimeError(f"the server ended before it had {transport} port {port}")
        if time.monotonic() > ends_at:
            raise TimeoutError(f"nobody has {transport} port {port} after {deadline_s} s")
        time.sleep(0.01)


if __name__ == "__main__":
    wait_until_bound(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
