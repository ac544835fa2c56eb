"""Events of a server pass through a proxy that keeps them until there are no more."""

import socket
import threading
import time


def source(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        for number in range(5):
            connection.sendall(b"event %d\n" % number)
            time.sleep(0.4)


def proxy(front: socket.socket, back: tuple[str, int]) -> None:
    client, _ = front.accept()
    with client, socket.create_connection(back) as server:
        kept = b""
        while part := server.recv(4096):
            kept += part
        client.sendall(kept)


origin = socket.create_server(("127.0.0.1", 0))
front = socket.create_server(("127.0.0.1", 0))
threads = [
    threading.Thread(target=source, args=(origin,)),
    threading.Thread(target=proxy, args=(front, origin.getsockname())),
]
for thread in threads:
    thread.start()
with socket.create_connection(front.getsockname()) as client:
    while events := client.recv(4096):
        print(events)
for thread in threads:
    thread.join()
origin.close()
front.close()
