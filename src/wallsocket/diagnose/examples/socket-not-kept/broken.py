"""A beacon whose socket is never given a name."""

import socket

socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
beacon.sendto(b"here", ("127.0.0.1", 7124))  # type: ignore[name-defined]  # noqa: F821
