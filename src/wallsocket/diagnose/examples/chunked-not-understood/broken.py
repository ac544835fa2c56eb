"""A client uploads in chunks to a server that looks at Content-Length only: the chunks are taken for the next request."""

import http.client
import http.server
import threading


class Store(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
        print("stored", len(body), "bytes")

    def log_message(self, *arguments):
        pass


with http.server.HTTPServer(("127.0.0.1", 0), Store) as server:
    service = threading.Thread(target=server.handle_request)
    service.start()
    client = http.client.HTTPConnection(*server.server_address, timeout=10)
    client.putrequest("POST", "/")
    client.putheader("Transfer-Encoding", "chunked")
    client.endheaders()
    print(client.sock.recv(4096)[:15])
    client.sock.sendall(b"9\r\nmeasured \r\n6\r\nvalues\r\n0\r\n\r\n")
    print("then:", client.sock.recv(100)[:40])
    client.close()
    service.join()
