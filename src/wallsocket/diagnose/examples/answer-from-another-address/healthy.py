"""The service reads at which address it was asked, and answers from there (IP_PKTINFO)."""

import os
import socket

PORT = 23016
IP_PKTINFO = 8
service = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
service.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
service.bind(("", PORT))
child = os.fork()
if child == 0:
    service.close()
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.bind(("127.0.0.1", 0))
    client.connect(("127.0.0.2", PORT))
    client.settimeout(5)
    client.send(b"are you there?")
    print(client.recv(100))
    os._exit(0)
question, control, _, asker = service.recvmsg(100, 100)
asked = control[0][2][4:8]  # ipi_spec_dst of struct in_pktinfo
service.sendmsg([b"yes"], [(socket.IPPROTO_IP, IP_PKTINFO, bytes(4) + asked + bytes(4))], 0, asker)
os.waitpid(child, 0)
