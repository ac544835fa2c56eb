"""A client asks its proxy for a service of its own host; the proxy cannot reach that."""

import socket
import threading
import urllib.error
import urllib.request


def proxy(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)


with socket.create_server(("127.0.0.1", 0)) as listener:
    threading.Thread(target=proxy, args=(listener,)).start()
    host, port = listener.getsockname()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": f"http://{host}:{port}"}))
    try:
        opener.open("http://127.0.0.1:8080/health", timeout=20)
    except urllib.error.HTTPError as error:
        print(error)
        error.close()
