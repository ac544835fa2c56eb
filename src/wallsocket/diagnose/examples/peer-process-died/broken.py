"""A worker that is killed by the kernel or an operator while it works on a request."""

import multiprocessing
import os
import signal
import socket


def worker(listener: socket.socket) -> None:
    accepted, _ = listener.accept()
    listener.close()
    accepted.recv(1024)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 7024))
    process = multiprocessing.get_context("fork").Process(target=worker, args=(listener,))
    process.start()
    listener.close()
    with socket.create_connection(("127.0.0.1", 7024)) as client:
        client.sendall(b"resize picture 17\n")
        try:
            print("answer:", client.recv(1024))
        except ConnectionResetError as error:
            print(error)
    process.join()
