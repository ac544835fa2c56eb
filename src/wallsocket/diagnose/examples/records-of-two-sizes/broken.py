"""A sensor packs its values as C lays them out in memory, with gaps; the collector expects them one behind the other."""

import socket
import struct
import threading

listener = socket.create_server(("127.0.0.1", 0))
RECORD = struct.Struct("!BIH")


def collect():
    connection, _ = listener.accept()
    kind, serial, value = RECORD.unpack(connection.recv(RECORD.size, socket.MSG_WAITALL))
    print("kind", kind, "serial", serial, "value", value)
    connection.close()


collector = threading.Thread(target=collect)
collector.start()
with socket.create_connection(listener.getsockname()) as connection:
    connection.sendall(struct.pack("BIH", 1, 1000, 77))
    try:
        connection.recv(1)
    except ConnectionResetError as error:
        print(error)
collector.join()
