"""A receiver decodes each read by itself; the first one ends inside a character."""

import socket
import threading

listener = socket.create_server(("127.0.0.1", 0))
TEXT = "Guten Morgen " + "Grüße aus Köln, schöne Straße. " * 40


def receive():
    connection, _ = listener.accept()
    text = ""
    with connection:
        try:
            while data := connection.recv(1024):
                text += data.decode()
        except UnicodeDecodeError as error:
            print(error)
    print(len(text), "characters")


receiver = threading.Thread(target=receive)
receiver.start()
with socket.create_connection(listener.getsockname()) as connection:
    connection.sendall(TEXT.encode())
receiver.join()
