"""Takes what comes, on two ports, and says how much it was."""

import socket
import threading


def serve(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        count = 0
        while part := connection.recv(65536):
            count += len(part)
        connection.sendall(b"%d bytes\n" % count)


listeners = [socket.create_server(("", port)) for port in (7000, 7001)]
threads = [threading.Thread(target=serve, args=(one,), daemon=True) for one in listeners]
for thread in threads:
    thread.start()
print("ready", flush=True)
threads[0].join()
