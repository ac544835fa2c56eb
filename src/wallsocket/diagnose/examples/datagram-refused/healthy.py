"""A client that takes the error for one lost datagram and asks again until the service has started."""

import os
import socket
import threading

PORT = 23123


def serve(started: threading.Event) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as service:
        service.bind(("127.0.0.1", PORT))
        started.set()
        question, asker = service.recvfrom(100)
        service.sendto(b"noon", asker)


started = threading.Event()
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
    client.settimeout(5)
    client.connect(("127.0.0.1", PORT))
    while True:
        try:
            client.send(b"what time is it?")
            print(client.recv(100), os.getpid())
            break
        except ConnectionRefusedError:
            if not started.is_set():
                threading.Thread(target=serve, args=(started,), daemon=True).start()
                started.wait()
