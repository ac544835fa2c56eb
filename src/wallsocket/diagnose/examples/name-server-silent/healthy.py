"""The name server answers."""

from resolve import resolve

print(resolve(["10.91.0.20"]))
