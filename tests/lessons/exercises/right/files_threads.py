import os
import socket
import sys
import threading


def name_of(connection):
    name = b""
    while not name.endswith(b"\n"):
        part = connection.recv(256 - len(name))
        if not part:
            return None
        name += part
    return name[:-1]


def serve(connection, folder):
    with connection:
        try:
            name = name_of(connection)
            if name is None:
                return
            if not name or b"/" in name or name in (b".", b"..") or not os.path.isfile(os.path.join(folder, name)):
                connection.sendall(b"NO\n")
                return
            with open(os.path.join(folder, name), "rb") as file:
                connection.sendall(b"OK %d\n" % os.fstat(file.fileno()).st_size)
                connection.sendfile(file)
        except OSError:
            pass


def main():
    folder = os.fsencode(sys.argv[2])
    with socket.create_server(("", int(sys.argv[1]))) as listener:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection, folder), daemon=True).start()


main()
