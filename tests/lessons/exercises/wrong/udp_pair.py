import socket
import sys

s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", int(sys.argv[1])))
while True:
    data = s.recvfrom(8192)
    s.sendto(data.upper(), data[1])  # HERE
