"""The proxy is used for a host that it reaches."""

import socket
import threading
import urllib.request


def proxy(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)


with socket.create_server(("127.0.0.1", 0)) as listener:
    threading.Thread(target=proxy, args=(listener,)).start()
    host, port = listener.getsockname()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": f"http://{host}:{port}"}))
    with opener.open("http://store.example/", timeout=20) as answer:
        print(answer.read())
