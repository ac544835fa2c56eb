"""A client that tries until the server is there, and the next address when one refuses: it gets its connection."""

import socket
import threading
import time

with socket.create_server(("127.0.0.1", 0)) as listener:
    address = listener.getsockname()


def serve():
    time.sleep(0.3)
    with socket.create_server(address) as listener:
        connection, _ = listener.accept()
        connection.close()


service = threading.Thread(target=serve)
service.start()
while True:
    try:
        with socket.create_connection(address):
            break
    except ConnectionRefusedError:
        time.sleep(0.1)
print("connected")
service.join()
