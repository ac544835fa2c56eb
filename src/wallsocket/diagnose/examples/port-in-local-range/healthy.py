"""The same service on a port below the range."""

import socket

with socket.create_server(("127.0.0.1", 7009)) as database:
    with socket.create_connection(("127.0.0.1", 7009)) as session:
        accepted, _ = database.accept()
        with socket.socket() as service:
            service.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            service.bind(("127.0.0.1", 7010))
            service.listen()
    accepted.close()
