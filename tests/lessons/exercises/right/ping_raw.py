import os
import select
import socket
import struct
import sys
import time

HOST, COUNT = sys.argv[1], int(sys.argv[2])
IDENTIFIER = os.getpid() & 0xFFFF


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def request(number):
    body = b"0123456789abcdef"
    head = struct.pack("!BBHHH", 8, 0, 0, IDENTIFIER, number)
    return struct.pack("!BBHHH", 8, 0, checksum(head + body), IDENTIFIER, number) + body


def ping(pinger, number):
    pinger.sendto(request(number), (HOST, 0))
    deadline = time.monotonic() + 1
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([pinger], [], [], left)[0]:
            break
        packet, (sender, _) = pinger.recvfrom(2048)
        message = packet[(packet[0] & 15) * 4 :]
        if len(message) >= 8 and sender == HOST:
            kind, _, _, identifier, sequence = struct.unpack("!BBHHH", message[:8])
            if (kind, identifier, sequence) == (0, IDENTIFIER, number):
                return True
    return False


pinger = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
replies = 0
for number in range(1, COUNT + 1):
    came = ping(pinger, number)
    replies += came
    print(number, "reply" if came else "timeout")
sys.exit(not replies)
