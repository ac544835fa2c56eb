//! Which descriptor of which process names which socket.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use wallsocket_ring::table;
use wallsocket_sys::shared::Shared;

use crate::ids::Ids;
use crate::rows;

/// Departed sockets that are kept in mind.
const MAXIMUM_DEPARTED: usize = 1024;

/// A socket that at least one followed descriptor names.
#[derive(Debug)]
pub struct Known {
    /// Its row, as last sent.
    pub row: rows::Socket,
    /// Descriptors of followed processes that name it.
    pub references: u32,
    /// It was seen from its beginning on, so that the position of each byte in its streams is known.
    pub whole: bool,
    /// Bytes sent so far, for stream offsets.
    pub sent: u64,
    /// Bytes received so far.
    pub received: u64,
    /// How often it was looked at, and when last.
    pub samples: u32,
    /// See `samples`.
    pub sampled_ns: i64,
}

impl Known {
    /// Whether bytes have positions: a stream.
    pub fn is_stream(&self) -> bool {
        self.row.kind == libc::SOCK_STREAM
    }

    /// What the preloaded library is told of it.
    pub fn kind(&self) -> u8 {
        let inet = matches!(self.row.family, libc::AF_INET | libc::AF_INET6);
        match self.row.kind {
            libc::SOCK_STREAM if inet => table::TCP,
            libc::SOCK_DGRAM => table::DATAGRAM,
            _ => 0,
        }
    }
}

/// A descriptor number that names a socket.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Socket id.
    pub socket: u32,
    /// Its row, as last sent.
    pub row: rows::Descriptor,
    /// Calls that name it are left to the preloaded library, where the process has it.
    pub unwatched: bool,
    /// [`table::TCP`], [`table::DATAGRAM`] or neither, which the library is to know.
    pub kind: u8,
}

/// The sockets among one process's descriptors; threads and `CLONE_FILES` share it.
#[derive(Debug, Default)]
pub struct Table {
    /// By number.
    pub sockets: BTreeMap<i32, Entry>,
    /// Epoll descriptors that watch sockets; what they name is shared by duplicates and after fork.
    pub epolls: Ids<i32, SharedEpoll>,
    /// Numbers that named a socket, were closed, and are not known to name anything since.
    closed: HashSet<i32>,
    /// Numbers that a thread is about to close. The kernel frees a number first, and then takes its time for the socket: until
    /// that thread's call is seen to end, the number may name something else (`close_fd` in `fs/file.c`).
    closing: HashSet<i32>,
    /// What the preloaded library of the process reads of it.
    mirror: Option<Rc<Shared>>,
}

impl Table {
    /// A number names a socket now.
    pub fn insert(&mut self, number: i32, entry: Entry) {
        self.epolls.remove(&number);
        self.closed.remove(&number);
        self.closing.remove(&number);
        self.sockets.insert(number, entry);
        self.show(number);
    }

    /// A number names a socket no more.
    pub fn remove(&mut self, number: i32) -> Option<Entry> {
        let entry = self.sockets.remove(&number);
        self.closing.remove(&number);
        if entry.is_some() {
            self.closed.insert(number);
        }
        self.show(number);
        entry
    }

    /// Whether a number named a socket until it was closed. `reused` says whether it names something else now, and is only
    /// asked when it matters.
    pub fn is_closed(&mut self, number: i32, reused: impl FnOnce() -> bool) -> bool {
        if !self.closed.contains(&number) {
            return false;
        }
        let reused = reused();
        if reused {
            self.closed.remove(&number);
            self.show(number);
        }
        !reused
    }

    /// A thread begins to close a number.
    pub fn begin_close(&mut self, number: i32) {
        if self.sockets.contains_key(&number) {
            self.closing.insert(number);
        }
    }

    /// Whether a thread has begun to close a number, and was not seen to end that.
    pub fn is_closing(&self, number: i32) -> bool {
        self.closing.contains(&number)
    }

