"""A selector loop asks whether it may write, though it has nothing to write until the answer comes."""

import selectors
import socket
import threading
import time


def serve(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(100)
        time.sleep(1)
        connection.sendall(b"answer")
        connection.recv(100)


listener = socket.create_server(("127.0.0.1", 0))
server = threading.Thread(target=serve, args=(listener,))
server.start()
client = socket.create_connection(listener.getsockname())
client.sendall(b"question")
client.setblocking(False)
selector = selectors.DefaultSelector()
selector.register(client, selectors.EVENT_READ | selectors.EVENT_WRITE)
rounds = 0
answer = b""
while not answer:
    for _, events in selector.select(5):
        rounds += 1
        if events & selectors.EVENT_READ:
            answer = client.recv(100)
print(answer, "after", rounds, "rounds")
selector.close()
client.close()
server.join()
listener.close()
