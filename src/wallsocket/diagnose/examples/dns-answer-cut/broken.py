"""A small resolver of its own takes what a cut answer holds for all there is."""

import socket
import struct
import threading

QUESTION = b"\x07service\x07example\x00\x00\x21\x00\x01"


def serve(server: socket.socket) -> None:
    query, asker = server.recvfrom(512)
    # One record would not fit: the answer has the truncation bit and none.
    server.sendto(query[:2] + struct.pack("!HHHHH", 0x8380, 1, 0, 0, 0) + QUESTION, asker)


server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 0))
thread = threading.Thread(target=serve, args=(server,))
thread.start()
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
    client.settimeout(5)
    client.sendto(struct.pack("!HHHHHH", 0x1234, 0x0100, 1, 0, 0, 0) + QUESTION, server.getsockname())
    answer = client.recv(512)
    print(struct.unpack_from("!H", answer, 6)[0], "records")
thread.join()
