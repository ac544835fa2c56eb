"""A collector written like a TCP server: an empty datagram makes it stop."""

import socket
import threading

collector = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
collector.bind(("127.0.0.1", 0))
where = collector.getsockname()
stopped = threading.Event()


def collect() -> None:
    while True:
        line = collector.recv(1500)
        if not line:
            break
        print(line)
    collector.close()
    stopped.set()


thread = threading.Thread(target=collect)
thread.start()
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    for line in (b"first", b"second", b""):
        sender.sendto(line, where)
    stopped.wait()
    for line in (b"third", b"fourth"):
        sender.sendto(line, where)
thread.join()
