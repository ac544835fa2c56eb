"""A client asks a line-based service, and forgets the line end."""

import socket
import socketserver
import threading


class Answers(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"READY\n")
        question = self.rfile.readline()
        self.wfile.write(b"PONG\n" if question.strip() == b"PING" else b"ERROR\n")


with socketserver.TCPServer(("127.0.0.1", 0), Answers) as server:
    service = threading.Thread(target=server.handle_request)
    service.start()
    with socket.create_connection(server.server_address, timeout=1.5) as connection:
        print(connection.recv(100))
        connection.sendall(b"PING")
        try:
            print(connection.recv(100))
        except TimeoutError:
            print("no answer")
    service.join()
