"""Byte streams: what TCP connections and Unix streams have in common.

Rules of this file: no operation loses bytes when it is cancelled, and none leaves the state untold. Bytes are only ever
taken from the kernel right before they are returned, or kept in ``_kept`` for the next call.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from ..errors import DeadlinePassed, EndOfStream, UsageError, WouldBlock
from . import flags as msg
from .base import Base, Blocking, byte_view, positive
from .states import TCP
from .steps import READABLE, WRITABLE, Steps, run

if TYPE_CHECKING:
    from ..framing import Framing
    from ..kernel import Host
    from .messages import MessageStream

__all__ = ["BlockingStream", "Progress", "StreamSteps"]

MessageT = TypeVar("MessageT")
T = TypeVar("T")

#: Receives from a descriptor into a decoder: descriptor, flags -> count of bytes and messages; ``None``: nothing yet.
Receive: TypeAlias = Callable[[int, int], tuple[int, list[T]] | None]

#: Called as bytes leave: ``progress(bytes so far, bytes in all)``; the total is ``None`` when unknown.
Progress: TypeAlias = Callable[[int, int | None], object]

_CAN_SEND: Final = TCP.allowing("send") - {"connecting"}
_CAN_RECEIVE: Final = TCP.allowing("receive") - {"connecting"}
_AFTER_OWN_END: Final = {"established": "sending finished", "receiving finished": "both finished"}
_AFTER_PEERS_END: Final = {"established": "receiving finished", "sending finished": "both finished"}
#: Errors after which a connection is gone.
_FATAL: Final = frozenset({errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT, errno.ECONNABORTED, errno.EHOSTUNREACH})

#: Bytes that one `receive` takes at most unless told otherwise: more does not make loopback faster.
RECEIVE_SIZE: Final = 65536
#: Bytes that a graceful close reads and throws away before it gives up on the peer.
DRAIN_LIMIT: Final = 1 << 26


class StreamSteps(Base):
    """The operations of a connected byte stream, as steps."""

    graph = TCP

    def __init__(self, sock: socket.socket, host: Host, state: str) -> None:
        super().__init__(sock, host, state)
        #: Bytes that a receive_exactly() had taken when it was cancelled; the next receive returns them first.
        self._kept = b""
        #: Whether bytes come out of the descriptor as they are: not with TLS, nor where messages are kept apart.
        self._plain = type(sock) is socket.socket and sock.type == socket.SOCK_STREAM
        self._bytes_sent = 0
        self._bytes_received = 0

    @property
    def bytes_sent(self) -> int:
        """Bytes that the kernel has taken for sending, also by operations that were cancelled or ran out of time."""
        return self._bytes_sent

    @property
    def bytes_received(self) -> int:
        """Bytes taken from the kernel."""
        return self._bytes_received

    # Receiving

    def _now_receive(self, max_bytes: int, flags: int) -> bytes | None:
        """Receive without waiting beyond what ``flags`` allow; ``None``: nothing is there yet."""
        if self._state not in _CAN_RECEIVE:
            self._wrong("receive")
        if self._kept:
            return self._take_kept(max_bytes, flags)
        while True:
            try:
                data = self._recv(max_bytes, flags)
            except BlockingIOError:
                return None
            except InterruptedError:
                continue
            except OSError as error:
                raise self._broken(error, "receive") from None
            if data:
                if not flags & msg.PEEK:
                    self._bytes_received += len(data)
            elif max_bytes:
                self._state = _AFTER_PEERS_END.get(self._state, self._state)
            return data

    def _put_back(self, data: bytes) -> None:
        """Keep for the next receive what a cancelled one had taken."""
        self._kept = data + self._kept

    def _now_decoded(self, receive: Receive[T], flags: int) -> tuple[int, list[T]] | None:
        """Receive into a compiled decoder: the count of bytes and the messages, or ``None`` as `_now_receive`."""
        if self._state not in _CAN_RECEIVE:
            self._wrong("receive")
        try:
            got = receive(self._socket.fileno(), flags)
        except OSError as error:
            raise self._broken(error, "receive") from None
        if got is not None:
            if got[0]:
                self._bytes_received += got[0]
            else:
                self._state = _AFTER_PEERS_END.get(self._state, self._state)
        return got

    def _receive(self, max_bytes: int, flags: int) -> Steps[bytes]:
        while (data := self._now_receive(max_bytes, flags)) is None:
            yield READABLE
        return data

    def _take_kept(self, max_bytes: int, flags: int) -> bytes:
        data = self._kept[:max_bytes]
        if not flags & msg.PEEK:
            self._kept = self._kept[max_bytes:]
        return data

    def _receive_into(self, buffer: memoryview, flags: int) -> Steps[int]:
        if self._state not in _CAN_RECEIVE:
            self._wrong("receive")
        if self._kept:
            data = self._take_kept(len(buffer), flags)
            buffer[: len(data)] = data
            return len(data)
        while True:
            try:
                count = self._socket.recv_into(buffer, 0, flags)
            except BlockingIOError:
                pass
            except InterruptedError:
                continue
            except OSError as error:
                raise self._broken(error, "receive") from None
            else:
                if count:
                    if not flags & msg.PEEK:
                        self._bytes_received += count
                elif len(buffer):
                    self._state = _AFTER_PEERS_END.get(self._state, self._state)
                return count
            yield READABLE

    def _receive_exactly(self, count: int, flags: int) -> Steps[bytes]:
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise UsageError(f"count must be a number of bytes, got {count!r}")
        parts: list[bytes] = []
        missing = count
        try:
            while missing:
                data = yield from self._receive(min(missing, RECEIVE_SIZE), flags)
                if not data:
                    received = b"".join(parts)
                    parts.clear()
                    raise EndOfStream(
                        f"the peer finished sending after {count - missing} of {count} bytes; {missing} are missing",
                        received,
                    )
                parts.append(data)
                missing -= len(data)
        except BaseException as error:
            # Cancelled, out of time or broken: what came stays for the next call.
            if parts:
                self._kept = b"".join(parts) + self._kept
            if isinstance(error, (DeadlinePassed, WouldBlock)):
                error.done = count - missing
                error.strerror = f"{error.strerror} ({count - missing} of {count} bytes came and are kept)"
            raise
        return parts[0] if len(parts) == 1 else b"".join(parts)

    # Sending

    def _now_send(self, data: Any, flags: int) -> int | None:
        """Send without waiting beyond what ``flags`` allow; ``None``: there is no room yet."""
        if self._state not in _CAN_SEND:
            self._wrong("send")
        while True:
            try:
                count = self._send_call(data, flags)
            except BlockingIOError:
                return None
            except InterruptedError:
                continue
            except TypeError:
                byte_view(data)
                raise
            except OSError as error:
                raise self._broken(error, "send") from None
            self._bytes_sent += count
            return count

    def _send(self, data: Any, flags: int) -> Steps[int]:
        while (count := self._now_send(data, flags)) is None:
            yield WRITABLE
        return count

    def _send_all(self, data: Any, flags: int, progress: Progress | None = None) -> Steps[None]:
        # Most sends are taken whole at once: no view is made for them.
        sent = yield from self._send(data, flags)
        if isinstance(data, bytes) and sent == len(data):
            if progress is not None:
                progress(sent, sent)
            return
        view = byte_view(data)
        total = len(view)
        if progress is not None:
            progress(sent, total)
        try:
            while sent < total:
                sent += yield from self._send(view[sent:], flags)
                if progress is not None:
                    progress(sent, total)
        except (DeadlinePassed, WouldBlock) as error:
            error.done = sent
            error.strerror = f"{error.strerror} ({sent} of {total} bytes went out)"
            raise

    def _send_file(self, file: IO[bytes], offset: int, count: int | None, progress: Progress | None) -> Steps[int]:
        """Send by sendfile(2): the bytes never pass through this process."""
        if self._state not in _CAN_SEND:
            self._wrong("send")
        source = file.fileno()
        size = os.fstat(source).st_size
        there = max(size - offset, 0)
        total = there if count is None else count
        if total > there:
            raise UsageError(f"{count} bytes from offset {offset}: the file has {size} bytes, only {there} follow")
        sent = 0
        blocking = self._socket.getblocking()
        # sendfile() has no flag for a single call.
        self._socket.setblocking(False)
        try:
            while sent < total:
                try:
                    # 2 GiB less a page is what one call takes (sendfile(2)); shorter ones let progress be seen.
                    moved = os.sendfile(self._socket.fileno(), source, offset + sent, min(total - sent, 1 << 20))
                except BlockingIOError:
                    moved = -1
                except InterruptedError:
                    continue
                except OSError as error:
                    raise self._broken(error, "send") from None
                if moved < 0:
                    yield WRITABLE
                    continue
                if not moved:
                    raise EndOfStream(f"the file ended after {sent} of {total} bytes")
                sent += moved
                self._bytes_sent += moved
                if progress is not None:
                    progress(sent, total)
        except (DeadlinePassed, WouldBlock) as error:
            error.done = sent
            error.strerror = f"{error.strerror} ({sent} of {total} bytes went out)"
            raise
        finally:
            if self._socket.fileno() >= 0:
                self._socket.setblocking(blocking)
        return sent

    # Ends

    def finish_sending(self) -> None:
        """Say that no more bytes will come (half-close): the peer reads to the end, we still receive.

        Raises:
            WrongState: not connected, or done already.
        """
        if self._state in ("sending finished", "both finished"):
            return
        # A connection that is no more has no end to send: shutdown(2) gives ENOTCONN.
        if self._state not in _CAN_SEND or self._state in ("refused", "reset"):
            self._wrong("finish_sending")
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise self._broken(error, "finish_sending") from None
        self._state = _AFTER_OWN_END.get(self._state, self._state)

    def _finish_sending(self) -> Steps[None]:
        self.finish_sending()
        yield from ()

    def _close_gracefully(self) -> Steps[int]:
        """Finish, wait until the peer has finished too, close; return how many bytes were thrown away.

        A close with unread bytes makes the kernel send RST, which can destroy what the peer has not read yet: its own
        last answer from us. So nothing may be left unread.
        """
        if self._state == "closed":
            return 0
        drained = 0
        try:
            if self._state in _CAN_SEND and self._state not in ("refused", "reset"):
                self.finish_sending()
            while self._state == "sending finished":
                data = yield from self._receive(RECEIVE_SIZE, msg.DONTWAIT)
                drained += len(data)
                if drained > DRAIN_LIMIT:
                    break
        except (ConnectionError, DeadlinePassed, WouldBlock) as error:
            if isinstance(error, (DeadlinePassed, WouldBlock)):
                error.done = drained
                raise
        finally:
            self._close()
        return drained

    def _broken(self, error: OSError, doing: str) -> OSError:
        """Return ``error`` for raising, with the state brought up to date."""
        if error.errno in _FATAL and self._state != "closed":
            self._state = "reset"
        return self._failed(error, doing)


class BlockingStream(StreamSteps, Blocking):
    """The calls that blocking connections of TCP and Unix sockets share; ``timeout_s`` is as `wallsocket.tcp` says."""

    def receive_into(self, buffer: Any, *, timeout_s: float | None = None, fill: bool = False) -> int:
        """Receive into a writable buffer; return the count, 0 when the peer has finished sending.

        Args:
            buffer: bytearray or the like.
            timeout_s: see the module.
            fill: ask the kernel to wait for the whole buffer (MSG_WAITALL). A signal, an error or the peer's end cuts
                it short all the same: the count says so.
        """
        flags = 0 if timeout_s is None else msg.DONTWAIT
        if fill:
            flags |= msg.WAITALL
        view = memoryview(buffer).cast("B")
        return run(self._receive_into(view, flags), self, timeout_s, "receive")

    def receive_exactly(self, count: int, *, timeout_s: float | None = None) -> bytes:
        """Return exactly ``count`` bytes. What came before a deadline is kept for the next call.

        Raises:
            EndOfStream: the peer finished before; it has what came.
        """
        flags = 0 if timeout_s is None else msg.DONTWAIT
        return run(self._receive_exactly(count, flags), self, timeout_s, "receive")

    def send_all(self, data: Any, *, timeout_s: float | None = None, progress: Progress | None = None) -> None:
        """Hand all bytes to the kernel. `DeadlinePassed.done` says how many went out before a deadline.

        Args:
            data: any buffer of bytes.
            timeout_s: see the module.
            progress: called with bytes sent and bytes in all.
        """
        flags = msg.NOSIGNAL if timeout_s is None else msg.SEND_NOW
        run(self._send_all(data, flags, progress), self, timeout_s, "send")

    def send_file(
        self,
        file: IO[bytes],
        *,
        offset: int = 0,
        count: int | None = None,
        timeout_s: float | None = None,
        progress: Progress | None = None,
    ) -> int:
        """Send an open file by sendfile(2); return the bytes sent.

        Args:
            file: opened for reading, with a descriptor.
            offset: first byte of the file; its position is neither used nor moved.
            count: bytes to send; all the rest by default.
            timeout_s: see the module.
            progress: called with bytes sent and bytes in all.
        """
        return run(self._send_file(file, offset, count, progress), self, timeout_s, "send")

    def close(self, *, graceful: bool = False, timeout_s: float | None = 5.0) -> None:
        """Close. Harmless when repeated.

        Unread bytes make the kernel send RST, which can destroy our last answer before the peer has read it: the kernel
        calls that a close, too. ``graceful`` cannot reset: it finishes sending, reads what still comes until the peer
        has finished, and closes then.

        Args:
            graceful: as above.
            timeout_s: how long a graceful close waits for the peer; it closes in any case.

        Raises:
            DeadlinePassed: a graceful close had to close before the peer had finished.
        """
        if graceful:
            run(self._close_gracefully(), self, timeout_s, "close")
        else:
            self._close()

    def messages(self, framing: Framing[MessageT]) -> MessageStream[MessageT]:
        """Return the connection as a stream of messages."""
        from .messages import MessageStream

        return MessageStream(self, framing)


def check_size(max_bytes: int) -> int:
    """Return ``max_bytes`` if it is a size that one receive can have."""
    return positive(max_bytes, "max_bytes")