    /// A number names an epoll set that watches a socket.
    pub fn watch_with(&mut self, number: i32) {
        self.epolls.entry(number).or_default();
        self.show(number);
    }

    /// A number names an epoll set no more.
    pub fn forget_epoll(&mut self, number: i32) {
        if self.epolls.remove(&number).is_some() {
            self.show(number);
        }
    }

    /// The preloaded library may have the calls that name this number.
    pub fn unwatch(&mut self, number: i32) {
        if let Some(entry) = self.sockets.get_mut(&number)
            && !entry.unwatched
        {
            entry.unwatched = true;
            self.show(number);
        }
    }

    /// Tells the preloaded library when to look at the socket, as [`table::DUE`] says it.
    pub fn look_again(&self, number: i32, when: u64) {
        if let Some(mirror) = &self.mirror
            && let Ok(number) = usize::try_from(number)
            && number < table::NUMBERS
        {
            mirror.store(table::DUE + number * 8, when);
        }
    }

    /// Shows the table to the preloaded library of a process from now on; `None`: to nobody.
    pub fn mirror(&mut self, mirror: Option<Rc<Shared>>) {
        self.mirror = mirror;
        let numbers: Vec<i32> = self
            .sockets
            .keys()
            .chain(self.epolls.keys())
            .chain(self.closed.iter())
            .copied()
            .collect();
        for number in numbers {
            self.show(number);
        }
    }

    /// Whether a library sees it.
    pub fn is_mirrored(&self) -> bool {
        self.mirror.is_some()
    }

    fn show(&self, number: i32) {
        let Some(mirror) = &self.mirror else { return };
        let mut kind = 0;
        if let Some(entry) = self.sockets.get(&number) {
            kind |= table::SOCKET | entry.kind;
            if !entry.unwatched {
                kind |= table::WATCHED;
            }
        }
        if self.epolls.contains_key(&number) {
            kind |= table::EPOLL;
        }
        if self.closed.contains(&number) {
            kind |= table::CLOSED;
        }
        if let Ok(number) = usize::try_from(number)
            && number < table::NUMBERS
        {
            mirror.store_byte(number, kind);
        }
    }
}

/// An epoll set, as far as it watches sockets.
#[derive(Debug, Default)]
pub struct Epoll {
    /// The data given with each descriptor: the kernel knows an entry by its number and by what is open there.
    data: Ids<(i32, u32), u64>,
    /// Which socket returned data belongs to; `None`: several have the same.
    sockets: Ids<u64, Option<u32>>,
}

/// An epoll set that several descriptors may name.
pub type SharedEpoll = Rc<RefCell<Epoll>>;

impl Epoll {
    /// Adds a socket, or changes its data. `lives`: whether a socket is still open.
    pub fn watch(&mut self, fd: i32, socket: u32, data: u64, lives: impl Fn(u32) -> bool) {
        self.forget(fd, socket);
        self.data.insert((fd, socket), data);
        let other = self.sockets.get(&data).copied();
        let known = match other {
            // A socket that was closed left the set unseen.
            Some(Some(other)) if other != socket && lives(other) => None,
            Some(None) => None,
            _ => Some(socket),
        };
        self.sockets.insert(data, known);
    }

    /// Takes a socket out.
    pub fn forget(&mut self, fd: i32, socket: u32) {
        if let Some(data) = self.data.remove(&(fd, socket))
            && self.sockets.get(&data) == Some(&Some(socket))
        {
            self.sockets.remove(&data);
        }
    }

    /// The socket that an event with this data is about; 0: not known, or none.
    pub fn socket(&self, data: u64) -> u32 {
        self.sockets.get(&data).copied().flatten().unwrap_or(0)
    }
}

/// A table that several processes or threads may hold.
pub type SharedTable = Rc<RefCell<Table>>;

/// All sockets that live, and the next ids.
#[derive(Debug, Default)]
pub struct Registry {
    /// By id.
    pub sockets: Ids<u32, Known>,
    by_inode: HashMap<u64, u32>,
    /// Sockets whose last followed descriptor was closed, by inode: one on its way in an SCM_RIGHTS message comes back.
    departed: HashMap<u64, Known>,
    last_socket: u32,
    last_descriptor: u32,
}

