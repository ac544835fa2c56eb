"""The same sender, whose watchdog shuts the connection down and leaves the close to its owner."""

import socket
import threading

with socket.create_server(("127.0.0.1", 7041)) as listener, socket.create_connection(("127.0.0.1", 7041)) as client:
    accepted, _ = listener.accept()
    accepted.sendall(b"status\n")
    watchdog = threading.Thread(target=accepted.shutdown, args=(socket.SHUT_WR,))
    watchdog.start()
    watchdog.join()
    while client.recv(100):
        pass
    client.close()
    assert accepted.recv(100) == b""
    accepted.close()
