"""The client is started together with its server and is faster."""

import socket
import threading
import time

with socket.create_server(("127.0.0.1", 0)) as listener:
    address = listener.getsockname()


def serve():
    time.sleep(0.3)  # reads its settings
    with socket.create_server(address):
        time.sleep(0.2)


service = threading.Thread(target=serve)
service.start()
client = socket.socket()
try:
    client.connect(address)
except ConnectionRefusedError as error:
    print(error)
client.close()
service.join()
