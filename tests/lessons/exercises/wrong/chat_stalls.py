import socket
import sys
import threading

clients = []
lock = threading.Lock()


def serve(connection):
    try:
        for line in connection.makefile("rb"):
            if not line.endswith(b"\n"):
                break
            with lock:
                others = [client for client in clients if client is not connection]
            for client in others:
                try:
                    client.sendall(line)  # HERE
                except OSError:
                    pass
    except OSError:
        pass
    with lock:
        clients.remove(connection)
    connection.close()


listener = socket.create_server(("", int(sys.argv[1])))
while True:
    connection, address = listener.accept()
    with lock:
        clients.append(connection)
    threading.Thread(target=serve, args=(connection,), daemon=True).start()
