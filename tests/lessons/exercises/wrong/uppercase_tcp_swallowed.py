import socket
import sys
import threading


def serve(conn):
    try:
        data = b""
        while True:
            part = conn.recv(1024)
            if not part:
                break
            data += part
        text = data.decode()
        conn.sendall(text.upper().encode())
        conn.close()
    except Exception:
        pass


server = socket.create_server(("", int(sys.argv[1])))
while True:
    conn, addr = server.accept()
    threading.Thread(target=serve, args=(conn,)).start()
