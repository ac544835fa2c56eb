"""An empty datagram is a message without content; here both sides have agreed that an empty one after the last is the end."""

import socket
import threading

collector = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
collector.bind(("127.0.0.1", 0))
where = collector.getsockname()


def collect() -> None:
    while line := collector.recv(1500):
        print(line)
    collector.close()


thread = threading.Thread(target=collect)
thread.start()
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    for line in (b"first", b"second", b"third", b""):
        sender.sendto(line, where)
thread.join()
