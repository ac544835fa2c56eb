"""A worker is handed three connections in one message and makes room for one: the kernel closes the others."""

import array
import socket

dispatcher, worker = socket.socketpair()
listener = socket.create_server(("127.0.0.1", 0))
clients = [socket.create_connection(listener.getsockname()) for _ in range(3)]
accepted = [listener.accept()[0] for _ in range(3)]
numbers = array.array("i", [one.fileno() for one in accepted])
dispatcher.sendmsg([b"take these"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, numbers)])
for one in accepted:
    one.close()
message, control, _, _ = worker.recvmsg(100, socket.CMSG_LEN(numbers.itemsize))
taken = array.array("i", control[0][2][: numbers.itemsize])
print(message, "and", len(taken), "of 3 connections")
for number in taken:
    with socket.socket(fileno=number) as connection:
        connection.sendall(b"hello")
answers = [client.recv(100) for client in clients]
print(answers)
for client in (*clients, listener, dispatcher, worker):
    client.close()
