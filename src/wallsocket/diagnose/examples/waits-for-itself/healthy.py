"""The same with a thread for each connection: one of them answers the other."""

import os
import socket
import threading
import time

PRICES = {"tea": 3, "cake": 4}


def ask(port: int, question: str) -> str:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(question.encode() + b"\n")
        return connection.makefile().readline().strip()


def answer(port: int, question: str) -> str:
    if question == "total":
        return str(sum(int(ask(port, name)) for name in PRICES))
    return str(PRICES.get(question, 0))


def serve(connection: socket.socket, port: int) -> None:
    with connection:
        question = connection.makefile().readline().strip()
        connection.sendall(answer(port, question).encode() + b"\n")


listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]
if os.fork() == 0:
    listener.close()
    assert ask(port, "total") == "7"
    print("ready", flush=True)
    time.sleep(20)
    os._exit(0)
while True:
    connection, _ = listener.accept()
    threading.Thread(target=serve, args=(connection, port)).start()
