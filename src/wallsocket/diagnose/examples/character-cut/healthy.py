"""The receiver decodes what it has as it goes, and keeps what is incomplete."""

import codecs
import socket
import threading

listener = socket.create_server(("127.0.0.1", 0))
TEXT = "Guten Morgen " + "Grüße aus Köln, schöne Straße. " * 40


def receive():
    connection, _ = listener.accept()
    text = ""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with connection:
        try:
            while data := connection.recv(1024):
                text += decoder.decode(data)
        except UnicodeDecodeError as error:
            print(error)
    print(len(text), "characters")


receiver = threading.Thread(target=receive)
receiver.start()
with socket.create_connection(listener.getsockname()) as connection:
    connection.sendall(TEXT.encode())
receiver.join()
