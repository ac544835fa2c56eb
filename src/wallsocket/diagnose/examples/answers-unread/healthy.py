"""The client reads each answer, and the connection is free again."""

import http.client
import http.server
import queue
import threading


class Pages(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = b"x" * 50_000
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
    service = threading.Thread(target=server.serve_forever)
    service.start()
    members = [http.client.HTTPConnection(*server.server_address) for _ in range(2)]
    pool = queue.Queue()
    for connection in members:
        pool.put(connection)
    try:
        for number in range(4):
            connection = pool.get(timeout=1.5)
            connection.request("GET", f"/{number}")
            answer = connection.getresponse()
            print(number, answer.status, len(answer.read()))
            if answer.isclosed():
                pool.put(connection)
    except queue.Empty:
        print("no free connection")
    for connection in members:
        connection.close()
    server.shutdown()
    service.join()
