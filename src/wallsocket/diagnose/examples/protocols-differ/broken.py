"""The client speaks TLS to a server that does not."""

import os
import socket
import ssl

listener = socket.create_server(("127.0.0.1", 0))
address = listener.getsockname()
if os.fork() == 0:
    listener.close()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with socket.create_connection(address) as plain:
        try:
            context.wrap_socket(plain, server_hostname="localhost")
        except ssl.SSLError as error:
            print(error.reason)
    os._exit(0)
connection, _ = listener.accept()
request = connection.recv(4096)
connection.sendall(b"ERROR unknown command\r\n")
try:
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(4096):
        pass
except OSError as error:  # the client has reset the connection
    print(error)
connection.close()
os.wait()
