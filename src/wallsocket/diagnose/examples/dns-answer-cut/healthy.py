"""A small resolver that asks again over TCP when an answer is cut."""

import socket
import struct
import threading

QUESTION = b"\x07service\x07example\x00\x00\x21\x00\x01"


def serve(server: socket.socket, listener: socket.socket) -> None:
    query, asker = server.recvfrom(512)
    # One record would not fit: the answer has the truncation bit and none.
    server.sendto(query[:2] + struct.pack("!HHHHH", 0x8380, 1, 0, 0, 0) + QUESTION, asker)
    connection, _ = listener.accept()
    with connection:
        connection.recv(512)
        whole = query[:2] + struct.pack("!HHHHH", 0x8180, 1, 0, 0, 0) + QUESTION
        connection.sendall(struct.pack("!H", len(whole)) + whole)


server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 0))
listener = socket.create_server(server.getsockname())
thread = threading.Thread(target=serve, args=(server, listener))
thread.start()
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
    client.settimeout(5)
    client.sendto(struct.pack("!HHHHHH", 0x1234, 0x0100, 1, 0, 0, 0) + QUESTION, server.getsockname())
    answer = client.recv(512)
    if answer[2] & 0x02:
        with socket.create_connection(server.getsockname()) as whole:
            query = struct.pack("!HHHHHH", 0x1234, 0x0100, 1, 0, 0, 0) + QUESTION
            whole.sendall(struct.pack("!H", len(query)) + query)
            stream = whole.makefile("rb")
            answer = stream.read(struct.unpack("!H", stream.read(2))[0])
    print(struct.unpack_from("!H", answer, 6)[0], "records")
thread.join()
