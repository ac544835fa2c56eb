import sys

from wallsocket import udp

with udp.bind(f"0.0.0.0:{sys.argv[1]}") as service:
    for datagram in service:
        service.reply(datagram, datagram.data.upper())
