"""The same forty questions on one connection."""

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


server = Server(("127.0.0.1", 0), Answer)
threading.Thread(target=server.serve_forever, daemon=True).start()
answers = []
with socket.create_connection(server.server_address) as connection, connection.makefile("rb") as lines:
    for number in range(40):
        connection.sendall(b"question %d\n" % number)
        answers.append(lines.readline())
print(len(answers), "answers")
server.shutdown()
server.server_close()
