import socket
import struct
import sys

host, count = sys.argv[1], int(sys.argv[2])
pinger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
for number in range(1, count + 1):
    pinger.sendto(struct.pack("!BBHHH", 8, 0, 0, 0, number) + b"hello", (host, 0))
    while True:
        message, sender = pinger.recvfrom(2048)  # HERE
        if message[0] == 0 and message[6:8] == struct.pack("!H", number):
            print(number, "reply")
            break
