"""A client waits for an answer that the service never sends; somebody has to stop it."""

import os
import signal
import socket
import threading

service = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
service.bind(("127.0.0.1", 0))
where = service.getsockname()
child = os.fork()
if child == 0:
    service.close()
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.sendto(b"version 1: status?", where)
    print(client.recv(100))
    os._exit(0)
question = service.recv(100)
if question.startswith(b"version 2"):
    print("never for old clients")
threading.Event().wait(1.5)
os.kill(child, signal.SIGTERM)
os.waitpid(child, 0)
