"""A monitor opens a connection for each check and keeps them all."""

import socket
import socketserver
import threading
import time


class Pong(socketserver.StreamRequestHandler):
    """Answers each line."""

    def handle(self) -> None:
        """Serve one client."""
        for _ in self.rfile:
            self.wfile.write(b"pong\n")


class Server(socketserver.ThreadingTCPServer):
    """A thread for each client."""

    daemon_threads = True


server = Server(("127.0.0.1", 0), Pong)
threading.Thread(target=server.serve_forever, daemon=True).start()
history = []
for _ in range(16):
    check = socket.create_connection(server.server_address)
    check.sendall(b"ping\n")
    history.append((time.time(), check, check.recv(16)))
    time.sleep(0.1)
print(len(history), "checks")
server.shutdown()
