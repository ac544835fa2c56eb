//! What the guardian tells the recorder: rows of the recording's tables, in the columns' order of `schema.sql`.
//!
//! On the wire each row is one postcard value, preceded by nothing: the stream is a plain sequence of [`Row`].

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// A row for one of the tables, or a message about the run itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the variants are the tables of schema.sql")]
pub enum Row {
    Network(Network),
    Call(Call),
    Unread(Unread),
    State(State),
    Packet(Packet),
    Process(Process),
    Socket(Socket),
    Descriptor(Descriptor),
    Source(Source),
    Binary(Binary),
    Stack(Stack),
    Counter(Counter),
    Fact(Fact),
    Mark(Mark),
    Meta(Meta),
    End(End),
}

/// Table `network`; sent again whenever something about it changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "columns are documented in schema.sql")]
pub struct Network {
    pub id: u32,
    pub inode: Option<u64>,
    pub cookie: Option<u64>,
    pub name: Option<String>,
    pub access: Option<String>,
}

/// `via` of a call that the preloaded library recorded.
pub const VIA_LIBRARY: u8 = 1;

/// Table `call`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "columns are documented in schema.sql")]
pub struct Call {
    pub id: u64,
    pub process: u32,
    pub tid: i32,
    pub number: u32,
    pub entry_ns: i64,
    pub took_ns: Option<i64>,
    pub result: Option<i64>,
    pub fd: Option<i32>,
    pub socket: Option<u32>,
    pub made: Option<u32>,
    pub a: Option<i64>,
    pub b: Option<i64>,
    pub c: Option<i64>,
    pub address: Option<ByteBuf>,
    pub value: Option<ByteBuf>,
    pub length: Option<i64>,
    pub offset: Option<i64>,
    pub payload: Option<ByteBuf>,
    pub flags: Option<i32>,
    pub source: Option<u32>,
    pub known: u8,
    pub sockets: Option<ByteBuf>,
    pub stack: Option<u32>,
    pub via: u8,
}

/// A row of table `call`, of which the recorder makes the rest: [`crate::unread::read`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Unread {
    /// With what only the tracer knows.
    pub call: Call,
    /// Payload bytes to keep.
    pub payload: usize,
    /// As the preloaded library has written it (`wallsocket_ring::Record`).
    pub record: ByteBuf,
}

/// Table `state`; its id is given by the recorder.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "columns are documented in schema.sql")]
pub struct State {
    pub socket: u32,
    pub at_ns: i64,
    pub moment: u8,
    pub call: Option<u64>,
    pub state: Option<u8>,
    pub receive_queue: Option<i64>,
    pub send_queue: Option<i64>,
    pub drops: Option<i64>,
    pub local: Option<ByteBuf>,
    pub remote: Option<ByteBuf>,
    pub tcp_info: Option<ByteBuf>,
    pub memory: Option<ByteBuf>,
    pub options: Option<ByteBuf>,
    pub timer: Option<u8>,
    pub timer_ms: Option<u32>,
}

/// Table `packet`; its id is given by the recorder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "columns are documented in schema.sql")]
pub struct Packet {
    pub at_ns: i64,
    pub interface: Option<String>,
    pub link_type: u16,
    pub length: u32,
    pub frame: ByteBuf,
    pub network: Option<u32>,
}

/// Table `process`; sent again whenever something about it changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "columns are documented in schema.sql")]
pub struct Process {
    pub id: u32,
    pub pid: i32,
    pub parent: Option<u32>,
    pub command: Option<String>,
    pub executable: Option<String>,
    pub language: Option<String>,
    pub started_ns: i64,
    pub ended_ns: Option<i64>,
    pub exit_code: Option<i32>,
    pub signal: Option<i32>,
    pub network: Option<u32>,
    pub source: Option<u32>,
}

/// Table `socket`; sent again whenever something about it changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "columns are documented in schema.sql")]
pub struct Socket {
    pub id: u32,
    pub process: u32,
    pub family: i32,
    pub kind: i32,
    pub protocol: i32,
    pub cookie: Option<u64>,
    pub inode: Option<u64>,
    pub origin: String,
    pub call: Option<u64>,
    pub parent: Option<u32>,
    pub local: Option<ByteBuf>,
    pub remote: Option<ByteBuf>,
    pub created_ns: i64,
    pub ended_ns: Option<i64>,
    pub source: Option<u32>,
    pub network: Option<u32>,
    pub peer_inode: Option<u32>,
    pub peer_pid: Option<i32>,
}

/// Table `descriptor`; sent again when it is closed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "columns are documented in schema.sql")]
pub struct Descriptor {
    pub id: u32,
    pub process: u32,
    pub number: i32,
    pub socket: u32,
    pub origin: String,
    pub opened_ns: i64,
    pub closed_ns: Option<i64>,
    pub cloexec: Option<bool>,
}

/// Table `source`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "columns are documented in schema.sql")]
pub struct Source {
    pub id: u32,
    pub file: Option<String>,
    pub line: Option<u32>,
    pub function: Option<String>,
}

/// Table `binary`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "columns are documented in schema.sql")]
pub struct Binary {
    pub id: u32,
    pub path: Option<String>,
    pub build_id: Option<ByteBuf>,
    /// What it was to the process that it was met in. For the recorder.
    pub role: Role,
    /// Where the recorder finds it, its path in the process first.
    pub places: Vec<String>,
    /// Which file that must be.
    pub stamp: Stamp,
}

/// What a file of native code is to a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// Its program.
    Program,
    /// Its program, which runs programs in a language of their own.
    Interpreter,
    /// A library.
    #[default]
    Library,
    /// No file: a function that was made while the program ran. Its path is what the program's perf map calls it.
    Made,
}

/// Which file a file is, and in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "as of stat(2)")]
pub struct Stamp {
    pub device: u64,
    pub inode: u64,
    pub modified_ns: i64,
    pub size: u64,
}

/// Table `stack`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "columns are documented in schema.sql")]
pub struct Stack {
    pub id: u32,
    pub frames: ByteBuf,
    /// The `source.id` by which rows name its line: the recorder finds that, and another number where the line has one already.
    pub source: u32,
}

/// Table `counter`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "columns are documented in schema.sql")]
pub struct Counter {
    pub at_ns: i64,
    pub name: String,
    pub value: i64,
    pub network: Option<u32>,
}

/// Table `fact`; its id is given by the recorder.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "columns are documented in schema.sql")]
pub struct Fact {
    pub at_ns: i64,
    pub call: Option<u64>,
    pub kind: String,
    pub value: String,
    pub occasion: Option<String>,
    pub network: Option<u32>,
    pub process: Option<u32>,
    pub socket: Option<u32>,
}

/// Table `mark`; its id is given by the recorder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "columns are documented in schema.sql")]
pub struct Mark {
    pub at_ns: i64,
    pub process: Option<u32>,
    pub tid: Option<i32>,
    pub kind: String,
    pub text: String,
}

/// A value for table `meta`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "columns are documented in schema.sql")]
pub struct Meta {
    pub key: String,
    pub value: String,
}

/// The first process has ended, or could not be started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum End {
    /// The program could not be started: step (`filter`, `user`, `exec`, `trace`, `lab`) and error number.
    NotStarted {
        /// Which step failed.
        step: String,
        /// The error number.
        errno: i32,
    },
    /// The first process ended: its exit status, or 128 + signal. Others may still run.
    Main {
        /// Status as a shell would give it.
        status: i32,
        /// How many of its descendants still run.
        left: u32,
    },
    /// Every process has ended; nothing follows.
    All,
}
