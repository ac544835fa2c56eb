import socket
import sys
import threading


def serve(connection):
    try:
        for line in connection.makefile("rb"):
            connection.sendall(line.upper())
    except OSError:
        pass
    connection.close()


listener = socket.create_server(("", int(sys.argv[1])), backlog=128)
while True:
    connection, address = listener.accept()  # HERE
    threading.Thread(target=serve, args=(connection,), daemon=True).start()
