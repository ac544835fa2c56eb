"""For tests of users and of this project: conformance suites for endpoints, and awkward sockets.

Modules: `wallsocket.testing.conformance`, `wallsocket.testing.awkward`.
"""
