"""The first address of the collector has no route; the second one answers."""

import socket
import threading


def collect(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        while connection.recv(100):
            pass


listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]
collector = threading.Thread(target=collect, args=(listener,))
collector.start()
for host in ("192.0.2.10", "127.0.0.1"):
    try:
        with socket.create_connection((host, port), timeout=5) as connection:
            connection.sendall(b"uptime 17\n")
        break
    except OSError as error:
        print(f"{host}: {error}")
collector.join()
listener.close()
