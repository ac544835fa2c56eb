import socket
import sys

port = int(sys.argv[1])
service = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
print("serving on port", port)
while True:
    data, client = service.recvfrom(65535)  # HERE
    service.sendto(data.upper(), client)
