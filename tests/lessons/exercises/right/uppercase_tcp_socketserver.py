import socketserver
import sys


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        try:
            parts = []
            while part := self.request.recv(65536):
                parts.append(part.upper())
            self.request.sendall(b"".join(parts))
        except ConnectionError:
            pass


socketserver.TCPServer.allow_reuse_address = True
with socketserver.TCPServer(("", int(sys.argv[1])), Handler) as server:
    server.serve_forever()
