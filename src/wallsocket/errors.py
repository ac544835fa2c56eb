"""The one exception tree.

::

    WallsocketError            everything below; never raised itself
    ├── UsageError             the caller asked for something that cannot be: wrong argument, wrong order
    │   ├── UnsendableMessage  a message that the framing cannot carry
    │   └── WrongState         a call that makes no sense in the endpoint's state
    ├── NotPermitted           the kernel or a policy refused; says which permission and the way without it
    ├── NotAvailable           this kernel, machine or installation lacks what is needed
    ├── NotStarted             a command could not be run at all
    ├── RecordingError         a recording cannot be read or written
    ├── FramingError           the peer's bytes are not messages of the framing
    │   ├── MalformedMessage   bytes that the framing does not allow
    │   ├── MessageTooLong     longer than `max_message`
    │   └── CutMessage         the stream ended inside a message
    └── EndpointError          an operation of an endpoint did not do what it should
        ├── DeadlinePassed     not done in time (a TimeoutError)
        ├── WouldBlock         with `timeout_s=0` it would have to wait (a BlockingIOError)
        ├── EndOfStream        the peer has finished sending (an EOFError)
        ├── TruncatedDatagram  longer than the receiver's buffer
        ├── DatagramTooLong    longer than the protocol or the path allows (an OSError)
        └── IcmpError          a router or the destination answered by an ICMP error (an OSError)
            └── PortUnreachable  no socket on that port (a ConnectionRefusedError)

``OSError`` is never renamed away: where one is the reason, it is the ``__cause__``.
"""

from __future__ import annotations

__all__ = [
    "CutMessage",
    "DatagramTooLong",
    "DeadlinePassed",
    "EndOfStream",
    "EndpointError",
    "FramingError",
    "IcmpError",
    "MalformedMessage",
    "MessageTooLong",
    "NotAvailable",
    "NotPermitted",
    "NotStarted",
    "PortUnreachable",
    "RecordingError",
    "TruncatedDatagram",
    "UnsendableMessage",
    "UsageError",
    "WallsocketError",
    "WouldBlock",
    "WrongState",
]


class WallsocketError(Exception):
    """Base of all exceptions of this package; the command line prints its text as one line."""


class UsageError(WallsocketError):
    """The caller asked for something that cannot be."""


class NotPermitted(WallsocketError):
    """The kernel or a policy refused; the text names the permission and the way without it."""


class NotAvailable(WallsocketError):
    """This kernel, machine or installation lacks what is needed."""


class NotStarted(WallsocketError):
    """A command could not be run at all.

    Attributes:
        exit_status: 127 when there is no such program, 126 when it cannot be run, as a shell has it.
    """

    def __init__(self, text: str, exit_status: int) -> None:
        super().__init__(text)
        self.exit_status = exit_status


class RecordingError(WallsocketError):
    """A recording cannot be read or written."""


class FramingError(WallsocketError):
    """The peer's bytes are not messages of the framing in use.

    Attributes:
        at: offset in the stream, in bytes, where the message at fault begins.
    """

    def __init__(self, text: str, at: int) -> None:
        super().__init__(text)
        self.at = at


class MalformedMessage(FramingError):
    """Bytes that the framing does not allow."""


class MessageTooLong(FramingError):
    """A message longer than ``max_message``.

    Attributes:
        length: its length in bytes: announced when ``exact``, else that much has come without an end.
        exact: whether ``length`` is the whole length.
        limit: ``max_message`` in bytes.
    """

    def __init__(self, text: str, at: int, length: int, exact: bool, limit: int) -> None:
        super().__init__(text, at)
        self.length = length
        self.exact = exact
        self.limit = limit


class CutMessage(FramingError):
    """The stream ended inside a message.

    Attributes:
        received: bytes of the unfinished message that came, framing included.
        missing: bytes that did not come: exactly when ``exact``, else at least so many.
        exact: whether the message's length was known.
    """

    def __init__(self, text: str, at: int, received: int, missing: int, exact: bool) -> None:
        super().__init__(text, at)
        self.received = received
        self.missing = missing
        self.exact = exact


class UnsendableMessage(UsageError):
    """A message that the framing in use cannot carry."""


class EndpointError(WallsocketError):
    """An operation of an endpoint did not do what it should; what the kernel said is an ``OSError`` as well."""


class WrongState(UsageError):
    """A call that makes no sense in the endpoint's state; the text names the state and the missing call."""


class DeadlinePassed(EndpointError, TimeoutError):
    """An operation was not done in time; it may be tried again.

    Attributes:
        done: bytes that a sending operation had handed to the kernel, or bytes that a receiving one keeps for the
            next call.
    """

    done: int = 0


class WouldBlock(EndpointError, BlockingIOError):
    """An operation with ``timeout_s=0`` would have to wait.

    Attributes:
        done: as in `DeadlinePassed`.
    """

    done: int = 0


class EndOfStream(EndpointError, EOFError):
    """The peer has finished sending.

    Attributes:
        received: the bytes that came of those that were asked for.
    """

    def __init__(self, text: str, received: bytes = b"") -> None:
        super().__init__(text)
        self.received = received


class TruncatedDatagram(EndpointError):
    """A datagram was longer than the receiver's buffer; the rest is lost.

    Attributes:
        length: true length of the datagram in bytes.
        data: the part that fitted.
        peer: who sent it.
    """

    def __init__(self, text: str, length: int, data: bytes, peer: object) -> None:
        super().__init__(text)
        self.length = length
        self.data = data
        self.peer = peer


class DatagramTooLong(EndpointError, OSError):
    """A datagram is longer than the protocol or the path allows (EMSGSIZE); nothing was sent.

    Attributes:
        length: bytes of the datagram; of one that a router refused only what its answer quotes, so at least.
        limit: bytes that would be possible; ``None`` when unknown.
        reporter: the router that said so of an earlier datagram; ``None`` when this host knew.
    """

    length: int = 0
    limit: int | None = None
    reporter: str | None = None


class IcmpError(EndpointError, OSError):
    """A router or the destination answered a datagram by an ICMP error.

    Attributes:
        destination: where the datagram was sent to.
        reporter: address of the router or host that complains; ``None`` when unknown.
        icmp: type and code of the ICMP message; ``None`` when the kernel itself complains.
        datagram: the beginning of the datagram, as far as the error quotes it (often 520 bytes, at least none).
    """

    destination: object = None
    reporter: str | None = None
    icmp: tuple[int, int] | None = None
    datagram: bytes = b""


class PortUnreachable(IcmpError, ConnectionRefusedError):
    """The destination host has no socket on that port."""
