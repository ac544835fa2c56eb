"""A proxy that does not block, and an application that accepts one connection after another behind a backlog of 1."""

import os
import socket
import tempfile

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "app.sock")
    with socket.socket(socket.AF_UNIX) as application:
        application.bind(path)
        application.listen(1)
        requests = []
        for number in range(4):
            request = socket.socket(socket.AF_UNIX)
            request.setblocking(False)
            requests.append(request)
            try:
                request.connect(path)
            except BlockingIOError as error:
                print(f"request {number}: 502 ({error})")
        for _ in range(2):
            accepted, _ = application.accept()
            accepted.close()
        for request in requests:
            request.close()
