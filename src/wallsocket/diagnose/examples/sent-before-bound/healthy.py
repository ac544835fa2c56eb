"""A worker that waits until the collector says that it is ready."""

import socket
import threading

PORT = 28127
sent_some = threading.Event()
ready = threading.Event()


def collect() -> None:
    sent_some.wait()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as collector:
        collector.bind(("127.0.0.1", PORT))
        collector.settimeout(5)
        ready.set()
        print("first:", collector.recv(100))


thread = threading.Thread(target=collect)
thread.start()
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as worker:
    sent_some.set()
    ready.wait()
    for number in range(3):
        worker.sendto(b"report %d" % number, ("127.0.0.1", PORT))
    worker.sendto(b"report 3", ("127.0.0.1", PORT))
thread.join()
