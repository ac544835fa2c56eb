-- The recording: one SQLite file, schema version 1.
--
-- This file is the source. Rows hold raw numbers and bytes; names are made on reading.
-- Times (`*_ns`) are nanoseconds of CLOCK_MONOTONIC since `meta.started_monotonic_ns`, unless the name says otherwise.
-- Ids count from 1 in the order in which the tracer met the things. A reader must treat the file as untrusted input.
PRAGMA application_id = 0x57534B54;   -- "WSKT"
PRAGMA user_version = 1;              -- the schema version

-- One value per key, as text. Keys: docs/recording.md.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

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
    signal     INTEGER             -- number of the signal that ended it, or NULL
);

-- A kernel socket: one row however many descriptors name it.
CREATE TABLE socket (
    id         INTEGER PRIMARY KEY,
    process    INTEGER NOT NULL,   -- process.id that made it or was first seen with it
    family     INTEGER NOT NULL,   -- AF_*, -1 unknown
    type       INTEGER NOT NULL,   -- SOCK_* without flag bits, -1 unknown
    protocol   INTEGER NOT NULL,   -- SO_PROTOCOL, -1 unknown
    cookie     INTEGER,            -- SO_COOKIE
    inode      INTEGER,            -- as in /proc/PID/fd
    origin     TEXT NOT NULL,      -- 'socket' 'socketpair' 'accept' 'inherited' 'received' (SCM_RIGHTS) 'pidfd' 'seen'
                               --   'attached': it was there when the trace began, what happened before is unknown
    call       INTEGER,            -- call.id that made it
    parent     INTEGER,            -- socket.id: the listener it was accepted from, or the other half of a socketpair
    local      BLOB,               -- struct sockaddr, the last known
    remote     BLOB,               -- struct sockaddr, the last known
    created_ns INTEGER NOT NULL,
    ended_ns   INTEGER,            -- its last descriptor was closed
    source     INTEGER             -- source.id: the line that made it
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

-- A line of source code that made calls.
CREATE TABLE source (
    id       INTEGER PRIMARY KEY,
    file     TEXT,
    line     INTEGER,
    function TEXT
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
    known    INTEGER NOT NULL DEFAULT 0  -- how the line is known: 0 unknown, 1 direct, 2 creator, 3 awaiting, 4 library
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
    options       BLOB               -- options in force: repeated (level u16, name u16, length u16, value), little endian
);

-- A frame that travelled.
CREATE TABLE packet (
    id        INTEGER PRIMARY KEY,
    at_ns     INTEGER NOT NULL,
    interface TEXT,
    link_type INTEGER NOT NULL,      -- LINKTYPE_* of the bytes in `frame`
    length    INTEGER NOT NULL,      -- of the frame on the wire
    frame     BLOB NOT NULL          -- its first bytes, up to meta.snap_length
);

-- Counters of the network namespace (/proc/net/snmp, netstat, snmp6): all at the start, then those that changed.
CREATE TABLE counter (
    at_ns INTEGER NOT NULL,
    name  TEXT NOT NULL,             -- 'TcpExtTCPAbortOnClose', as nstat(8) names them
    value INTEGER NOT NULL
);

-- What the kernel said about the host when a call failed, and about a process when it was attached to.
CREATE TABLE fact (
    id    INTEGER PRIMARY KEY,
    at_ns INTEGER NOT NULL,
    call  INTEGER,                   -- the call that failed, or NULL
    kind  TEXT NOT NULL,             -- 'sockets' 'routes' 'addresses' 'sysctls' 'limits' 'not looked up' 'attached'
    value TEXT NOT NULL              -- JSON, shapes: docs/recording.md
);

-- Things that happened that are no call: exec, signals, stops, what the tracer could not see.
CREATE TABLE mark (
    id      INTEGER PRIMARY KEY,
    at_ns   INTEGER NOT NULL,
    process INTEGER,
    tid     INTEGER,
    kind    TEXT NOT NULL,           -- 'exec' 'signal' 'stopped' 'continued' 'io_uring' '32-bit' 'lost' 'blind' 'target', of inspect 'runs'
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
