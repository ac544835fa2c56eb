"""A client announces the length of another version of the body. Server and client wait for each other."""

import http.client
import http.server
import json
import threading


class Store(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
        print("stored", body)

    def log_message(self, *arguments):
        pass


with http.server.HTTPServer(("127.0.0.1", 0), Store) as server:
    service = threading.Thread(target=server.handle_request)
    service.start()
    value = {"city": "Zürich"}
    body = json.dumps(value, ensure_ascii=False).encode()
    client = http.client.HTTPConnection(*server.server_address, timeout=1.5)
    client.request("POST", "/", body, {"Content-Length": str(len(json.dumps(value)))})
    try:
        print(client.getresponse().status)
    except TimeoutError:
        print("no answer")
    client.close()
    service.join()
