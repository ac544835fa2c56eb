"""Open-loop datagrams through a lab, and what arrived."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable

from tests.lab.apart import wait_until
from wallsocket.lab import Host, Link

PORT = 7


def arrived(
    a: Host, b: Host, link: Link, numbers: Iterable[int], *, size: int = 64, connections: int = 1
) -> list[bytes]:
    """Send datagrams that begin with their number from ``a`` to ``b``; what ``b`` got, in order."""
    receiver = b.socket(type=socket.SOCK_DGRAM)
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    receiver.bind(("0.0.0.0", PORT))
    senders = [a.socket(type=socket.SOCK_DGRAM) for _ in range(connections)]
    for sender in senders:
        sender.connect((b.address, PORT))
    # While an address is being asked for, the kernel queues frames, and later ones overtake them (net/core/neighbour.c).
    (near,) = a.interfaces
    mac = next(interface for interface in b.interfaces).mac.hex(":")
    neighbour = ["ip", "neigh", "replace", b.address, "lladdr", mac, "dev", near.name, "nud", "permanent"]
    a.run([str(word) for word in neighbour], check=True)
    got: list[bytes] = []
    sent = 0

    def take() -> None:
        receiver.setblocking(False)
        try:
            while True:
                got.append(receiver.recv(65536))
        except BlockingIOError:
            pass

    before = link.counters(b)["received"]

    def came(count: int) -> None:
        wait_until(lambda: link.counters(b)["received"] - before >= count, f"{count} frames came to the link")

    for number in numbers:
        senders[number % connections].send(struct.pack("!I", number).ljust(size, b"."))
        sent += 1
        # Neither the receiver's buffer nor the link's ring may overflow: losses are to be those that were asked for.
        if sent % 50 == 0:
            came(sent)
            take()
    came(sent)

    def settled() -> bool:
        take()
        counts = link.counters(b)
        gone = sum(counts[name] for name in ("lost", "queue_full", "cut", "too_large", "hooked", "scripted"))
        return counts["sent"] >= counts["received"] - gone + counts["duplicated"]

    wait_until(settled, "every frame was sent or lost")
    take()
    assert link.counters(b)["overrun"] == 0
    for one in (receiver, *senders):
        one.close()
    return got


def numbers(datagrams: list[bytes]) -> list[int]:
    """The number that each datagram begins with."""
    return [struct.unpack("!I", datagram[:4])[0] for datagram in datagrams]
