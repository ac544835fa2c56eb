//! Namespaces and the processes that live in them: forks into other namespaces, capabilities, descriptors passed between processes.
//!
//! What nix offers safely (`unshare`, `setns`, `mount`, `execvp`, `set_pdeathsig`) is used from there; this file has the rest.

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

/// Most descriptors one message may carry (SCM_MAX_FD in include/net/scm.h).
pub const MAX_DESCRIPTORS: usize = 253;

/// Which side of a fork this is.
#[derive(Debug, PartialEq, Eq)]
pub enum Fork {
    /// The caller; holds the new process's id.
    Parent(i32),
    /// The new process.
    Child,
}

/// Forks a process that has a single thread. With `sibling` the new process is a child of the caller's parent.
///
/// Refused (EAGAIN, as clone(2) says nothing better) when the process has more than one thread: the child of such a fork may
/// only call async-signal-safe functions, which a safe function cannot promise.
pub fn fork(sibling: bool) -> io::Result<Fork> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::from_raw_os_error(libc::EAGAIN));
    }
    let flags = libc::SIGCHLD | if sibling { libc::CLONE_PARENT } else { 0 };
    // SAFETY: without CLONE_VM and with a null stack this is fork(2): the child runs on a copy of this stack. There is one
    // thread (checked above, and only this thread could start another), so no lock can be held by a thread that is not copied.
    let result = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
    match result {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        pid => Ok(Fork::Parent(pid as i32)),
    }
}

/// The user namespace that owns another namespace (ioctl_ns(2)).
///
/// Refused (EPERM) when it is neither the caller's own nor one below it.
pub fn owner_of(namespace: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    const NS_GET_USERNS: libc::Ioctl = 0xB701; // linux/nsfs.h
    // SAFETY: the request takes no argument.
    let result = unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_USERNS) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us; nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(result) })
}

/// Sets the disposition of `signals` to ignore, or back to the default.
pub fn ignore_signals(signals: &[i32], ignore: bool) {
    let disposition = if ignore { libc::SIG_IGN } else { libc::SIG_DFL };
    for &signal in signals {
        // SAFETY: SIG_IGN and SIG_DFL run no code of ours; an unknown number is an error that changes nothing.
        unsafe { libc::signal(signal, disposition) };
    }
}

