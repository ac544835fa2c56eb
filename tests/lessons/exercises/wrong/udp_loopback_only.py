import socket
import sys

service = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
service.bind(("localhost", int(sys.argv[1])))  # HERE
while True:
    data, client = service.recvfrom(65535)
    service.sendto(data.upper(), client)
