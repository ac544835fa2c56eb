import socket
import sys

service = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
service.bind(("", int(sys.argv[1])))
data, client = service.recvfrom(65535)
while True:
    service.sendto(data.upper(), client)  # HERE
    data, _ = service.recvfrom(65535)
