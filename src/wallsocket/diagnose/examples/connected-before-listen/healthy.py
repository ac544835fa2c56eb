"""The server says when it is ready."""

import socket
import threading

ready = threading.Event()
address = None


def serve():
    global address
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        ready.set()
        connection, _ = listener.accept()
        connection.close()


service = threading.Thread(target=serve)
service.start()
ready.wait()
with socket.create_connection(address):
    print("connected")
service.join()
