"""A client with a time limit asks again; the service loses the first question. The service itself waits without limit."""

import os
import socket

service = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
service.bind(("127.0.0.1", 0))
where = service.getsockname()
child = os.fork()
if child == 0:
    service.close()
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(1)
    while True:
        client.sendto(b"status?", where)
        try:
            print(client.recv(100))
            break
        except TimeoutError:
            print("once more")
    os._exit(0)
service.recv(100)
question, asker = service.recvfrom(100)
service.sendto(b"fine", asker)
os.waitpid(child, 0)
