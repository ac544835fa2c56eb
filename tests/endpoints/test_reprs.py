"""What objects of the endpoints say of themselves."""

from __future__ import annotations

import re

from wallsocket import framing, tcp


def test_options_and_messages_say_what_they_are() -> None:
    with tcp.listen("127.0.0.1:0") as listener, tcp.connect(listener.local) as connection:
        assert re.fullmatch(r"<Options of an AF_INET SOCK_STREAM socket, \d\d+ by name>", repr(connection.options))
        messages = connection.messages(framing.Delimited(b"\n"))
        assert repr(messages).startswith("<MessageStream of Delimited(")
        assert repr(connection) in repr(messages)
        options = connection.options
    assert repr(options) == "<Options of a closed socket>"
