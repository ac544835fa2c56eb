"""A name server that has the answer."""

import socket
import threading

QUESTION = b"\x12\x34\1\0\0\1\0\0\0\0\0\0\7service\7example\0\0\1\0\1"

server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))


def serve() -> None:
    question, client = server.recvfrom(512)
    answer = question[:2] + b"\x81\x80\0\1\0\1" + question[8:]
    server.sendto(answer + b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1", client)


thread = threading.Thread(target=serve)
thread.start()
asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asking.connect(("127.0.0.1", 53))
asking.send(QUESTION)
print("code", asking.recv(512)[3] & 15)
thread.join()
