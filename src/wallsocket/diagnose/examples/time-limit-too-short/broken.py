"""A client gives each question 100 ms; the service needs four times as long for each answer."""

import socket
import threading

service = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
service.bind(("127.0.0.1", 0))
TRIES = 3


def serve() -> None:
    for _ in range(TRIES):
        question, asker = service.recvfrom(100)
        threading.Event().wait(0.4)
        service.sendto(b"answer to " + question, asker)


thread = threading.Thread(target=serve)
thread.start()
for number in range(TRIES):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.1)
        client.sendto(b"question %d" % number, service.getsockname())
        try:
            print(client.recv(100))
            break
        except TimeoutError:
            print("try", number, "failed")
thread.join()
