"""The same worker, which answers and closes."""

import multiprocessing
import socket


def worker(listener: socket.socket) -> None:
    accepted, _ = listener.accept()
    listener.close()
    accepted.recv(1024)
    accepted.sendall(b"done\n")
    accepted.close()


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 7024))
    process = multiprocessing.get_context("fork").Process(target=worker, args=(listener,))
    process.start()
    listener.close()
    with socket.create_connection(("127.0.0.1", 7024)) as client:
        client.sendall(b"resize picture 17\n")
        while client.recv(1024):
            pass
    process.join()
