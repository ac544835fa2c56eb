"""A daemon that is replaced: the old one ends before the new one binds the path."""

import multiprocessing
import os
import socket
import tempfile


def daemon(path: str, ready: "multiprocessing.synchronize.Event") -> None:
    if os.path.exists(path):
        os.unlink(path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        ready.set()
        accepted, _ = listener.accept()
        with accepted:
            accepted.sendall(b"served\n")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "daemon.sock")
        for _ in range(2):
            ready = multiprocessing.Event()
            process = multiprocessing.Process(target=daemon, args=(path, ready))
            process.start()
            ready.wait()
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(path)
                while client.recv(100):
                    pass
            process.join()
