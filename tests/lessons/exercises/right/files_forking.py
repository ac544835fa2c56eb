"""A process for each client."""

import os
import socketserver
import sys

FOLDER = os.fsencode(sys.argv[2])


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        try:
            name = self.rfile.readline(257).removesuffix(b"\n")
            path = os.path.join(FOLDER, name)
            if b"/" in name or b"\0" in name or not os.path.isfile(path):
                self.wfile.write(b"NO\n")
                return
            with open(path, "rb") as file:
                self.wfile.write(b"OK %d\n" % os.path.getsize(path))
                while part := file.read(1 << 16):
                    self.wfile.write(part)
        except ConnectionError:
            pass


class Server(socketserver.ForkingTCPServer):
    allow_reuse_address = True


with Server(("", int(sys.argv[1])), Handler) as server:
    server.serve_forever()