/// Keeps exactly the capabilities in `mask` (bit n = capability n) across the next `exec`, also for a user other than root:
/// inheritable, permitted, effective and ambient sets (capabilities(7)).
pub fn keep_capabilities(mask: u64) -> io::Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Sets {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    /// _LINUX_CAPABILITY_VERSION_3: two 32-bit words a set.
    const VERSION_3: u32 = 0x2008_0522;
    let header = Header {
        version: VERSION_3,
        pid: 0,
    };
    let word = |bits: u64| Sets {
        effective: bits as u32,
        permitted: bits as u32,
        inheritable: bits as u32,
    };
    let sets = [word(mask), word(mask >> 32)];
    // SAFETY: header and sets have the layout capset(2) documents for version 3 and outlive the call.
    if unsafe { libc::syscall(libc::SYS_capset, &raw const header, sets.as_ptr()) } < 0 {
        return Err(io::Error::last_os_error());
    }
    for capability in (0..64_u64).filter(|bit| mask >> bit & 1 == 1) {
        // SAFETY: PR_CAP_AMBIENT takes integers only.
        if unsafe {
            libc::prctl(
                libc::PR_CAP_AMBIENT,
                libc::PR_CAP_AMBIENT_RAISE,
                capability,
                0_u64,
                0_u64,
            )
        } < 0
        {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Sends one message with `descriptors` attached over a connected Unix socket.
pub fn send_message(socket: BorrowedFd<'_>, bytes: &[u8], descriptors: &[RawFd]) -> io::Result<()> {
    let rights = [ControlMessage::ScmRights(descriptors)];
    let control: &[ControlMessage<'_>] = if descriptors.is_empty() { &[] } else { &rights };
    loop {
        match sendmsg::<()>(
            socket.as_raw_fd(),
            &[IoSlice::new(bytes)],
            control,
            MsgFlags::MSG_NOSIGNAL,
            None,
        ) {
            Ok(_) => return Ok(()),
            Err(nix::Error::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Receives one message of at most `buffer.len()` bytes and the descriptors attached to it; 0 bytes is the end.
///
/// When not all of the descriptors can be opened here, the message is taken, none is, and the error is EMFILE: the kernel then cuts
/// the list short (net/core/scm.c, scm_detach_fds). `nix` would leave those open that it had opened.
pub fn receive_message(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
) -> io::Result<(usize, Vec<OwnedFd>)> {
    /// Words of eight bytes, for the alignment of cmsghdr: its header and all descriptors.
    const WORDS: usize = 3 + MAX_DESCRIPTORS.div_ceil(2);
    let mut control = [0_u64; WORDS];
    let mut part = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: msghdr is plain integers and pointers, for which all zeroes is a value.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = size_of_val(&control);
    let length = loop {
        // SAFETY: the header points to buffers of the lengths it says, which outlive the call.
        let length =
            unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, libc::MSG_CMSG_CLOEXEC) };
        if length >= 0 {
            break length as usize;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    };
    let mut descriptors = Vec::new();
    // SAFETY: the kernel has filled msg_controllen bytes of `control` with whole control messages; CMSG_FIRSTHDR and CMSG_NXTHDR
    // stay within them. Descriptors in an SCM_RIGHTS message were just put into this process; nothing else owns them.
    unsafe {
        let mut next = libc::CMSG_FIRSTHDR(&raw const header);
        while !next.is_null() {
            let (level, kind, size) = (
                (*next).cmsg_level,
                (*next).cmsg_type,
                (*next).cmsg_len as usize,
            );
            if (level, kind) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
                let count = (size - libc::CMSG_LEN(0) as usize) / size_of::<RawFd>();
                let first: *const RawFd = libc::CMSG_DATA(next).cast();
                for index in 0..count {
                    let raw = first.add(index).read_unaligned();
                    descriptors.push(OwnedFd::from_raw_fd(raw));
                }
            }
            next = libc::CMSG_NXTHDR(&raw const header, next);
        }
    }
    if header.msg_flags & libc::MSG_CTRUNC != 0 {
        return Err(io::Error::from_raw_os_error(libc::EMFILE));
    }
    if header.msg_flags & libc::MSG_TRUNC != 0 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the message is larger than this program reads",
        ));
    }
    Ok((length, descriptors))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
    use std::os::fd::AsFd;

    fn pair() -> (OwnedFd, OwnedFd) {
        socketpair(
            AddressFamily::Unix,
            SockType::SeqPacket,
            None,
            SockFlag::SOCK_CLOEXEC,
        )
        .expect("socketpair")
    }

    #[test]
    fn a_descriptor_travels_with_its_message() {
        let (left, right) = pair();
        send_message(left.as_fd(), b"hole", &[left.as_raw_fd()]).expect("send");
        let mut buffer = [0; 16];
        let (length, descriptors) = receive_message(right.as_fd(), &mut buffer).expect("receive");
        assert_eq!(&buffer[..length], b"hole");
        assert_eq!(descriptors.len(), 1);
        send_message(descriptors[0].as_fd(), b"again", &[]).expect("send through the copy");
        assert_eq!(
            receive_message(right.as_fd(), &mut buffer)
                .expect("receive")
                .0,
            5
        );
    }

    #[test]
    fn a_message_that_does_not_fit_is_an_error() {
        let (left, right) = pair();
        send_message(left.as_fd(), b"too long", &[]).expect("send");
        assert!(receive_message(right.as_fd(), &mut [0; 3]).is_err());
    }

    #[test]
    fn a_process_with_threads_is_not_forked() {
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || receiver.recv().is_ok());
        assert_eq!(
            fork(false).expect_err("two threads").raw_os_error(),
            Some(libc::EAGAIN)
        );
        drop(sender);
        thread.join().expect("join");
    }
}
