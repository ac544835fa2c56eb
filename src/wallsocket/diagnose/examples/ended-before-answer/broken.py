"""A service whose main thread leaves at SIGTERM while a request is being worked on."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time

PORT = 7027


def serve(accepted: socket.socket) -> None:
    accepted.recv(1024)
    os.kill(os.getpid(), signal.SIGTERM)  # the deployment
    time.sleep(5)  # the database takes its time
    accepted.sendall(b"done\n")


def main() -> None:
    with socket.create_server(("127.0.0.1", PORT)) as listener:
        print("ready", flush=True)
        accepted, _ = listener.accept()
        stop = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        threading.Thread(target=serve, args=(accepted,), daemon=True).start()
        while not stop.wait(0.1):  # the kernel may give the signal to the other thread
            pass
    os._exit(0)


if sys.argv[1:]:
    main()
with subprocess.Popen([sys.executable, __file__, "serve"], stdout=subprocess.PIPE) as service:
    assert service.stdout is not None
    service.stdout.readline()
    with socket.create_connection(("127.0.0.1", PORT)) as client:
        client.sendall(b"order 4711\n")
        print("answer:", client.recv(1024))
