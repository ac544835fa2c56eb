"""The client drops answers whose name is not that of its question."""

import socket
import threading

listener = socket.create_server(("127.0.0.1", 0))
slow = threading.Event()


def serve():
    connection, _ = listener.accept()
    number = 0
    while word := connection.recv(5):
        number += 1
        if number == 2:
            slow.wait()
        connection.sendall(word.strip() + b":" + b"%d" % number)
    connection.close()


service = threading.Thread(target=serve)
service.start()
with socket.create_connection(listener.getsockname(), timeout=0.5) as connection:
    for word in ("red", "sky", "sea", "ice"):
        connection.sendall(f"{word}\r\n".encode())
        while True:
            try:
                answer = connection.recv(5)
            except TimeoutError:
                print(word, "no answer in time")
                slow.set()
                break
            if answer.startswith(word.encode()):
                print(word, answer)
                break
service.join()
