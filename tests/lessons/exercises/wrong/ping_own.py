import os
import socket
import struct
import sys
import time

host, count = sys.argv[1], int(sys.argv[2])
mine = os.getpid() & 0xFFFF


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def request(number):
    head = struct.pack("!BBHHH", 8, 0, 0, mine, number)
    return struct.pack("!BBHHH", 8, 0, checksum(head + b"abcdefgh"), mine, number) + b"abcdefgh"


pinger = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
replies = 0
for number in range(1, count + 1):
    pinger.sendto(request(number), (host, 0))
    found = False
    deadline = time.monotonic() + 1
    while not found and (left := deadline - time.monotonic()) > 0:
        pinger.settimeout(left)
        try:
            packet, sender = pinger.recvfrom(2048)  # HERE
        except TimeoutError:
            break
        kind, _, _, identifier, sequence = struct.unpack("!BBHHH", packet[20:28])
        found = identifier == mine and sequence == number
    replies += found
    print(number, "reply" if found else "timeout")
sys.exit(0 if replies else 1)
