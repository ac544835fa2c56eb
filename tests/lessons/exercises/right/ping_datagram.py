import socket
import struct
import sys
import time

host, count = sys.argv[1], int(sys.argv[2])
replies = 0
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as pinger:
    pinger.connect((host, 0))
    for number in range(1, count + 1):
        pinger.send(struct.pack("!BBHHH", 8, 0, 0, 0, number) + b"wallsocket")
        deadline = time.monotonic() + 1
        found = False
        while not found and (left := deadline - time.monotonic()) > 0:
            pinger.settimeout(left)
            try:
                message = pinger.recv(2048)
            except TimeoutError:
                break
            found = message[0] == 0 and struct.unpack("!H", message[6:8])[0] == number
        replies += found
        print(number, "reply" if found else "timeout", flush=True)
sys.exit(0 if replies else 1)
