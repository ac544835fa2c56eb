"""The service takes IPv4 where there is no IPv6."""

import socket

for family, host in ((socket.AF_INET6, "::1"), (socket.AF_INET, "127.0.0.1")):
    with socket.socket(family) as listener:
        try:
            listener.bind((host, 6400))
            listener.listen()
            print(host)
        except OSError as error:
            print(error)
