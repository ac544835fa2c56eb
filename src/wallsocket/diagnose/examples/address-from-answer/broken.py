"""A server of two ports: its answer to PASV names an address on which it does not listen."""

import re
import socket
import threading


def serve(control: socket.socket) -> None:
    connection, _ = control.accept()
    with connection, socket.create_server(("127.0.0.1", 0)) as data:
        data.settimeout(1)
        connection.recv(100)
        port = data.getsockname()[1]
        connection.sendall(b"227 Entering Passive Mode (127,0,0,9,%d,%d)\r\n" % (port >> 8, port & 255))
        try:
            data.accept()[0].close()
        except TimeoutError:
            connection.sendall(b"425 Can't open data connection\r\n")


control = socket.create_server(("127.0.0.1", 0))
server = threading.Thread(target=serve, args=(control,))
server.start()
with socket.create_connection(control.getsockname()) as client:
    client.sendall(b"PASV\r\n")
    numbers = re.findall(rb"\d+", client.recv(100).partition(b"(")[2])
    host, port = b".".join(numbers[:4]).decode(), int(numbers[4]) * 256 + int(numbers[5])
    try:
        with socket.create_connection((host, port), timeout=5) as data:
            print(data.recv(1000))
    except OSError as error:
        print(host, port, error)
    print(client.recv(100))
server.join()
control.close()
