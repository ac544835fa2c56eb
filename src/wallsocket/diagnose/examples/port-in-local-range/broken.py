"""A service whose port some connection of another program happens to have."""

import socket

with socket.create_server(("127.0.0.1", 7009)) as database:
    # Somebody talks with the database from a port that the kernel chose.
    with socket.create_connection(("127.0.0.1", 7009)) as session:
        accepted, _ = database.accept()
        port = session.getsockname()[1]
        with socket.socket() as service:
            service.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                service.bind(("127.0.0.1", port))
            except OSError as error:
                print(f"service on port {port}: {error}")
    accepted.close()
