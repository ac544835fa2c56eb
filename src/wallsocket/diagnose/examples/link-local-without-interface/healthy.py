"""With its interface."""

import socket

interface = socket.if_nametoindex("lo")
with (
    socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as receiver,
    socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe,
):
    receiver.bind(("::1", 0))
    probe.sendto(b"who are you?", ("::1", receiver.getsockname()[1], 0, interface))
    print(receiver.recvfrom(100))
