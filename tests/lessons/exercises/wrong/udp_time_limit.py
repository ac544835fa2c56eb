import socket
import sys

s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", int(sys.argv[1])))
s.settimeout(1)
while True:
    data, addr = s.recvfrom(8192)  # HERE
    s.sendto(data.upper(), addr)
