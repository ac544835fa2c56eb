"""The server reads the chunks."""

import http.client
import http.server
import threading


class Store(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
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
    client.request("POST", "/", iter([b"measured ", b"values"]))
    print(client.getresponse().status)
    client.close()
    service.join()
