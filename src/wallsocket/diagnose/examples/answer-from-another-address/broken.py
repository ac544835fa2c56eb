"""A service on all addresses of a host is asked at its second one; the answer leaves from the first."""

import os
import socket

PORT = 23016
service = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
service.bind(("", PORT))
child = os.fork()
if child == 0:
    service.close()
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.bind(("127.0.0.1", 0))
    client.connect(("127.0.0.2", PORT))
    client.settimeout(1)
    client.send(b"are you there?")
    try:
        print(client.recv(100))
    except TimeoutError:
        print("no answer")
    os._exit(0)
question, asker = service.recvfrom(100)
service.sendto(b"yes", asker)
os.waitpid(child, 0)
