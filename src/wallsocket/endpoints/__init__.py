"""Sockets that a program talks through. Use the public modules `wallsocket.udp`, `.tcp`, `.unix`, `.raw` and `.aio`."""
