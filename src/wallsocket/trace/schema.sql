-- The recording: one SQLite file, schema version 2.
--
-- This file is the source. Rows hold raw numbers and bytes; names are made on reading.
-- Times (`*_ns`) are nanoseconds of CLOCK_MONOTONIC since `meta.started_monotonic_ns`, unless the name says otherwise.
-- Ids count from 1 in the order in which the tracer met the things. A reader must treat the file as untrusted input.
-- A later version only adds tables, and columns at the end of tables: an older file reads as one that has none of them.
PRAGMA application_id = 0x57534B54;   -- "WSKT"
PRAGMA user_version = 2;              -- the schema version

-- One value per key, as text. Keys: docs/recording.md.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- A network namespace in which something was seen: addresses, ports, routes and counters mean something only within one.
CREATE TABLE network (
    id     INTEGER PRIMARY KEY,
    inode  INTEGER,                -- of /proc/PID/ns/net; NULL when no process in it could be asked
    cookie INTEGER,                -- SO_NETNS_COOKIE of its sockets; NULL before Linux 5.14
    name   TEXT,                   -- of a lab's host, else NULL
    access TEXT                    -- how the kernel was asked about it: 'own' (the tracer is in it), 'entered',
                                   --   'refused: ' and the reason; NULL: nothing had to be asked
);

-- A process that was followed. exec replaces `command`; the exec itself is a mark.
CREATE TABLE process (
    id         INTEGER PRIMARY KEY,
    pid        INTEGER NOT NULL,
    parent     INTEGER,            -- process.id; NULL for the first one
    command    TEXT,               -- JSON array: the argument vector of the latest exec
    executable TEXT,               -- path of the program file
    language   TEXT,               -- 'python 3.11' where known from its memory, else NULL
    started_ns INTEGER NOT NULL,
    ended_ns   INTEGER,
    exit_code  INTEGER,            -- exit status, or NULL
    signal     INTEGER,            -- number of the signal that ended it, or NULL
    network    INTEGER,            -- network.id that it was last seen in
    source     INTEGER             -- source.id: the line that forked it, where it inherited sockets by that
);

-- A kernel socket: one row however many descriptors name it.
CREATE TABLE socket (
    id         INTEGER PRIMARY KEY,
    process    INTEGER NOT NULL,   -- process.id that made it or was first seen with it; 0: unknown ('inferred')
    family     INTEGER NOT NULL,   -- AF_*, -1 unknown
    type       INTEGER NOT NULL,   -- SOCK_* without flag bits, -1 unknown
    protocol   INTEGER NOT NULL,   -- SO_PROTOCOL, -1 unknown
    cookie     INTEGER,            -- SO_COOKIE
    inode      INTEGER,            -- as in /proc/PID/fd
    origin     TEXT NOT NULL,      -- 'socket' 'socketpair' 'accept' 'inherited' 'received' (SCM_RIGHTS) 'pidfd' 'seen'
                               --   'attached': it was there when the trace began, what happened before is unknown
                               --   'inferred': an end of a conversation in an imported capture
    call       INTEGER,            -- call.id that made it
    parent     INTEGER,            -- socket.id: the listener it was accepted from, or the other half of a socketpair
    local      BLOB,               -- struct sockaddr, the last known
    remote     BLOB,               -- struct sockaddr, the last known
    created_ns INTEGER NOT NULL,
    ended_ns   INTEGER,            -- its last descriptor was closed
    source     INTEGER,            -- source.id: the line that made it
    network    INTEGER,            -- network.id: the namespace that it was made in, where it stays
    peer_inode INTEGER,            -- AF_UNIX: inode of the socket at the other end, the last known (unix_diag)
    peer_pid   INTEGER             -- AF_UNIX: process that connected or listened there (SO_PEERCRED)
);

