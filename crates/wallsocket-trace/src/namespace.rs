//! Network namespaces: the private one of `--lab` (a loopback, no outside, the caller's own user id), and that of a running program.

use std::io;

use nix::sched::{CloneFlags, unshare};
use wallsocket_kernel::route::{LinkChange, RouteSocket};

/// A step that the kernel refused; the text ends the sentence "… is refused here".
#[derive(Debug)]
pub struct Refused {
    /// What was tried.
    pub what: &'static str,
    /// The answer.
    pub error: io::Error,
}

fn refused(what: &'static str) -> impl Fn(io::Error) -> Refused {
    move |error| Refused { what, error }
}

/// Puts this process, which must have one thread, into a network namespace of its own with the loopback up.
///
/// Root keeps its user ids (its programs may change user); everybody else gets a user namespace in which the own id is
/// the only one. exec takes the capabilities in it away, unless the id is 0.
pub fn enter() -> Result<(), Refused> {
    let uid = nix::unistd::geteuid();
    let gid = nix::unistd::getegid();
    let as_root = uid.is_root() && unshare(CloneFlags::CLONE_NEWNET).is_ok();
    if !as_root {
        unshare(CloneFlags::CLONE_NEWUSER)
            .map_err(|error| refused("a user namespace (unshare(2))")(error.into()))?;
        // Without this the kernel takes no gid_map from the unprivileged (user_namespaces(7)).
        let write = |file: &str, text: String| std::fs::write(format!("/proc/self/{file}"), text);
        write("setgroups", "deny".into()).map_err(refused("the user namespace's id map"))?;
        write("uid_map", format!("{uid} {uid} 1"))
            .map_err(refused("the user namespace's id map"))?;
        write("gid_map", format!("{gid} {gid} 1"))
            .map_err(refused("the user namespace's id map"))?;
        unshare(CloneFlags::CLONE_NEWNET)
            .map_err(|error| refused("a network namespace (unshare(2))")(error.into()))?;
    }
    let mut route = RouteSocket::open().map_err(refused("netlink in the private network"))?;
    let up = LinkChange {
        up: Some(true),
        ..LinkChange::default()
    };
    route.change_link(LOOPBACK, &up).map_err(|error| Refused {
        what: "switching the private loopback on",
        error: io::Error::from_raw_os_error(error.number().unwrap_or(libc::EPERM)),
    })
}

/// Puts this process, which must have one thread, into the network namespace of another one, if that is permitted.
pub fn join(pid: i32) {
    if is_here(pid) == Some(false)
        && let Ok(namespace) = std::fs::File::open(format!("/proc/{pid}/ns/net"))
    {
        let _ = nix::sched::setns(namespace, CloneFlags::CLONE_NEWNET);
    }
}

/// Whether a process is in the network namespace of the calling thread; `None`: not known.
pub fn is_here(pid: i32) -> Option<bool> {
    let here = std::fs::read_link("/proc/thread-self/ns/net").ok()?;
    Some(std::fs::read_link(format!("/proc/{pid}/ns/net")).ok()? == here)
}

/// The loopback's interface number: the first in every namespace (net/core/net_namespace.c).
const LOOPBACK: u32 = 1;
