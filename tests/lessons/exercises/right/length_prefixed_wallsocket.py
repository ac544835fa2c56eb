import sys

from wallsocket import framing, tcp
from wallsocket.errors import WallsocketError

with tcp.listen(f"0.0.0.0:{sys.argv[1]}") as listener:
    for connection in listener:
        try:
            with connection.messages(framing.LengthPrefixed(4, max_message=100_000)) as messages:
                for message in messages:
                    messages.send(message.upper())
        except (WallsocketError, OSError):
            pass