-- A descriptor number of one process that named a socket for a while.
CREATE TABLE descriptor (
    id         INTEGER PRIMARY KEY,
    process    INTEGER NOT NULL,
    number     INTEGER NOT NULL,
    socket     INTEGER NOT NULL,
    origin     TEXT NOT NULL,      -- 'call' 'dup' 'fork' 'exec' 'received' 'inherited' 'attached'
    opened_ns  INTEGER NOT NULL,
    closed_ns  INTEGER,
    cloexec    INTEGER             -- 1 close-on-exec, 0 not, NULL unknown
);

-- A line of source code that made calls; of a native function without debug information only `function`: 'server`handle+0x1d'.
-- Of a function that the program's perf map names, `function` is 'perf map`handle', and `line` is where it begins.
CREATE TABLE source (
    id       INTEGER PRIMARY KEY,
    file     TEXT,
    line     INTEGER,
    function TEXT
);

-- A program file or library that calls came from; or a function that was made while the program ran, of which `path` is what the
-- program's perf map calls it, and each offset is 0.
CREATE TABLE binary (
    id       INTEGER PRIMARY KEY,
    path     TEXT,
    build_id BLOB                  -- of its ELF note, NULL when it has none
);

-- The native stack that a call was made on, where it was made outside Python.
CREATE TABLE stack (
    id     INTEGER PRIMARY KEY,
    frames BLOB NOT NULL           -- innermost first: (binary u32, offset u64) each, little endian; offset in the file's
                                   --   own addresses, binary 0: memory that no file stands behind
);

-- A system call that concerns sockets.
CREATE TABLE call (
    id       INTEGER PRIMARY KEY,  -- in the order of entry
    process  INTEGER NOT NULL,
    tid      INTEGER NOT NULL,
    number   INTEGER NOT NULL,     -- system-call number of the machine in meta.machine
    entry_ns INTEGER NOT NULL,
    took_ns  INTEGER,              -- NULL: had not returned when the recording ended, or the thread died in it
    result   INTEGER,              -- as the kernel returned it: -errno on failure; NULL as above
    fd       INTEGER,              -- the descriptor argument (accept: the listener); NULL where the call has none
    socket   INTEGER,              -- socket.id behind fd at entry
    made     INTEGER,              -- socket.id that the call made (socket, accept; first of a socketpair)
    a        INTEGER,              -- number arguments in their order, pointers and fd left out;
    b        INTEGER,              --   table of their meanings: docs/recording.md
    c        INTEGER,
    address  BLOB,                 -- struct sockaddr given (connect, bind, sendto …) or returned (accept, recvfrom …),
                                   --   of AF_INET without its padding
    value    BLOB,                 -- what else a pointer held: option value, poll set, control messages …
    length   INTEGER,              -- bytes asked to be sent or offered for receiving
    offset   INTEGER,              -- stream position of the first byte moved, per socket and direction (stream sockets);
                                   --   NULL when bytes may have moved before the socket was first seen
    payload  BLOB,                 -- the first bytes moved, up to the limit in meta.payload
    flags    INTEGER,              -- returned msg_flags of recvmsg, else NULL
    source   INTEGER,              -- source.id
    known    INTEGER NOT NULL DEFAULT 0, -- how the line is known: 0 unknown, 1 direct, 2 creator, 3 awaiting, 4 library
    sockets  BLOB,                 -- socket.id of each entry of value (poll, select: the watched; epoll_wait: the ready)
                                   --   or of each descriptor passed (SCM_RIGHTS): u32 each, 0 no socket or unknown
    stack    INTEGER,              -- stack.id
    via      INTEGER NOT NULL DEFAULT 0  -- how the call was seen: 0 ptrace, 1 preloaded library, 2 io_uring ring,
                                   --   3 read from another tool's log
);

-- What a socket was at a moment.
CREATE TABLE state (
    id            INTEGER PRIMARY KEY,
    socket        INTEGER NOT NULL,
    at_ns         INTEGER NOT NULL,
    moment        INTEGER NOT NULL,  -- 0 entry of the call, 1 exit of the call, 2 sample between calls, 3 destroyed
    call          INTEGER,           -- call.id for moments 0 and 1
    state         INTEGER,           -- TCP state number (1 ESTABLISHED … 12 NEW_SYN_RECV); also used for UDP (1, 7)
    receive_queue INTEGER,           -- bytes that recv could take (UDP: of the next datagram); listener: connections to accept
    send_queue    INTEGER,           -- bytes sent but not acknowledged; listener: the backlog in force
    drops         INTEGER,           -- SO_MEMINFO drops so far
    local         BLOB,
    remote        BLOB,
    tcp_info      BLOB,              -- struct tcp_info as the kernel gave it
    memory        BLOB,              -- SO_MEMINFO, nine u32
    options       BLOB,              -- options in force: repeated (level u16, name u16, length u16, value), little endian
    timer         INTEGER,           -- what its timer waits for: 0 none, 1 retransmission, 2 keep-alive, 3 TIME_WAIT,
                                     --   4 probe of a closed window (inet_diag)
    timer_ms      INTEGER            -- time until that timer ends
);

-- A frame that travelled.
CREATE TABLE packet (
    id        INTEGER PRIMARY KEY,
    at_ns     INTEGER NOT NULL,
    interface TEXT,
    link_type INTEGER NOT NULL,      -- LINKTYPE_* of the bytes in `frame`
    length    INTEGER NOT NULL,      -- of the frame on the wire
    frame     BLOB NOT NULL,         -- its first bytes, up to meta.snap_length
    network   INTEGER                -- network.id that the interface is in
);

-- Counters of network namespaces (/proc/net/snmp, netstat, snmp6): all when it is first met, then those that changed.
CREATE TABLE counter (
    at_ns   INTEGER NOT NULL,
    name    TEXT NOT NULL,           -- 'TcpExtTCPAbortOnClose', as nstat(8) names them
    value   INTEGER NOT NULL,
    network INTEGER                  -- network.id; NULL: that of the tracer
);

-- What the kernel said about the host: when a call failed, when a namespace was met, when a process was attached to.
CREATE TABLE fact (
    id      INTEGER PRIMARY KEY,
    at_ns   INTEGER NOT NULL,
    call    INTEGER,                 -- the call that failed or that it is about, or NULL
    kind    TEXT NOT NULL,           -- 'sockets' 'addresses' …: docs/recording.md
    value   TEXT NOT NULL,           -- JSON, shapes: docs/recording.md
    occasion TEXT,                   -- why it was asked: 'failure' 'start' (the namespace was met) 'attached' 'gap' 'message'
    network INTEGER,                 -- network.id that it is about, NULL: not about a namespace
    process INTEGER,                 -- process.id that it is about
    socket  INTEGER                  -- socket.id that it is about
);

-- Things that happened that are no call: exec, signals, stops, what the tracer could not see.
CREATE TABLE mark (
    id      INTEGER PRIMARY KEY,
    at_ns   INTEGER NOT NULL,
    process INTEGER,
    tid     INTEGER,
    kind    TEXT NOT NULL,           -- 'exec' 'signal' 'stopped' 'continued' 'io_uring' '32-bit' 'lost' 'gap' 'blind' 'target', of inspect 'runs'
                                     --   'attached'
    text    TEXT NOT NULL
);

-- What the rules found; written by explain, absent before.
CREATE TABLE finding (
    id       INTEGER PRIMARY KEY,
    rule     TEXT NOT NULL,
    value    TEXT NOT NULL           -- JSON, as `explain --json` prints it
);

CREATE TABLE evidence (
    finding INTEGER NOT NULL,
    layer   TEXT NOT NULL,           -- 'calls' 'kernel' 'wire'
    "table" TEXT NOT NULL,
    row     INTEGER NOT NULL,
    text    TEXT NOT NULL
);
