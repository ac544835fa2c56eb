"""Two threads share a connection: a lock holds question and answer together."""

import socket
import threading
import time


def serve(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection, connection.makefile("rb") as lines:
        for line in lines:
            time.sleep(0.02)
            connection.sendall(b"answer to " + line)


def ask(name: str) -> None:
    for number in range(10):
        with turn:
            client.sendall(f"{name}{number}\n".encode())
            answers.append((name, client.recv(200)))


turn = threading.Lock()
answers: list[tuple[str, bytes]] = []
listener = socket.create_server(("127.0.0.1", 0))
server = threading.Thread(target=serve, args=(listener,))
server.start()
client = socket.create_connection(listener.getsockname())
client.settimeout(1)
threads = [threading.Thread(target=ask, args=(name,)) for name in "ab"]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(sum(f"to {name}".encode() not in answer for name, answer in answers), "answers for the other thread")
client.close()
server.join()
listener.close()
