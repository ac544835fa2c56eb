"""A client waits for an answer that does not come, until its watchdog ends it."""

import os
import signal
import socket

with socket.create_server(("127.0.0.1", 0)) as listener:
    if os.fork() == 0:
        with socket.create_connection(listener.getsockname()) as client:
            client.sendall(b"STATUS\n")
            signal.alarm(2)
            print(client.recv(100))
    connection, _ = listener.accept()
    with connection:
        request = connection.recv(100)
        # A request of a newer version is left without an answer.
        _, status = os.wait()
        print("the client ended by signal", os.WTERMSIG(status))
