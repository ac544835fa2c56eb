import socket
import sys
import threading

clients = []


def serve(connection):
    try:
        for line in connection.makefile("rb"):
            for client in clients:
                client.sendall(line)  # HERE
    except OSError:
        pass
    clients.remove(connection)
    connection.close()


listener = socket.create_server(("", int(sys.argv[1])))
while True:
    connection, address = listener.accept()
    clients.append(connection)
    threading.Thread(target=serve, args=(connection,)).start()
