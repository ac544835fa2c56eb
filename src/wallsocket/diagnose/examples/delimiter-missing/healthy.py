"""The same client sends the line end."""

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
    with socket.create_connection(server.server_address, timeout=10) as connection:
        print(connection.recv(100))
        connection.sendall(b"PING\n")
        print(connection.recv(100))
    service.join()
