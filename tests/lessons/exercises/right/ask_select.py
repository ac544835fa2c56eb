"""Without connect(): the program itself looks from whom an answer is."""

import random
import select
import socket
import sys
import time

server = (sys.argv[1], int(sys.argv[2]))
identifier = b"%08x" % random.getrandbits(32)
asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(3):
    asker.sendto(identifier + b" " + sys.argv[3].encode(), server)
    until = time.monotonic() + 0.5
    while select.select([asker], [], [], max(0, until - time.monotonic()))[0]:
        data, sender = asker.recvfrom(65535)
        if sender == server and data[:9] == identifier + b" ":
            print(data[9:].decode())
            sys.exit()
print("no answer")
sys.exit(1)
