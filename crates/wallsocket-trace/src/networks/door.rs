//! The way into other network namespaces: a small process with a single thread, because only such a one may enter a user
//! namespace (setns(2)).
//!
//! It is started when the first question about another namespace comes up, as this program itself with the argument
//! `door`. For each request it forks a child that enters the namespace, makes the sockets to ask with, reads the settings,
//! and sends both back. It ends with the socket that it was given.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::process::{Command, ExitCode, Stdio};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use serde::{Deserialize, Serialize};
use wallsocket_sys::namespace::{self, Fork};
use wallsocket_sys::{descriptor, packet, socket};

/// The argument that makes this program a door.
pub const ARGUMENT: &str = "door";
/// How long an answer may take: the program that is traced waits for it.
const PATIENCE_MS: u16 = 1000;
/// Longest answer.
const LONGEST: usize = 64 * 1024;

/// What a child that went through the door found.
#[derive(Debug, Deserialize, Serialize)]
enum Answer {
    /// Descriptors come with it: two of sock_diag, one of rtnetlink, and where permitted a packet socket.
    Entered {
        inode: u64,
        cookie: Option<u64>,
        sysctls: BTreeMap<String, String>,
    },
    Refused(String),
}

/// Sockets that were made in a namespace, and what its settings are.
#[derive(Debug)]
pub struct Entered {
    /// Inode of the namespace.
    pub inode: u64,
    /// SO_NETNS_COOKIE of sockets made there.
    pub cookie: Option<u64>,
    /// Settings below `/proc/sys/net`, by name with dots.
    pub sysctls: BTreeMap<String, String>,
    /// A socket of NETLINK_SOCK_DIAG.
    pub diag: OwnedFd,
    /// Another one, to hear of sockets that die.
    pub deaths: OwnedFd,
    /// A socket of NETLINK_ROUTE.
    pub route: OwnedFd,
    /// A packet socket, where permitted.
    pub packet: Option<OwnedFd>,
}

/// A running door.
#[derive(Debug)]
pub struct Door {
    socket: OwnedFd,
}

impl Door {
    /// Starts the process.
    pub fn open() -> io::Result<Self> {
        let (near, far) = socketpair(
            AddressFamily::Unix,
            SockType::SeqPacket,
            None,
            SockFlag::SOCK_CLOEXEC,
        )?;
        // Not waited for: it leaves a child behind and ends, and whoever waits for everything takes its end.
        Command::new("/proc/self/exe")
            .arg(ARGUMENT)
            .env_clear()
            .stdin(Stdio::from(far))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { socket: near })
    }

    /// Sockets made in the network namespace of a thread; an error says why not, in words.
    ///
    /// After an error of the second kind, `true`, the door is of no use any more.
    pub fn enter(&self, tid: i32) -> Result<Entered, (String, bool)> {
        let broken = |error: io::Error| (error.to_string(), true);
        namespace::send_message(self.socket.as_fd(), &tid.to_ne_bytes(), &[]).map_err(broken)?;
        let mut wait = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        loop {
            match poll(&mut wait, PollTimeout::from(PATIENCE_MS)) {
                Err(nix::Error::EINTR) => {}
                Ok(0) => return Err(("no answer in time".into(), true)),
                Err(error) => return Err(broken(error.into())),
                Ok(_) => break,
            }
        }
        let mut buffer = vec![0; LONGEST];
        let (length, descriptors) =
            namespace::receive_message(self.socket.as_fd(), &mut buffer).map_err(broken)?;
        match postcard::from_bytes(buffer.get(..length).unwrap_or_default()) {
            Ok(Answer::Entered {
                inode,
                cookie,
                sysctls,
            }) => {
                let mut descriptors = descriptors.into_iter();
                let mut next = || descriptors.next();
                let (Some(diag), Some(deaths), Some(route)) = (next(), next(), next()) else {
                    return Err(("no sockets came".into(), true));
                };
                Ok(Entered {
                    inode,
                    cookie,
                    sysctls,
                    diag,
                    deaths,
                    route,
                    packet: descriptors.next(),
                })
            }
            Ok(Answer::Refused(reason)) => Err((reason, false)),
            Err(error) => Err((error.to_string(), true)),
        }
    }
}

/// The door's own program.
pub fn serve() -> ExitCode {
    // The guardian waits for its children until there are none: this one ends at once, and its child is nobody's.
    if !matches!(namespace::fork(false), Ok(Fork::Child)) {
        return ExitCode::SUCCESS;
    }
    let Ok(socket) = descriptor::inherited(0) else {
        return ExitCode::from(2);
    };
    let mut request = [0; 4];
    while let Ok((4, _)) = namespace::receive_message(socket.as_fd(), &mut request) {
        match namespace::fork(false) {
            Ok(Fork::Child) => {
                answer(&socket, i32::from_ne_bytes(request));
                return ExitCode::SUCCESS;
            }
            Ok(Fork::Parent(pid)) => {
                let _ = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid), None);
            }
            Err(error) => send(&socket, &Answer::Refused(error.to_string()), &[]),
        }
    }
    ExitCode::SUCCESS
}

fn send(socket: &OwnedFd, answer: &Answer, descriptors: &[i32]) {
    if let Ok(bytes) = postcard::to_stdvec(answer) {
        let _ = namespace::send_message(socket.as_fd(), &bytes, descriptors);
    }
}

fn answer(socket: &OwnedFd, tid: i32) {
    match enter(tid) {
        Ok((inode, [diag, deaths, route], packet)) => {
            let answer = Answer::Entered {
                inode,
                cookie: super::cookie_of(diag.as_fd()),
                sysctls: crate::facts::host::sysctls(),
            };
            let mut descriptors = vec![diag.as_raw_fd(), deaths.as_raw_fd(), route.as_raw_fd()];
            descriptors.extend(packet.as_ref().map(AsRawFd::as_raw_fd));
            send(socket, &answer, &descriptors);
        }
        Err(error) => send(
            socket,
            &Answer::Refused(wallsocket_kernel::netlink::strerror(
                error.raw_os_error().unwrap_or(libc::EIO),
            )),
            &[],
        ),
    }
}

fn enter(tid: i32) -> io::Result<(u64, [OwnedFd; 3], Option<OwnedFd>)> {
    let network = std::fs::File::open(format!("/proc/{tid}/ns/net"))?;
    if setns(&network, CloneFlags::CLONE_NEWNET).is_err() {
        // The owner of a user namespace has every right in it, and over what belongs to it (user_namespaces(7)).
        let owner = namespace::owner_of(network.as_fd())?;
        setns(&owner, CloneFlags::CLONE_NEWUSER)?;
        setns(&network, CloneFlags::CLONE_NEWNET)?;
    }
    let netlink = |protocol| socket::open(libc::AF_NETLINK, libc::SOCK_RAW, protocol);
    Ok((
        network.metadata()?.ino(),
        [
            netlink(libc::NETLINK_SOCK_DIAG)?,
            netlink(libc::NETLINK_SOCK_DIAG)?,
            netlink(libc::NETLINK_ROUTE)?,
        ],
        packet::packet_socket().ok(),
    ))
}
