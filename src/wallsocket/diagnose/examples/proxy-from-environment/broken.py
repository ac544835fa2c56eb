"""A client whose environment names a proxy that is not there; its server is on this host."""

import http.server
import os
import subprocess
import sys
import threading


class Health(http.server.BaseHTTPRequestHandler):
    """Says that the service is well."""

    def do_GET(self) -> None:
        """Answer a probe."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"healthy")


server = http.server.HTTPServer(("127.0.0.1", 0), Health)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/health"
environment = {**os.environ, "http_proxy": "http://127.0.0.1:3128"}
subprocess.run([sys.executable, os.path.join(sys.path[0], "probe.py"), url], env=environment, check=True)
server.shutdown()
