"""A server on :: compares its clients with a list of IPv4 addresses as text."""

import socket
import threading

ALLOWED = {"127.0.0.1"}


def serve(listener: socket.socket) -> None:
    connection, peer = listener.accept()
    with connection:
        request = connection.recv(1000)
        if peer[0] in ALLOWED:
            connection.sendall(b"200 " + request)
        else:
            connection.sendall(b"403 not allowed\n")


with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
    server = threading.Thread(target=serve, args=(listener,))
    server.start()
    with socket.create_connection(("127.0.0.1", listener.getsockname()[1])) as client:
        client.sendall(b"status\n")
        print(client.recv(100))
    server.join()
