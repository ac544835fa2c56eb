"""Measurements against the peers: ``make bench``, or ``python -m bench trace --rounds 7``."""
