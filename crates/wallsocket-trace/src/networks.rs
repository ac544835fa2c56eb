//! The network namespaces in which processes and sockets were seen: one number for each, however it is known.
//!
//! A process tells its namespace by the inode of `/proc/PID/ns/net` (namespaces(7)), a socket by SO_NETNS_COOKIE
//! (Linux 5.14, net/core/sock.c). The two are joined when a process is seen making a socket.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::rows::{self, Row};
use crate::sink::Sink;

pub mod door;

pub use door::{ARGUMENT, Entered, serve};

use door::Door;

/// The number of the namespace that this process is in.
pub const OWN: u32 = 1;
/// Namespaces that are told apart; a program that makes more gets no number for the rest.
const MAXIMUM: usize = 4096;
/// Threads of each that are remembered.
const THREADS: usize = 8;

#[derive(Debug, Default)]
struct State {
    rows: Vec<rows::Network>,
    by_inode: HashMap<u64, u32>,
    by_cookie: HashMap<u64, u32>,
    /// Threads that were last seen in each, the latest first: any of them may end, or leave.
    threads: HashMap<u32, Vec<i32>>,
}

impl State {
    fn saw(&mut self, network: u32, tid: i32) {
        let threads = self.threads.entry(network).or_default();
        if threads.first() != Some(&tid) {
            threads.retain(|other| *other != tid);
            threads.insert(0, tid);
            threads.truncate(THREADS);
        }
    }
}

/// All of them; clones share one list.
#[derive(Clone)]
pub struct Networks {
    sink: Sink,
    state: Arc<Mutex<State>>,
    door: Arc<Mutex<Option<Door>>>,
}

impl Networks {
    /// Begins with the namespace of the caller.
    pub fn new(sink: Sink) -> Self {
        let networks = Self {
            sink,
            state: Arc::default(),
            door: Arc::default(),
        };
        let cookie = wallsocket_sys::socket::open(libc::AF_UNIX, libc::SOCK_DGRAM, 0)
            .ok()
            .and_then(|socket| cookie_of(std::os::fd::AsFd::as_fd(&socket)));
        let row = rows::Network {
            inode: inode("/proc/thread-self/ns/net"),
            cookie,
            access: Some("own".into()),
            ..rows::Network::default()
        };
        networks.add(&mut networks.lock(), row);
        networks
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, state: &mut State, mut row: rows::Network) -> Option<u32> {
        if state.rows.len() >= MAXIMUM {
            return None;
        }
        row.id = state.rows.len() as u32 + 1;
        if let Some(inode) = row.inode {
            state.by_inode.insert(inode, row.id);
        }
        if let Some(cookie) = row.cookie {
            state.by_cookie.insert(cookie, row.id);
        }
        self.sink.send(&Row::Network(row.clone()));
        let id = row.id;
        state.rows.push(row);
        Some(id)
    }

    /// Where a thread or process is; `None`: it cannot be asked.
    pub fn of_thread(&self, tid: i32) -> Option<u32> {
        let inode = inode(&format!("/proc/{tid}/ns/net"))?;
        let mut state = self.lock();
        let known = state.by_inode.get(&inode).copied();
        let id = known.or_else(|| {
            let row = rows::Network {
                inode: Some(inode),
                ..rows::Network::default()
            };
            self.add(&mut state, row)
        })?;
        state.saw(id, tid);
        Some(id)
    }

    /// The namespaces other than ours, and the threads that were last seen in each.
    pub fn others(&self) -> Vec<(u32, Vec<i32>)> {
        let state = self.lock();
        let others = state.threads.iter().filter(|(id, _)| **id != OWN);
        others.map(|(id, threads)| (*id, threads.clone())).collect()
    }

