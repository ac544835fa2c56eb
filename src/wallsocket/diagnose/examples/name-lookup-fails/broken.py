"""A name server that cannot find the answer out."""

import socket
import threading

QUESTION = b"\x12\x34\1\0\0\1\0\0\0\0\0\0\7service\7example\0\0\1\0\1"

server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))


def serve() -> None:
    question, client = server.recvfrom(512)
    server.sendto(question[:2] + b"\x81\x82" + question[4:], client)  # SERVFAIL: its own servers are silent


thread = threading.Thread(target=serve)
thread.start()
asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asking.connect(("127.0.0.1", 53))
asking.send(QUESTION)
print("code", asking.recv(512)[3] & 15)
thread.join()
