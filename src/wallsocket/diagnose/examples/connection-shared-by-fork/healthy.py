"""Two workers take turns on the inherited connection, by a lock that each holds for a whole exchange."""

import multiprocessing
import socket
import threading

listener = socket.create_server(("127.0.0.1", 0))


def serve():
    connection, _ = listener.accept()
    pending = b""
    while data := connection.recv(1024):
        pending += data
        while b"\n" in pending:
            question, pending = pending.split(b"\n", 1)
            connection.sendall(b"%-8s" % question)
    connection.close()


def work(name, store, turn):
    with turn:
        store.sendall(f"{name}\n".encode())
        print(name, "got", store.recv(8))


context = multiprocessing.get_context("fork")
turn = context.Lock()
service = threading.Thread(target=serve)
service.start()
store = socket.create_connection(listener.getsockname())
workers = [context.Process(target=work, args=(name, store, turn)) for name in ("one", "two")]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
store.close()
service.join()
