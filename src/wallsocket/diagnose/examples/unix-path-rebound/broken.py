"""A daemon that is started twice: the second one removes the path of the first, which goes on waiting there."""

import multiprocessing
import os
import socket
import tempfile


def daemon(
    path: str, answer: bytes, ready: "multiprocessing.synchronize.Event", end: "multiprocessing.synchronize.Event"
) -> None:
    if os.path.exists(path):
        os.unlink(path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        listener.settimeout(0.2)
        ready.set()
        while not end.is_set():
            try:
                accepted, _ = listener.accept()
            except TimeoutError:
                continue
            with accepted:
                accepted.sendall(answer)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "daemon.sock")
        end = multiprocessing.Event()
        running = []
        for answer in (b"first\n", b"second\n"):
            ready = multiprocessing.Event()
            process = multiprocessing.Process(target=daemon, args=(path, answer, ready, end))
            process.start()
            running.append(process)
            ready.wait()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            print("answered by the", client.recv(100).decode().strip())
            client.recv(100)
        # The first one waits on: nobody will ever come.
        end.wait(1.5)
        end.set()
        for process in running:
            process.join()