impl Registry {
    /// Registers a socket and gives it an id.
    pub fn add(&mut self, mut row: rows::Socket) -> u32 {
        self.last_socket += 1;
        row.id = self.last_socket;
        if let Some(inode) = row.inode {
            self.by_inode.insert(inode, row.id);
        }
        let whole = matches!(row.origin.as_str(), "socket" | "socketpair" | "accept");
        self.sockets.insert(
            row.id,
            Known {
                row,
                whole,
                references: 0,
                sent: 0,
                received: 0,
                samples: 0,
                sampled_ns: i64::MIN / 2,
            },
        );
        self.last_socket
    }

    /// The living socket with this inode number.
    pub fn by_inode(&self, inode: u64) -> Option<u32> {
        self.by_inode.get(&inode).copied()
    }

    /// The id for a new descriptor row.
    pub fn next_descriptor(&mut self) -> u32 {
        self.last_descriptor += 1;
        self.last_descriptor
    }

    /// Brings back a departed socket that is seen again under its inode number, when the cookie shows that it is the same.
    pub fn revive(&mut self, inode: u64, cookie: Option<u64>) -> Option<u32> {
        let known = self.departed.get(&inode)?;
        if cookie.is_none() || known.row.cookie != cookie {
            return None;
        }
        let mut known = self.departed.remove(&inode)?;
        known.row.ended_ns = None;
        let socket = known.row.id;
        self.by_inode.insert(inode, socket);
        self.sockets.insert(socket, known);
        Some(socket)
    }

    /// Whether a departed socket had this inode number.
    pub fn has_departed(&self, inode: u64) -> bool {
        self.departed.contains_key(&inode)
    }

    /// Keeps a removed socket in mind, in case it comes back.
    pub fn depart(&mut self, known: Known) {
        if self.departed.len() >= MAXIMUM_DEPARTED {
            self.departed.clear();
        }
        if let Some(inode) = known.row.inode {
            self.departed.insert(inode, known);
        }
    }

    /// Forgets a socket that no descriptor names any more.
    pub fn remove(&mut self, socket: u32) -> Option<Known> {
        let known = self.sockets.remove(&socket)?;
        if let Some(inode) = known.row.inode
            && self.by_inode.get(&inode) == Some(&socket)
        {
            self.by_inode.remove(&inode);
        }
        Some(known)
    }
}

/// The socket inode that descriptor `fd` of process `pid` names, by `/proc/PID/fd` (proc(5)); `None` when it is no socket.
pub fn inode_of(pid: i32, fd: i32) -> Option<u64> {
    let target = std::fs::read_link(format!("/proc/{pid}/fd/{fd}")).ok()?;
    target
        .to_str()?
        .strip_prefix("socket:[")?
        .strip_suffix(']')?
        .parse()
        .ok()
}

/// Every socket among the descriptors of a process: number and inode.
pub fn all_of(pid: i32) -> Vec<(i32, u64)> {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fd")) else {
        return Vec::new();
    };
    let mut found: Vec<(i32, u64)> = entries
        .flatten()
        .filter_map(|entry| {
            let fd = entry.file_name().to_str()?.parse().ok()?;
            Some((fd, inode_of(pid, fd)?))
        })
        .collect();
    found.sort_unstable();
    found
}

/// Descriptors that no file stands behind, by `/proc/PID/fd`: number and kind, such as `[eventpoll]`.
pub fn anonymous(pid: i32) -> Vec<(i32, String)> {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fd")) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let fd = entry.file_name().to_str()?.parse().ok()?;
            let target = std::fs::read_link(entry.path()).ok()?;
            Some((fd, target.to_str()?.strip_prefix("anon_inode:")?.to_owned()))
        })
        .collect()
}

