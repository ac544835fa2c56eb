"""A thermostat takes each read for one command. Commands that come while it is busy arrive together, and count as one."""

import socket
import threading

listener = socket.create_server(("127.0.0.1", 0))
all_sent = threading.Event()


def thermostat():
    connection, _ = listener.accept()
    all_sent.wait()
    while command := connection.recv(1024):
        print("command:", command.decode())
        connection.sendall(b"done")
    connection.close()


service = threading.Thread(target=thermostat)
service.start()
with socket.create_connection(listener.getsockname(), timeout=1.5) as connection:
    for room in ("kitchen 21", "bath 23", "hall 17"):
        connection.sendall(f"SET {room}".encode())
    all_sent.set()
    try:
        for _ in range(3):
            print(connection.recv(4))
    except TimeoutError:
        print("an answer is missing")
service.join()
