"""A client asks again after 100 ms, and takes the answer to any of its tries."""

import socket
import threading

service = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
service.bind(("127.0.0.1", 0))


def serve() -> None:
    service.settimeout(2)
    try:
        while True:
            question, asker = service.recvfrom(100)
            threading.Event().wait(0.4)
            service.sendto(b"answer to " + question, asker)
    except TimeoutError:
        pass


thread = threading.Thread(target=serve)
thread.start()
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
    limit = 0.1
    while True:
        client.settimeout(limit)
        client.sendto(b"question", service.getsockname())
        try:
            print(client.recv(100))
            break
        except TimeoutError:
            limit *= 2
thread.join()
