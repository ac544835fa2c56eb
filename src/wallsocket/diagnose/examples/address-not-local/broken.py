"""A service that binds the address from its configuration, which belongs to the load balancer."""

import socket
import sys

PUBLIC_ADDRESS = "192.0.2.80"

with socket.socket() as listener:
    try:
        listener.bind((PUBLIC_ADDRESS, 8443))
    except OSError as error:
        sys.exit(f"cannot bind {PUBLIC_ADDRESS}: {error}")
    listener.listen()