    /// Where a socket is that has this cookie. `maker`: a thread that has just made it, so that it is where the thread is.
    pub fn of_socket(&self, cookie: Option<u64>, maker: Option<i32>) -> Option<u32> {
        let Some(cookie) = cookie else {
            return maker.and_then(|tid| self.of_thread(tid));
        };
        {
            let mut state = self.lock();
            if let Some(known) = state.by_cookie.get(&cookie).copied() {
                if let Some(tid) = maker {
                    state.saw(known, tid);
                }
                return Some(known);
            }
        }
        let place = maker.and_then(|tid| self.of_thread(tid));
        let mut state = self.lock();
        if let Some(place) = place
            && let Some(row) = state.rows.get_mut(place as usize - 1)
            && row.cookie.is_none()
        {
            row.cookie = Some(cookie);
            self.sink.send(&Row::Network(row.clone()));
            state.by_cookie.insert(cookie, place);
            return Some(place);
        }
        // Numbers of inodes are used again: a namespace with another cookie is another one.
        let inode = place
            .and_then(|place| state.rows.get(place as usize - 1))
            .and_then(|row| row.inode);
        let row = rows::Network {
            inode,
            cookie: Some(cookie),
            ..rows::Network::default()
        };
        self.add(&mut state, row)
    }

    /// Sockets made in a namespace, to ask the kernel about it. `tid`: a thread that is probably in it.
    ///
    /// An error says in words why it cannot be entered.
    pub fn enter(&self, id: u32, tid: i32) -> Result<Entered, String> {
        let (row, others) = {
            let state = self.lock();
            (
                state.rows.get(id as usize - 1).cloned(),
                state.threads.get(&id).cloned().unwrap_or_default(),
            )
        };
        let row = row.ok_or_else(|| "it is not known".to_owned())?;
        let mut reason = String::new();
        for tid in std::iter::once(tid).chain(others.into_iter().filter(|other| *other != tid)) {
            match self.go_through(tid) {
                Ok(entered) => {
                    let same = match (row.cookie, entered.cookie) {
                        (Some(wanted), Some(found)) => wanted == found,
                        _ => row.inode == Some(entered.inode),
                    };
                    if same {
                        self.set_access(id, "entered");
                        return Ok(entered);
                    }
                    reason = "no process that is known is in it any more".into();
                }
                Err(text) => reason = text,
            }
        }
        self.set_access(id, &format!("refused: {reason}"));
        Err(reason)
    }

    fn go_through(&self, tid: i32) -> Result<Entered, String> {
        let mut door = self.door.lock().unwrap_or_else(PoisonError::into_inner);
        if door.is_none() {
            *door = Some(Door::open().map_err(|error| error.to_string())?);
        }
        let Some(open) = door.as_ref() else {
            return Err("no way in".into());
        };
        open.enter(tid).map_err(|(reason, broken)| {
            if broken {
                *door = None;
            }
            reason
        })
    }

    /// Notes the name of a namespace.
    pub fn set_name(&self, id: u32, name: &str) {
        if let Some(row) = self.lock().rows.get_mut(id as usize - 1)
            && row.name.as_deref() != Some(name)
        {
            row.name = Some(name.to_owned());
            self.sink.send(&Row::Network(row.clone()));
        }
    }

    /// Notes how the kernel can be asked about a namespace: `entered`, or `refused: ` and why.
    fn set_access(&self, id: u32, access: &str) {
        if let Some(row) = self.lock().rows.get_mut(id as usize - 1)
            && row.access.as_deref() != Some(access)
        {
            row.access = Some(access.to_owned());
            self.sink.send(&Row::Network(row.clone()));
        }
    }
}

/// The namespace's number of a socket.
pub fn cookie_of(socket: std::os::fd::BorrowedFd<'_>) -> Option<u64> {
    const SO_NETNS_COOKIE: i32 = 71; // asm-generic/socket.h
    let mut bytes = [0; 8];
    wallsocket_sys::socket::get_option(socket, libc::SOL_SOCKET, SO_NETNS_COOKIE, &mut bytes)
        .is_ok_and(|length| length == 8)
        .then(|| u64::from_ne_bytes(bytes))
}

fn inode(path: &str) -> Option<u64> {
    std::fs::metadata(path).ok().map(|found| found.ino())
}