/// A descriptor that an epoll set watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Its number when it was added.
    pub fd: i32,
    /// `EPOLL*` bits.
    pub events: u32,
    /// What the program gets back with an event.
    pub data: u64,
}

/// What the epoll set behind a descriptor watches, by `/proc/PID/fdinfo` (proc(5)).
pub fn epoll_watches(pid: i32, fd: i32) -> Vec<Watch> {
    std::fs::read_to_string(format!("/proc/{pid}/fdinfo/{fd}"))
        .unwrap_or_default()
        .lines()
        .filter_map(watch)
        .collect()
}

/// One line of an epoll set: `tfd: 5 events: 19 data: 5 pos:0 ino:1c8 sdev:8`; events are hexadecimal.
fn watch(line: &str) -> Option<Watch> {
    let mut words = line.strip_prefix("tfd:")?.split_ascii_whitespace();
    let fd = words.next()?.parse().ok()?;
    words.find(|word| *word == "events:")?;
    let events = u32::from_str_radix(words.next()?, 16).ok()?;
    words.find(|word| *word == "data:")?;
    let data = u64::from_str_radix(words.next()?, 16).ok()?;
    Some(Watch { fd, events, data })
}

/// Whether a descriptor is closed on exec, by `/proc/PID/fdinfo`.
pub fn is_close_on_exec(pid: i32, fd: i32) -> Option<bool> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/fdinfo/{fd}")).ok()?;
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:"))?;
    let flags = i32::from_str_radix(flags.trim(), 8).ok()?;
    Some(flags & libc::O_CLOEXEC != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_names_the_socket_that_its_data_was_given_for() {
        let mut epoll = Epoll::default();
        epoll.watch(5, 1, 5, |_| true);
        epoll.watch(6, 2, 6, |_| true);
        assert_eq!(
            (epoll.socket(5), epoll.socket(6), epoll.socket(7)),
            (1, 2, 0)
        );
        // Changed data.
        epoll.watch(5, 1, 50, |_| true);
        assert_eq!((epoll.socket(5), epoll.socket(50)), (0, 1));
        // The first was closed; its number and data are used again.
        epoll.watch(6, 3, 6, |socket| socket != 2);
        assert_eq!(epoll.socket(6), 3);
        // Two that live with the same data cannot be told apart.
        epoll.watch(8, 4, 50, |_| true);
        assert_eq!(epoll.socket(50), 0);
        epoll.forget(6, 3);
        assert_eq!(epoll.socket(6), 0);
    }

    fn entry() -> Entry {
        Entry {
            socket: 1,
            row: rows::Descriptor {
                id: 1,
                process: 1,
                number: 5,
                socket: 1,
                origin: "call".into(),
                opened_ns: 0,
                closed_ns: None,
                cloexec: None,
            },
            unwatched: false,
            kind: 0,
        }
    }

    #[test]
    fn a_number_is_closed_until_something_else_has_it() {
        let mut table = Table::default();
        assert!(!table.is_closed(5, || false));
        table.insert(5, entry());
        assert!(!table.is_closed(5, || false));
        table.remove(5);
        assert!(table.is_closed(5, || false));
        assert!(!table.is_closed(5, || true));
        // It is not asked again.
        assert!(!table.is_closed(5, || unreachable!()));
        table.insert(5, entry());
        table.remove(5);
        table.insert(5, entry());
        assert!(!table.is_closed(5, || false));
        // What was no socket is none of ours.
        table.remove(6);
        assert!(!table.is_closed(6, || false));
    }

    #[test]
    fn reads_the_lines_of_an_epoll_set() {
        let line = "tfd:        5 events: 80000019 data:                5  pos:0 ino:1c8 sdev:8";
        let found = Watch {
            fd: 5,
            events: 0x8000_0019,
            data: 5,
        };
        assert_eq!(watch(line), Some(found));
        for other in [
            "pos:\t0",
            "flags:\t02",
            "tfd:",
            "tfd: x events: 1",
            "tfd: 5 data: 3",
        ] {
            assert_eq!(watch(other), None, "{other}");
        }
    }
}
