import socket
import sys

service = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
service.bind(("", int(sys.argv[1])))
while True:
    data, client = service.recvfrom(65535)  # HERE
    if not data:
        break
    service.sendto(data.upper(), client)
