"""Mistakes by name: what programs for these tasks do wrong that no rule of :mod:`wallsocket.diagnose` is about.

A mistake looks at a failed :class:`~.case.Case`; it speaks only when the calls of the recording, or what the other end saw, show
it. Texts speak to the student: what happened, and a question or a pointer, never the line to write.
"""

from __future__ import annotations

from typing import Final

from . import ending, running, start
from .mistake import Mistake, Spotted

__all__ = ["MISTAKES", "Mistake", "Spotted"]

#: All of them; where several speak, the first one is told.
MISTAKES: Final = (
    Mistake(
        "no-bind",
        "the socket has no address",
        "A client can only come to a port that it knows. Which call gives a socket its address and port?",
        start.no_bind,
        first=True,
    ),
    Mistake(
        "other-protocol",
        "the socket speaks another protocol",
        "TCP and UDP have ports of their own: look at the second argument of socket().",
        start.other_protocol,
        first=True,
    ),
    Mistake(
        "connects-instead",
        "the program connects, and should wait for clients",
        "A client connects; a service waits to be found at its port. Which calls make a socket that others can connect to?",
        start.connects_instead,
        first=True,
    ),
    Mistake(
        "other-port",
        "the program uses another port than it was given",
        "The port is the first argument of the command, as text. Where does the number in your call come "
        "from, and in which byte order?",
        start.other_port,
        first=True,
    ),
    Mistake(
        "loopback-only",
        "only programs on the same host can connect",
        "A socket is bound to an address as well as to a port. Which address means: all addresses of this host?",
        start.loopback_only,
        first=True,
    ),
    Mistake(
        "only-inet6",
        "only clients with IPv6 can come",
        "A client with an IPv4 address cannot come to this socket. Which address family, or which option of ipv6(7), lets it?",
        start.inet6_only,
        first=True,
    ),
    Mistake(
        "address-in-use-time-wait",
        "the port of the run before is still in TIME_WAIT",
        "There is a socket option, set between socket() and bind(), that allows a port whose old connections "
        "are in TIME_WAIT: socket(7).",
        start.port_still_used,
    ),
    Mistake(
        "short-read",
        "recv() gave less than was asked for",
        "recv(n) returns what is there, at most n bytes. What must a program do that needs exactly n?",
        ending.short_read,
        first=True,
    ),
    Mistake(
        "full-is-no-fault",
        "a full socket is taken for a broken one",
        "EAGAIN says that there is no room for more bytes now; in Python that is a BlockingIOError. The connection is as good "
        "as before. When is the time to try again?",
        ending.full,
        first=True,
    ),
    Mistake(
        "bytes-as-text",
        "bytes are treated as text",
        "What comes from a socket are bytes; a border between two pieces may stand inside of a character, and "
        "not all bytes are text. "
        "bytes has methods of its own.",
        ending.decodes,
        first=True,
    ),
    Mistake(
        "nothing-yet-is-no-end",
        "there was nothing yet",
        "EAGAIN says that there is nothing yet; it is neither an end nor a fault. Which call waits until there is something?",
        ending.nothing_yet,
        first=True,
    ),
    Mistake(
        "ends-of-silence",
        "a time limit ends the program",
        "A client may be silent for a while. What should become of the program, and what of this client, when a time "
        "limit is over?",
        ending.time_limit,
        first=True,
    ),
    Mistake(
        "closed-descriptor-used",
        "a socket is used after it was closed",
        "A listener is needed as long as the service lives, a connection as long as its client. Which of them did your "
        "program close, and which call comes again afterwards?",
        ending.closed_used,
        first=True,
    ),
    Mistake(
        "programming-error",
        "a line of the program fails",
        "Read the message from its last line upwards. Which value in that line is another one than you thought?",
        ending.program_error,
        first=True,
    ),
    Mistake(
        "shut-before-answer",
        "the program ends its side before it has answered",
        "shutdown() tells the peer that nothing more comes. What must your program have sent by then?",
        ending.shut_before,
        first=True,
    ),
    Mistake(
        "client-vanished",
        "the program ends when a client vanishes",
        "A client may vanish at any moment; then recv() or send() fails, or, unless it is ignored, SIGPIPE comes. Whose problem "
        "is that, and who must go on?",
        ending.client_vanished,
        first=True,
    ),
    Mistake(
        "empty-datagram",
        "an empty datagram is taken for an end",
        "A datagram may be empty; there is no end of a stream in UDP.",
        ending.empty_is_end,
    ),
    Mistake(
        "answers-another",
        "the answer goes to somebody else",
        "recvfrom() gives two things: the datagram, and the address that it came from. Which address do you answer to?",
        running.another_address,
        first=True,
    ),
    Mistake(
        "answer-from-another-address",
        "the answer came from another port than was asked",
        "The client asked one port and waits for an answer from there. Which of your sockets has that port?",
        running.other_socket,
        first=True,
    ),
    Mistake(
        "connected-to-one",
        "the socket hears only one client",
        "A socket for datagrams can serve all clients as long as it is tied to none. Which call names the receiver of "
        "a single datagram?",
        running.connected,
        first=True,
    ),
    Mistake(
        "answer-in-parts",
        "the answer comes in several datagrams",
        "Each datagram is a message of its own. How many calls that send does one answer take?",
        running.in_parts,
        first=True,
    ),
    Mistake(
        "whole-buffer",
        "the whole buffer is sent",
        "A buffer is mostly longer than what was read into it. Which value tells how much of it counts?",
        running.whole_buffer,
        first=True,
    ),
    Mistake(
        "kept-open-elsewhere",
        "another process keeps a copy of the connection",
        "After fork() both processes have the connection, and each must close its own. Which of yours closes it, and "
        "which does not?",
        running.copy_kept,
        first=True,
    ),
    Mistake(
        "silence-is-end",
        "a pause is taken for the end",
        "A client, or the network, may pause in the middle of a message. What shows that a message is complete, besides time?",
        running.silence_is_end,
        first=True,
    ),
    Mistake(
        "serves-one-client",
        "the program ends after its work for one client",
        "A service goes on. What must be repeated: accept(), or only what follows it?",
        ending.one_client,
    ),
    Mistake(
        "end-of-stream-ignored",
        "the end of the stream is not recognised",
        "recv() returns no bytes when the peer has finished, and will return none for ever. What does your "
        "loop do with that?",
        ending.end_ignored,
    ),
    Mistake(
        "short-send",
        "what send() did not take is lost",
        "send() on a non-blocking socket takes what there is room for and says how much that was; where there is no room it "
        "fails with EAGAIN. Where does your program keep the rest, and who tells it that there is room again?",
        ending.short_send,
    ),
    Mistake(
        "fewer-than-announced",
        "the file ends before its announced size",
        "Count the bytes that your program announces, and those that it sends. Which piece of the file does the loop leave "
        "out, the first one or the last one?",
        ending.fewer_than_announced,
    ),
    Mistake(
        "no-limit",
        "a message that is too long is not refused",
        "A client may send for ever without the end of a message. How much does your program take before it gives up, and "
        "what becomes of that client?",
        running.no_limit,
    ),
    Mistake(
        "no-timeout",
        "the program waits for ever",
        "Datagrams get lost. How long may each wait last, and what happens then? settimeout(), poll() and "
        "SO_RCVTIMEO set a limit.",
        running.no_timeout,
    ),
    Mistake(
        "waits-too-long",
        "the program waits longer than the task says",
        "How long may one wait last, by the task? And how long may all of them take together?",
        running.waits_too_long,
    ),
    Mistake(
        "hurries",
        "the program does not wait long enough",
        "An answer may still be on its way. How long must your program wait for it, also when something else comes "
        "meanwhile?",
    ),
    Mistake(
        "limit-starts-again",
        "each datagram that is no answer starts the time limit anew",
        "A time limit of recv() or select() counts from that call. What can your program compute, before it waits again, "
        "from the time at which it sent the question?",
        where="receive",
    ),
    Mistake(
        "small-calls",
        "a call for each byte, or for a few",
        "A call costs nearly the same whether it returns one byte or 64 KB. How can your program take what is there, and find "
        "the messages in it afterwards?",
        running.small_calls,
    ),
    Mistake(
        "busy-loop",
        "the program asks again and again instead of waiting",
        "Let the kernel wake your program: a blocking call, or select(), poll(), epoll with only those events "
        "that you can do something about.",
        running.restless,
        first=True,
    ),
    Mistake(
        "waits-for-one-client",
        "one client keeps all others waiting",
        "What waits for one client (a blocking call, a lock that is kept meanwhile, in a coroutine an await) stops all that "
        "stands behind it. Who looks after the other clients meanwhile?",
        running.waits_for_another,
        first=True,
    ),
    Mistake(
        "accepts-instead",
        "the program accepts where it should read on",
        "A connection can carry more than one piece of data. When may your program turn away from it?",
        running.accepts_instead,
    ),
    Mistake(
        "nothing-sent",
        "no answer is sent",
        "Which call hands the answer to the client's socket, and does your program come to it? What is printed comes to your "
        "screen only.",
        running.nothing_sent,
    ),
    Mistake(
        "closes-too-early",
        "the program closes before the client has finished",
        "A client may send as many messages as it likes, and recv() tells when it has finished. Why did your program close here?",
        running.closes_early,
    ),
    Mistake(
        "not-closed",
        "the connection is never closed",
        "The client reads until your program says that nothing more comes. Which call says so?",
        running.not_closed,
    ),
    Mistake(
        "waits-for-more",
        "the program has all it needs and waits",
        "The client waits for its answer before it sends anything else. How does your program know that a message is complete? "
        "And if it writes to a file object: when is that sent?",
        running.waits_for_more,
    ),
    Mistake(
        "length-order",
        "the length is not in network byte order",
        "In network order the most significant byte comes first: for 5 the four bytes are 00 00 00 05. "
        "Which format does your packing use?",
    ),
    Mistake(
        "length-missing",
        "the answer does not begin with its length",
        "The answer is framed as the question: four bytes with the length, then so many bytes.",
    ),
    Mistake(
        "length-counts-itself",
        "the length counts its own four bytes, too",
        "The length is that of the text alone. For 5 letters it is 5, although 9 bytes travel.",
    ),
    Mistake(
        "length-size",
        "the length is read as two bytes",
        "A length has four bytes here. How many bytes does your program read for it, and which format of struct fits them?",
        where="receive",
    ),
    Mistake(
        "length-sign",
        "a length with its highest bit set is taken for a small or a negative number",
        "The length is an unsigned number. Which number does your program make of the bytes FF FF FF FF, and is that more "
        "than 100,000?",
        where="receive",
    ),
    Mistake(
        "length-wrong",
        "the length in front of the answer is another than that of its text",
        "The first four bytes are a binary number: how many bytes come behind it. Look at the four bytes that the other end "
        "saw.",
    ),
    Mistake(
        "limit-too-low",
        "a text that is allowed is refused",
        "A text may have 100,000 bytes. Which limit does your program set, and on which number?",
        where="end",
    ),
    Mistake(
        "empty-message",
        "an empty message is taken for the end",
        "A text may have no bytes at all. How does your program tell a message without text from the end of the stream?",
        where="end",
    ),
    Mistake(
        "answers-left",
        "the connection is closed before the last answers are sent",
        "A client that has finished sending still reads. What must have become of your output buffer before close()?",
        where="end",
        yields_to=("short-send",),
    ),
    Mistake(
        "delimiter-missing",
        "the answer has no end of line",
        "The client looks for a line feed to know that the answer is complete. Is it part of what your program sends?",
    ),
    Mistake(
        "glued",
        "only the first of several messages is answered",
        "One recv() may return two messages and a half. What does your program do with what stands behind the "
        "first one?",
        where="receive",
    ),
    Mistake(
        "half-answered",
        "half a message is answered",
        "The client ended in the middle of a message. How does your program know that what it has is a whole one?",
        where="send",
    ),
    Mistake(
        "part-answered",
        "a part of a message is taken for the whole",
        "TCP is a stream of bytes: a message may come in any number of pieces. "
        "How does your program know that it has the whole one?",
        where="receive",
    ),
    Mistake(
        "part-passed-on",
        "a part of a line is passed on",
        "recv() returns what is there, which may be half a line. What must wait until the other half has come?",
    ),
    Mistake(
        "empty-line",
        "an empty line is not answered",
        "A line may be empty: its line feed comes, and nothing before it. How does your program tell that from the end of "
        "the stream?",
        where="receive",
    ),
    Mistake(
        "line-feed-is-end",
        "a line feed is taken for the end of the text",
        "In this task a text ends where the client has finished sending; a line feed is a byte like any other. Does your "
        "way of reading know that?",
        where="receive",
    ),
    Mistake(
        "unchanged",
        "the answer is the same as the question",
        "upper() leaves its bytes as they are and returns new ones. Which of the two does your program send?",
    ),
    Mistake(
        "stripped",
        "bytes at the end or the beginning are missing",
        "Spaces, tabs and line ends belong to what the client sent. Which call of your program takes them away?",
    ),
    Mistake(
        "mixes-clients",
        "a client gets what another one sent",
        "The answer begins with bytes of another client. Where does your program keep what it has read, and when does it "
        "begin anew?",
    ),
    Mistake(
        "path-escapes",
        "a client can read files outside of the folder",
        "A name may hold .. or begin with a slash. What may a name look like that a stranger sends?",
    ),
    Mistake(
        "echoes-to-sender",
        "the sender gets its own line back",
        "A line goes to all others. How does your program know which of the connections is the one that the "
        "line came from?",
    ),
    Mistake(
        "stranger-believed",
        "an answer from somebody else is taken",
        "Anybody can send a datagram to your port. From which address must the answer come? connect() has the "
        "kernel look after it.",
        where="receive",
    ),
    Mistake(
        "identifier-ignored",
        "an answer to another question is taken",
        "Late and foreign answers come to the same socket. What in the answer tells which question it belongs to?",
        where="receive",
    ),
    Mistake(
        "answer-whole",
        "the answer is printed with its identifier",
        "The identifier is for your program. What of the answer is for whoever reads the output?",
        where="receive",
    ),
    Mistake(
        "identifier-constant",
        "the identifier is the same in each run",
        "Two runs of your program may ask the same service at the same time. How does each of them know its answer?",
    ),
    Mistake(
        "repeats-too-often",
        "the question is sent more often than the task says",
        "Three times in all: how often does your loop send?",
    ),
    Mistake(
        "not-repeated",
        "a lost datagram is not sent again",
        "UDP loses datagrams and tells nobody. What should your program do when no answer comes in time?",
    ),
    Mistake(
        "identifier-changes",
        "the repeated question has another identifier",
        "A question that is sent again is still the same question: its answer may be on the way.",
    ),
    Mistake(
        "checksum",
        "the ICMP checksum is wrong",
        "RFC 792: the checksum is computed over the whole ICMP message with its checksum field taken as zero, "
        "in 16-bit words, "
        "carries added, then inverted. The kernel fills it in only on datagram sockets for ICMP.",
    ),
    Mistake(
        "sequence-order",
        "the sequence number is not in network byte order",
        "All numbers in ICMP have the most significant byte first: 1 is 00 01. Which format does your packing use?",
    ),
    Mistake(
        "reply-missed",
        "the reply came, and the program does not recognise it",
        "Compare what recv() returned with what your program looks for. A datagram socket returns the ICMP message alone, "
        "with an identifier that the kernel chose; a raw socket returns the IP header before it, and how long that is "
        "stands in its first byte (RFC 791).",
        running.reply_missed,
    ),
    Mistake(
        "sequence-ignored",
        "an answer with another sequence number is counted",
        "Each request has a number, and the answer repeats it: an old answer may come while you wait for a new one.",
        where="receive",
    ),
    Mistake(
        "foreign-echo",
        "an answer to another program's request is counted",
        "A raw socket sees every echo reply of the host. Which field tells whose it is?",
        where="receive",
    ),
    Mistake(
        "own-request",
        "the program takes its own request for the reply",
        "A raw socket sees the ICMP messages that come in; on the same host your own requests are among them. "
        "Which field tells a request from a reply?",
        where="receive",
    ),
    Mistake(
        "type-ignored",
        "another ICMP message is taken for the reply",
        "A raw socket sees all kinds of ICMP messages. Which field tells what a message is?",
        where="receive",
    ),
    Mistake(
        "thread-per-client",
        "there is a thread, or a process, for each client",
        "This task wants one loop that waits for all sockets at once. Which call can do that?",
        where="accept",
    ),
    Mistake(
        "exit-status",
        "the exit status is another one",
        "A shell or a script learns from the exit status how it went ($?). With which one does your program end, and where "
        "does it say so?",
        running.exit_status,
    ),
    Mistake(
        "crashed",
        "an error that the program does not handle",
        "Read the message from its last line upwards. Which case did the program meet that it was not written for?",
        ending.crashed,
    ),
    Mistake(
        "not-there",
        "the program is not to be found at its port",
        "Which calls make a socket ready for clients? Does your program reach them when it is started with these arguments?",
        start.not_there,
    ),
)
