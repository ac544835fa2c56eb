"""A server that is restarted just after it had closed a connection, without SO_REUSEADDR."""

import socket

listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen()
address = listener.getsockname()
client = socket.create_connection(address)
connection, _ = listener.accept()
connection.close()  # the server closes first: its side stays in TIME_WAIT
client.recv(1)
client.close()
listener.close()
again = socket.socket()
try:
    again.bind(address)
except OSError as error:
    print(error)
again.close()
