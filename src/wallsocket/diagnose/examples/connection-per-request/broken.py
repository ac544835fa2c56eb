"""A client connects anew for each of forty questions."""

import socket
import socketserver
import threading


class Answer(socketserver.StreamRequestHandler):
    """Answers each line."""

    def handle(self) -> None:
        """Serve one client."""
        for line in self.rfile:
            self.wfile.write(b"answer to " + line)


class Server(socketserver.ThreadingTCPServer):
    """A thread for each client."""

    daemon_threads = True


def ask(number: int) -> bytes:
    with socket.create_connection(server.server_address) as connection:
        connection.sendall(b"question %d\n" % number)
        return connection.recv(100)


server = Server(("127.0.0.1", 0), Answer)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(len([ask(number) for number in range(40)]), "answers")
server.shutdown()
server.server_close()
