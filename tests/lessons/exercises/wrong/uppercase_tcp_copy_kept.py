import os
import signal
import socket
import sys

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("", int(sys.argv[1])))
server.listen(5)
clients = []
while True:
    conn, addr = server.accept()  # HERE
    clients.append(conn)
    if os.fork() == 0:
        server.close()
        data = b""
        while True:
            part = conn.recv(4096)
            if not part:
                break
            data += part
        conn.sendall(data.upper())
        conn.close()
        os._exit(0)
