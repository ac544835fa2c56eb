"""A pool: connections are made because the others are in use, are used again, and are closed."""

import socket
import socketserver
import threading


class Pong(socketserver.StreamRequestHandler):
    """Answers each line."""

    def handle(self) -> None:
        """Serve one client."""
        for _ in self.rfile:
            self.wfile.write(b"pong\n")


class Server(socketserver.ThreadingTCPServer):
    """A thread for each client."""

    daemon_threads = True
    request_queue_size = 64


server = Server(("127.0.0.1", 0), Pong)
threading.Thread(target=server.serve_forever, daemon=True).start()
pool = [socket.create_connection(server.server_address) for _ in range(16)]
for _ in range(3):
    for connection in pool:
        connection.sendall(b"ping\n")
    answers = [connection.recv(16) for connection in pool]
print(len(answers), "answers")
for connection in pool:
    connection.close()
server.shutdown()
server.server_close()
