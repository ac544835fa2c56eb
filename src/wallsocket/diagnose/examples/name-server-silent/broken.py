"""The first name server of the list is behind a firewall."""

from resolve import resolve

print(resolve(["server", "server"]))
