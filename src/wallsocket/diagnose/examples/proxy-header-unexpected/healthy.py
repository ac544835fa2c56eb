"""The server takes the header off first."""

import socket
import threading

listener = socket.create_server(("127.0.0.1", 0))


def serve():
    connection, _ = listener.accept()
    request = b""
    while b"\r\n\r\n" not in request:
        request += connection.recv(1024)
    header, request = request.split(b"\r\n", 1)
    print(header)
    connection.sendall(
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        if request.startswith(b"GET ")
        else b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
    )
    connection.close()


service = threading.Thread(target=serve)
service.start()
with socket.create_connection(listener.getsockname()) as connection:
    address, port = listener.getsockname()
    connection.sendall(f"PROXY TCP4 192.0.2.7 {address} 40000 {port}\r\n".encode())
    connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    print(connection.recv(100))
service.join()
