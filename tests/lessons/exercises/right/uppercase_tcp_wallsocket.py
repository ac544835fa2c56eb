import sys

from wallsocket import tcp
from wallsocket.errors import EndpointError

with tcp.listen(f"0.0.0.0:{sys.argv[1]}") as listener:
    for connection in listener:
        with connection:
            try:
                text = b""
                while part := connection.receive(65536):
                    text += part
                connection.send(text.upper())
            except (EndpointError, OSError):
                pass
