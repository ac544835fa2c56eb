import socket
import sys

s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", int(sys.argv[1])))
while True:
    data, addr = s.recvfrom(8192)
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    out.sendto(data.upper(), addr)  # HERE
    out.close()
