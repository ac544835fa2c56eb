"""Two workers use the connection that their parent opened before it made them."""

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


def work(name, store, both_asked):
    store.sendall(f"{name}\n".encode())
    both_asked.wait()
    print(name, "got", store.recv(8))


context = multiprocessing.get_context("fork")
both_asked = context.Barrier(2)
service = threading.Thread(target=serve)
service.start()
store = socket.create_connection(listener.getsockname())
workers = [context.Process(target=work, args=(name, store, both_asked)) for name in ("one", "two")]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
store.close()
service.join()
