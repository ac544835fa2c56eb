"""A client, and then a scan that sends SYNs from addresses where nobody is: no handshake of it is finished."""

import contextlib
import socket
import struct
import time

PORT = 7000


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def syn(source: str, target: str, port: int) -> bytes:
    ends = socket.inet_aton(source) + socket.inet_aton(target)
    segment = struct.pack("!HHIIBBHHH", port, PORT, port, 0, 5 << 4, 2, 65535, 0, 0)
    total = checksum(ends + struct.pack("!HH", socket.IPPROTO_TCP, len(segment)) + segment)
    segment = segment[:16] + struct.pack("!HH", total, 0)
    return struct.pack("!BBHHHBBH", 0x45, 0, 40, port, 0, 64, socket.IPPROTO_TCP, 0) + ends + segment


print("ready", flush=True)
server = socket.gethostbyname("server")
connection = None
while connection is None:
    with contextlib.suppress(OSError):
        connection = socket.create_connection((server, PORT))
    time.sleep(0.02)
connection.recv(100)
here = connection.getsockname()[0]
connection.close()
scanner = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
for number in range(60):
    nobody = f"{here.rpartition('.')[0]}.{100 + number}"
    scanner.sendto(syn(nobody, server, 5000 + number), (server, 0))
