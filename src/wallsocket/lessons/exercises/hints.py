"""What a student is told where a rule of :mod:`wallsocket.diagnose` names the cause: less than the rule's usual fix."""

from __future__ import annotations

from typing import Final

__all__ = ["HINTS"]

HINTS: Final = {
    "one-recv-per-message": "TCP is a stream of bytes: one send() of the client may need many recv(). "
    "How does your program know that it has the whole message?",
    "close-with-unread-data": "The kernel resets a connection that is closed while bytes of the peer are unread, and the peer may "
    "lose your answer. What has your program left in the socket?",
    "short-send": "send() takes as many bytes as there is room for, and says how many. What becomes of the others?",
    "glued-messages": "One recv() may return two messages and a half. What does your program do with what stands behind the "
    "first?",
    "length-prefix-order": "In network order the most significant byte comes first: for 5 the four bytes are 00 00 00 05.",
    "address-in-use-time-wait": "A socket option, set between socket() and bind(), allows a port whose old connections "
    "are in TIME_WAIT: socket(7).",
    "dies-of-client-reset": "A client may vanish at any moment; then recv() or send() fails. Whose problem is that, and who must "
    "go on?",
    "end-of-stream-ignored": "recv() returns no bytes when the peer has finished, and will return none for ever. "
    "What does your loop do with that?",
    "half-close-taken-for-close": "The client has finished sending and still listens. What does it wait for?",
    "ended-before-answer": "The client still waits. What did your program owe it when it closed?",
    "datagram-truncated": "A datagram that is longer than the buffer of recvfrom() is cut, and the rest is gone. How long may "
    "one be?",
    "empty-datagram-as-end": "A datagram may be empty; there is no end of a stream in UDP.",
    "no-time-limit-for-answer": "Datagrams get lost. How long may a wait last, and what happens then?",
    "writable-spin": "A socket can nearly always be written to. When does your program want to know it?",
    "nothing-yet-is-no-end": "EAGAIN says that there is nothing yet. That is neither an end nor an error.",
    "loop-blocked": "While one client is served the others wait. Which call holds the loop?",
    "listener-not-served": "Connections wait in the accept queue. What does the thread do that should accept them?",
    "loopback-only": "A socket is bound to an address as well as to a port. Which address means: all addresses of this "
    "host?",
    "listen-forgotten": "A bound TCP socket takes no connections yet. Which call makes a listener of it?",
    "foreign-echo-taken": "A raw socket sees every echo reply of the host. Which field tells whose it is?",
    "checksum-rejected": "RFC 792: the checksum is computed over the whole ICMP message with its checksum field taken as zero.",
    "late-answer-taken": "A late answer comes to the same socket. What in it tells which question it belongs to?",
    "delimiter-missing": "The client looks for the end of the line. Is it part of what your program sends?",
    "fewer-than-announced": "The length that your program announces and the bytes that it sends differ.",
    "more-than-announced": "The length that your program announces and the bytes that it sends differ.",
    "silent-peer": "Your program waits for the client, and the client waits for your program. Whose turn is it?",
    "both-wait": "Your program waits for the client, and the client waits for your program. Whose turn is it?",
    "peer-does-not-read": "A client that does not read fills the buffers, and then send() waits. Who else waits with it?",
    "edge-not-drained": "An edge-triggered event is told once. What stays in the socket when your program reads only a part?",
    "character-cut": "A border between two pieces may stand inside of a character. bytes has methods of its own.",
    "hangup-before-data": "A peer that has hung up may have sent something before. Has your program read it?",
    "linger-zero": "With SO_LINGER and a time of 0 close() throws away what has not arrived, and the peer sees a reset. What "
    "is a client to see at the end?",
    "closed-descriptor-used": "A listener is needed as long as the service lives, a connection as long as its client. Which of "
    "them did your program close, and which call comes again afterwards?",
    "answer-from-another-address": "The client asked one port and waits for an answer from there. Which of your sockets has that "
    "port?",
    "kept-open-elsewhere": "After fork() both processes have the connection. Which of yours closes it, and which does not?",
    "only-inet6": "A client with an IPv4 address cannot come to this socket. Which address family, or which option of ipv6(7), "
    "lets it?",
    "dies-of-datagram": "A datagram may hold anything. Whose problem is it when your program can do nothing with one?",
    "write-after-peer-closed": "A client may be gone when its answer comes. Whose problem is that, and who must go on?",
    "close-wait": "The client has closed, and your program keeps its socket. Who closes it?",
    "sent-before-bound": "A client can only come to a port that it knows. When does your socket get it?",
    "datagram-refused": "An error of an earlier datagram is told at the next call: udp(7). Is it a reason to end?",
}  # fmt: skip
