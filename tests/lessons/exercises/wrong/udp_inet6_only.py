import socket
import sys

s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
s.bind(("::", int(sys.argv[1])))  # HERE
while True:
    data, address = s.recvfrom(8192)
    s.sendto(data.upper(), address)
