"""A server asks for as much as the system allows."""

import socket

listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(socket.SOMAXCONN)
with socket.create_connection(listener.getsockname()) as client:
    connection, _ = listener.accept()
    with connection:
        connection.sendall(b"ready for everybody\n")
        print(client.recv(100))
listener.close()
