"""The same with a backlog for a burst of requests."""

import os
import socket
import tempfile

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "app.sock")
    with socket.socket(socket.AF_UNIX) as application:
        application.bind(path)
        application.listen(128)
        requests = []
        for _ in range(4):
            request = socket.socket(socket.AF_UNIX)
            request.setblocking(False)
            requests.append(request)
            request.connect(path)
        for request in requests:
            accepted, _ = application.accept()
            accepted.close()
            request.close()
