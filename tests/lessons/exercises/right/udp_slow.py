import socket
import sys
import time

s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", int(sys.argv[1])))
while True:
    d, a = s.recvfrom(9000)
    time.sleep(0.3)
    s.sendto(d.upper(), a)
