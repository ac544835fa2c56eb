"""Each command ends with a line end, and the thermostat takes one line after the other."""

import socket
import threading

listener = socket.create_server(("127.0.0.1", 0))
all_sent = threading.Event()


def thermostat():
    connection, _ = listener.accept()
    all_sent.wait()
    pending = b""
    while data := connection.recv(1024):
        pending += data
        while b"\n" in pending:
            command, pending = pending.split(b"\n", 1)
            print("command:", command.decode())
            connection.sendall(b"done")
    connection.close()


service = threading.Thread(target=thermostat)
service.start()
with socket.create_connection(listener.getsockname(), timeout=10) as connection:
    for room in ("kitchen 21", "bath 23", "hall 17"):
        connection.sendall(f"SET {room}\n".encode())
    all_sent.set()
    for _ in range(3):
        print(connection.recv(4))
service.join()
