"""The IP header is taken to have 20 bytes."""

import os
import socket
import struct
import sys
import time


def checksum(d):
    t = sum(struct.unpack(f"!{len(d) // 2}H", d))
    while t >> 16:
        t = (t & 0xFFFF) + (t >> 16)
    return ~t & 0xFFFF


s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
good = 0
for n in range(1, int(sys.argv[2]) + 1):
    m = struct.pack("!BBHHH", 8, 0, 0, 77, n) + b"abcdefgh"
    m = m[:2] + struct.pack("!H", checksum(m)) + m[4:]
    s.sendto(m, (sys.argv[1], 0))
    end = time.monotonic() + 1
    word = "timeout"
    while (left := end - time.monotonic()) > 0:
        s.settimeout(left)
        try:
            p = s.recv(2000)  # HERE
        except TimeoutError:
            break
        i = p[20:]
        if i[0] == 0 and i[4:8] == m[4:8]:
            word, good = "reply", 1
            break
    print(n, word)
sys.exit(not good)
