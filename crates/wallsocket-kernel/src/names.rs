//! Names of the kernel's numbers, both ways.
//!
//! One table per kind of number. A number without a name is printed as a number, never guessed.
//! Sources: linux/socket.h, asm-generic/{errno,socket,poll,fcntl,ioctls}.h, linux/{in,sockios,eventpoll,net_tstamp,netlink,if_ether}.h.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Numbers of one kind with their names; the first name of a number is the one printed.
pub struct Table {
    entries: &'static [(i64, &'static str)],
}

impl Table {
    pub(crate) const fn new(entries: &'static [(i64, &'static str)]) -> Self {
        Self { entries }
    }

    /// The name of `value`, if it has one.
    pub fn name(&self, value: i64) -> Option<&'static str> {
        self.entries
            .iter()
            .find(|entry| entry.0 == value)
            .map(|entry| entry.1)
    }

    /// The number called `name` (exact, as in the kernel's headers).
    pub fn value(&self, name: &str) -> Option<i64> {
        self.entries
            .iter()
            .find(|entry| entry.1 == name)
            .map(|entry| entry.0)
    }

    /// The name of `value`, or the number in decimal.
    pub fn render(&self, value: i64) -> Cow<'static, str> {
        self.name(value)
            .map_or_else(|| Cow::Owned(value.to_string()), Cow::Borrowed)
    }

    /// All entries, in the order of the table.
    pub fn entries(&self) -> &'static [(i64, &'static str)] {
        self.entries
    }
}

/// Bits of one kind with their names. A field of several bits is listed with its mask as one entry.
pub struct Flags {
    bits: &'static [(i64, &'static str)],
}

impl Flags {
    pub(crate) const fn new(bits: &'static [(i64, &'static str)]) -> Self {
        Self { bits }
    }

    /// `A|B|0x80`: the names of the bits set, then what has no name, in hex; `0` when nothing is set.
    ///
    /// An entry counts only when all of its bits are set, so entries of several bits stand before their parts.
    pub fn render(&self, value: u64) -> String {
        let mut rest = value;
        let mut text = String::new();
        for (bits, name) in self.bits {
            let bits = *bits as u64;
            if bits != 0 && rest & bits == bits {
                rest &= !bits;
                if !text.is_empty() {
                    text.push('|');
                }
                text.push_str(name);
            }
        }
        if rest != 0 || text.is_empty() {
            if text.is_empty() && rest == 0 {
                text.push('0');
            } else {
                let separator = if text.is_empty() { "" } else { "|" };
                let _ = write!(text, "{separator}{rest:#x}");
            }
        }
        text
    }

    /// The bits called `name`.
    pub fn value(&self, name: &str) -> Option<u64> {
        self.bits
            .iter()
            .find(|entry| entry.1 == name)
            .map(|entry| entry.0 as u64)
    }

    /// All entries, in the order of the table.
    pub fn entries(&self) -> &'static [(i64, &'static str)] {
        self.bits
    }
}

/// Entries whose number libc knows under the same name.
macro_rules! libc_names {
    ($($name:ident),* $(,)?) => { &[$((libc::$name as i64, stringify!($name))),*] };
}

/// Address families (`AF_`), linux/socket.h.
#[rustfmt::skip]
pub static FAMILIES: Table = Table::new(&[
    (0, "AF_UNSPEC"), (1, "AF_UNIX"), (2, "AF_INET"), (3, "AF_AX25"), (4, "AF_IPX"), (5, "AF_APPLETALK"), (6, "AF_NETROM"),
    (7, "AF_BRIDGE"), (8, "AF_ATMPVC"), (9, "AF_X25"), (10, "AF_INET6"), (11, "AF_ROSE"), (12, "AF_DECnet"), (13, "AF_NETBEUI"),
    (14, "AF_SECURITY"), (15, "AF_KEY"), (16, "AF_NETLINK"), (17, "AF_PACKET"), (18, "AF_ASH"), (19, "AF_ECONET"),
    (20, "AF_ATMSVC"), (21, "AF_RDS"), (22, "AF_SNA"), (23, "AF_IRDA"), (24, "AF_PPPOX"), (25, "AF_WANPIPE"), (26, "AF_LLC"),
    (27, "AF_IB"), (28, "AF_MPLS"), (29, "AF_CAN"), (30, "AF_TIPC"), (31, "AF_BLUETOOTH"), (32, "AF_IUCV"), (33, "AF_RXRPC"),
    (34, "AF_ISDN"), (35, "AF_PHONET"), (36, "AF_IEEE802154"), (37, "AF_CAIF"), (38, "AF_ALG"), (39, "AF_NFC"), (40, "AF_VSOCK"),
    (41, "AF_KCM"), (42, "AF_QIPCRTR"), (43, "AF_SMC"), (44, "AF_XDP"), (45, "AF_MCTP"),
    (1, "AF_LOCAL"), (16, "AF_ROUTE"),
]);

/// Socket types without their flag bits, linux/net.h.
#[rustfmt::skip]
pub static SOCKET_TYPES: Table = Table::new(&[
    (1, "SOCK_STREAM"), (2, "SOCK_DGRAM"), (3, "SOCK_RAW"), (4, "SOCK_RDM"), (5, "SOCK_SEQPACKET"), (6, "SOCK_DCCP"), (10, "SOCK_PACKET"),
]);

/// Bits or-ed into the type argument of socket(), socketpair() and the flags of accept4().
pub static SOCKET_TYPE_FLAGS: Flags = Flags::new(libc_names![SOCK_NONBLOCK, SOCK_CLOEXEC]);

/// The part of socket()'s type argument that is the type (`SOCK_TYPE_MASK` of linux/net.h).
pub const SOCKET_TYPE_MASK: i32 = 0xf;

/// `SOCK_STREAM|SOCK_NONBLOCK`: the type argument of socket() and socketpair().
pub fn render_socket_type(kind: i32) -> String {
    let base = SOCKET_TYPES.render(i64::from(kind & SOCKET_TYPE_MASK));
    let flags = (kind & !SOCKET_TYPE_MASK) as u32;
    if flags == 0 {
        base.into_owned()
    } else {
        format!("{base}|{}", SOCKET_TYPE_FLAGS.render(u64::from(flags)))
    }
}

/// Protocols of AF_INET and AF_INET6, linux/in.h and linux/in6.h.
#[rustfmt::skip]
pub static IP_PROTOCOLS: Table = Table::new(&[
    (0, "IPPROTO_IP"), (1, "IPPROTO_ICMP"), (2, "IPPROTO_IGMP"), (4, "IPPROTO_IPIP"), (6, "IPPROTO_TCP"), (8, "IPPROTO_EGP"),
    (12, "IPPROTO_PUP"), (17, "IPPROTO_UDP"), (22, "IPPROTO_IDP"), (29, "IPPROTO_TP"), (33, "IPPROTO_DCCP"), (41, "IPPROTO_IPV6"),
    (43, "IPPROTO_ROUTING"), (44, "IPPROTO_FRAGMENT"), (46, "IPPROTO_RSVP"), (47, "IPPROTO_GRE"), (50, "IPPROTO_ESP"),
    (51, "IPPROTO_AH"), (58, "IPPROTO_ICMPV6"), (59, "IPPROTO_NONE"), (60, "IPPROTO_DSTOPTS"), (92, "IPPROTO_MTP"),
    (94, "IPPROTO_BEETPH"), (98, "IPPROTO_ENCAP"), (103, "IPPROTO_PIM"), (108, "IPPROTO_COMP"), (115, "IPPROTO_L2TP"),
    (132, "IPPROTO_SCTP"), (135, "IPPROTO_MH"), (136, "IPPROTO_UDPLITE"), (137, "IPPROTO_MPLS"), (143, "IPPROTO_ETHERNET"),
    (144, "IPPROTO_AGGFRAG"), (255, "IPPROTO_RAW"), (256, "IPPROTO_SMC"), (262, "IPPROTO_MPTCP"), (0, "IPPROTO_HOPOPTS"),
]);

/// Protocols of AF_NETLINK, linux/netlink.h.
#[rustfmt::skip]
pub static NETLINK_PROTOCOLS: Table = Table::new(&[
    (0, "NETLINK_ROUTE"), (1, "NETLINK_UNUSED"), (2, "NETLINK_USERSOCK"), (3, "NETLINK_FIREWALL"), (4, "NETLINK_SOCK_DIAG"),
    (5, "NETLINK_NFLOG"), (6, "NETLINK_XFRM"), (7, "NETLINK_SELINUX"), (8, "NETLINK_ISCSI"), (9, "NETLINK_AUDIT"),
    (10, "NETLINK_FIB_LOOKUP"), (11, "NETLINK_CONNECTOR"), (12, "NETLINK_NETFILTER"), (13, "NETLINK_IP6_FW"),
    (14, "NETLINK_DNRTMSG"), (15, "NETLINK_KOBJECT_UEVENT"), (16, "NETLINK_GENERIC"), (18, "NETLINK_SCSITRANSPORT"),
    (19, "NETLINK_ECRYPTFS"), (20, "NETLINK_RDMA"), (21, "NETLINK_CRYPTO"), (22, "NETLINK_SMC"),
]);

/// Ethernet types as AF_PACKET takes them, in host order, linux/if_ether.h.
#[rustfmt::skip]
pub static ETHERNET_TYPES: Table = Table::new(&[
    (0x0001, "ETH_P_802_3"), (0x0003, "ETH_P_ALL"), (0x0004, "ETH_P_802_2"), (0x0800, "ETH_P_IP"), (0x0806, "ETH_P_ARP"),
    (0x8035, "ETH_P_RARP"), (0x8100, "ETH_P_8021Q"), (0x86DD, "ETH_P_IPV6"), (0x8808, "ETH_P_PAUSE"), (0x8847, "ETH_P_MPLS_UC"),
    (0x8848, "ETH_P_MPLS_MC"), (0x8863, "ETH_P_PPP_DISC"), (0x8864, "ETH_P_PPP_SES"), (0x888E, "ETH_P_PAE"), (0x88A8, "ETH_P_8021AD"),
    (0x88B5, "ETH_P_802_EX1"), (0x88B6, "ETH_P_802_EX2"), (0x88CC, "ETH_P_LLDP"), (0x88E5, "ETH_P_MACSEC"), (0x88F7, "ETH_P_1588"),
    (0x9000, "ETH_P_LOOPBACK"),
]);

/// The protocol argument of `socket(family, _, protocol)` by name; families with no table of their own print the number.
pub fn render_protocol(family: i32, protocol: i32) -> Cow<'static, str> {
    let number = i64::from(protocol);
    match family {
        libc::AF_INET | libc::AF_INET6 => IP_PROTOCOLS.render(number),
        libc::AF_NETLINK => NETLINK_PROTOCOLS.render(number),
        libc::AF_PACKET => {
            // The program passes htons(ETH_P_ALL); what it meant is the number in host order.
            let host_order = u16::from_be(protocol as u16);
            match ETHERNET_TYPES.name(i64::from(host_order)) {
                Some(name) if protocol != 0 => Cow::Owned(format!("htons({name})")),
                _ => Cow::Owned(if protocol == 0 {
                    "0".to_owned()
                } else {
                    format!("htons({host_order:#06x})")
                }),
            }
        }
        _ => Cow::Owned(protocol.to_string()),
    }
}

/// Bits of the flags argument and of msg_flags (`MSG_`), linux/socket.h.
#[rustfmt::skip]
pub static MESSAGE_FLAGS: Flags = Flags::new(&[
    (0x01, "MSG_OOB"), (0x02, "MSG_PEEK"), (0x04, "MSG_DONTROUTE"), (0x08, "MSG_CTRUNC"), (0x10, "MSG_PROBE"), (0x20, "MSG_TRUNC"),
    (0x40, "MSG_DONTWAIT"), (0x80, "MSG_EOR"), (0x100, "MSG_WAITALL"), (0x200, "MSG_FIN"), (0x400, "MSG_SYN"), (0x800, "MSG_CONFIRM"),
    (0x1000, "MSG_RST"), (0x2000, "MSG_ERRQUEUE"), (0x4000, "MSG_NOSIGNAL"), (0x8000, "MSG_MORE"), (0x1_0000, "MSG_WAITFORONE"),
    (0x4_0000, "MSG_BATCH"), (0x200_0000, "MSG_SOCK_DEVMEM"), (0x400_0000, "MSG_ZEROCOPY"), (0x2000_0000, "MSG_FASTOPEN"),
    (0x4000_0000, "MSG_CMSG_CLOEXEC"),
]);

/// The second argument of shutdown().
pub static SHUTDOWN: Table = Table::new(libc_names![SHUT_RD, SHUT_WR, SHUT_RDWR]);

/// Error numbers; also the internal ones that a tracer sees at a call's exit (linux/errno.h: ERESTARTSYS and its kin).
#[rustfmt::skip]
pub static ERRORS: Table = Table::new(libc_names![
    EPERM, ENOENT, ESRCH, EINTR, EIO, ENXIO, E2BIG, ENOEXEC, EBADF, ECHILD, EAGAIN, ENOMEM, EACCES, EFAULT, ENOTBLK, EBUSY, EEXIST,
    EXDEV, ENODEV, ENOTDIR, EISDIR, EINVAL, ENFILE, EMFILE, ENOTTY, ETXTBSY, EFBIG, ENOSPC, ESPIPE, EROFS, EMLINK, EPIPE, EDOM,
    ERANGE, EDEADLK, ENAMETOOLONG, ENOLCK, ENOSYS, ENOTEMPTY, ELOOP, ENOMSG, EIDRM, ECHRNG, EL2NSYNC, EL3HLT, EL3RST, ELNRNG,
    EUNATCH, ENOCSI, EL2HLT, EBADE, EBADR, EXFULL, ENOANO, EBADRQC, EBADSLT, EBFONT, ENOSTR, ENODATA, ETIME, ENOSR, ENONET, ENOPKG,
    EREMOTE, ENOLINK, EADV, ESRMNT, ECOMM, EPROTO, EMULTIHOP, EDOTDOT, EBADMSG, EOVERFLOW, ENOTUNIQ, EBADFD, EREMCHG, ELIBACC,
    ELIBBAD, ELIBSCN, ELIBMAX, ELIBEXEC, EILSEQ, ERESTART, ESTRPIPE, EUSERS, ENOTSOCK, EDESTADDRREQ, EMSGSIZE, EPROTOTYPE,
    ENOPROTOOPT, EPROTONOSUPPORT, ESOCKTNOSUPPORT, EOPNOTSUPP, EPFNOSUPPORT, EAFNOSUPPORT, EADDRINUSE, EADDRNOTAVAIL, ENETDOWN,
    ENETUNREACH, ENETRESET, ECONNABORTED, ECONNRESET, ENOBUFS, EISCONN, ENOTCONN, ESHUTDOWN, ETOOMANYREFS, ETIMEDOUT, ECONNREFUSED,
    EHOSTDOWN, EHOSTUNREACH, EALREADY, EINPROGRESS, ESTALE, EUCLEAN, ENOTNAM, ENAVAIL, EISNAM, EREMOTEIO, EDQUOT, ENOMEDIUM,
    EMEDIUMTYPE, ECANCELED, ENOKEY, EKEYEXPIRED, EKEYREVOKED, EKEYREJECTED, EOWNERDEAD, ENOTRECOVERABLE, ERFKILL, EHWPOISON,
    EWOULDBLOCK, EDEADLOCK, ENOTSUP,
]);

/// What a tracer sees instead of EINTR while the kernel decides whether to restart the call (linux/errno.h, never seen by programs).
#[rustfmt::skip]
pub static RESTART_ERRORS: Table = Table::new(&[
    (512, "ERESTARTSYS"), (513, "ERESTARTNOINTR"), (514, "ERESTARTNOHAND"), (515, "ENOIOCTLCMD"), (516, "ERESTART_RESTARTBLOCK"),
]);

/// The name of an error number, positive as in `errno`.
pub fn render_error(number: i32) -> Cow<'static, str> {
    match RESTART_ERRORS.name(i64::from(number)) {
        Some(name) => Cow::Borrowed(name),
        None => ERRORS.render(i64::from(number)),
    }
}

/// States of a TCP socket as sock_diag, TCP_INFO and /proc/net/tcp number them (net/tcp_states.h).
#[rustfmt::skip]
pub static TCP_STATES: Table = Table::new(&[
    (1, "ESTABLISHED"), (2, "SYN_SENT"), (3, "SYN_RECV"), (4, "FIN_WAIT1"), (5, "FIN_WAIT2"), (6, "TIME_WAIT"), (7, "CLOSE"),
    (8, "CLOSE_WAIT"), (9, "LAST_ACK"), (10, "LISTEN"), (11, "CLOSING"), (12, "NEW_SYN_RECV"), (13, "BOUND_INACTIVE"),
]);

/// Bits of tcpi_options (linux/tcp.h).
#[rustfmt::skip]
pub static TCP_INFO_OPTIONS: Flags = Flags::new(&[
    (1, "TIMESTAMPS"), (2, "SACK"), (4, "WSCALE"), (8, "ECN"), (16, "ECN_SEEN"), (32, "SYN_DATA"), (64, "USEC_TS"), (128, "TFO_CHILD"),
]);

/// Bits of struct pollfd, asm-generic/poll.h.
#[rustfmt::skip]
pub static POLL_EVENTS: Flags = Flags::new(&[
    (0x001, "POLLIN"), (0x002, "POLLPRI"), (0x004, "POLLOUT"), (0x008, "POLLERR"), (0x010, "POLLHUP"), (0x020, "POLLNVAL"),
    (0x040, "POLLRDNORM"), (0x080, "POLLRDBAND"), (0x100, "POLLWRNORM"), (0x200, "POLLWRBAND"), (0x400, "POLLMSG"),
    (0x1000, "POLLREMOVE"), (0x2000, "POLLRDHUP"),
]);

/// Bits of struct epoll_event, linux/eventpoll.h.
#[rustfmt::skip]
pub static EPOLL_EVENTS: Flags = Flags::new(&[
    (0x001, "EPOLLIN"), (0x002, "EPOLLPRI"), (0x004, "EPOLLOUT"), (0x008, "EPOLLERR"), (0x010, "EPOLLHUP"), (0x020, "EPOLLNVAL"),
    (0x040, "EPOLLRDNORM"), (0x080, "EPOLLRDBAND"), (0x100, "EPOLLWRNORM"), (0x200, "EPOLLWRBAND"), (0x400, "EPOLLMSG"),
    (0x2000, "EPOLLRDHUP"), (1 << 28, "EPOLLEXCLUSIVE"), (1 << 29, "EPOLLWAKEUP"), (1 << 30, "EPOLLONESHOT"), (1 << 31, "EPOLLET"),
]);

/// The second argument of epoll_ctl().
pub static EPOLL_OPERATIONS: Table =
    Table::new(libc_names![EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD]);

/// The flags of epoll_create1().
pub static EPOLL_CREATE_FLAGS: Flags = Flags::new(libc_names![EPOLL_CLOEXEC]);

/// Commands of fcntl(), asm-generic/fcntl.h and linux/fcntl.h.
#[rustfmt::skip]
pub static FCNTL_COMMANDS: Table = Table::new(&[
    (0, "F_DUPFD"), (1, "F_GETFD"), (2, "F_SETFD"), (3, "F_GETFL"), (4, "F_SETFL"), (5, "F_GETLK"), (6, "F_SETLK"), (7, "F_SETLKW"),
    (8, "F_SETOWN"), (9, "F_GETOWN"), (10, "F_SETSIG"), (11, "F_GETSIG"), (15, "F_SETOWN_EX"), (16, "F_GETOWN_EX"),
    (17, "F_GETOWNER_UIDS"), (36, "F_OFD_GETLK"), (37, "F_OFD_SETLK"), (38, "F_OFD_SETLKW"), (1024, "F_SETLEASE"), (1025, "F_GETLEASE"),
    (1026, "F_NOTIFY"), (1027, "F_DUPFD_QUERY"), (1028, "F_CREATED_QUERY"), (1030, "F_DUPFD_CLOEXEC"), (1031, "F_SETPIPE_SZ"),
    (1032, "F_GETPIPE_SZ"), (1033, "F_ADD_SEALS"), (1034, "F_GET_SEALS"), (1035, "F_GET_RW_HINT"), (1036, "F_SET_RW_HINT"),
    (1037, "F_GET_FILE_RW_HINT"), (1038, "F_SET_FILE_RW_HINT"),
]);

/// Descriptor flags: the value of F_GETFD and F_SETFD.
pub static DESCRIPTOR_FLAGS: Flags = Flags::new(libc_names![FD_CLOEXEC]);

/// Status flags of a descriptor besides its access mode: F_GETFL, F_SETFL, dup3(), pipe2().
#[rustfmt::skip]
pub static STATUS_FLAGS: Flags = Flags::new(libc_names![
    O_SYNC, O_TMPFILE, O_APPEND, O_NONBLOCK, O_DSYNC, O_ASYNC, O_DIRECT, O_LARGEFILE, O_DIRECTORY, O_NOFOLLOW, O_NOATIME, O_CLOEXEC, O_PATH,
]);

/// The value of F_GETFL: the access mode by name, then the status flags.
pub fn render_status_flags(value: i32) -> String {
    let access = match value & libc::O_ACCMODE {
        libc::O_RDONLY => "O_RDONLY",
        libc::O_WRONLY => "O_WRONLY",
        libc::O_RDWR => "O_RDWR",
        _ => "O_ACCMODE",
    };
    // glibc defines O_LARGEFILE as 0 where it means nothing to programs, but the kernel sets its bit on 64-bit machines too.
    let rest = (value & !libc::O_ACCMODE) as u32 & !KERNEL_O_LARGEFILE;
    let large = if value as u32 & KERNEL_O_LARGEFILE == 0 {
        ""
    } else {
        "|O_LARGEFILE"
    };
    if rest == 0 {
        format!("{access}{large}")
    } else {
        format!("{access}|{}{large}", STATUS_FLAGS.render(u64::from(rest)))
    }
}

#[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
const KERNEL_O_LARGEFILE: u32 = 0o100_000;
#[cfg(not(any(target_arch = "x86_64", target_arch = "x86")))]
const KERNEL_O_LARGEFILE: u32 = 0o400_000;

/// Requests of ioctl() that concern sockets: asm-generic/ioctls.h, linux/sockios.h.
#[rustfmt::skip]
pub static IOCTL_REQUESTS: Table = Table::new(&[
    (0x5421, "FIONBIO"), (0x541B, "FIONREAD"), (0x5411, "SIOCOUTQ"), (0x5450, "FIONCLEX"), (0x5451, "FIOCLEX"), (0x5452, "FIOASYNC"),
    (0x8901, "FIOSETOWN"), (0x8902, "SIOCSPGRP"), (0x8903, "FIOGETOWN"), (0x8904, "SIOCGPGRP"), (0x8905, "SIOCATMARK"),
    (0x8906, "SIOCGSTAMP"), (0x8907, "SIOCGSTAMPNS"), (0x890B, "SIOCADDRT"), (0x890C, "SIOCDELRT"), (0x890D, "SIOCRTMSG"),
    (0x8910, "SIOCGIFNAME"), (0x8911, "SIOCSIFLINK"), (0x8912, "SIOCGIFCONF"), (0x8913, "SIOCGIFFLAGS"), (0x8914, "SIOCSIFFLAGS"),
    (0x8915, "SIOCGIFADDR"), (0x8916, "SIOCSIFADDR"), (0x8917, "SIOCGIFDSTADDR"), (0x8918, "SIOCSIFDSTADDR"),
    (0x8919, "SIOCGIFBRDADDR"), (0x891A, "SIOCSIFBRDADDR"), (0x891B, "SIOCGIFNETMASK"), (0x891C, "SIOCSIFNETMASK"),
    (0x891D, "SIOCGIFMETRIC"), (0x891E, "SIOCSIFMETRIC"), (0x891F, "SIOCGIFMEM"), (0x8920, "SIOCSIFMEM"), (0x8921, "SIOCGIFMTU"),
    (0x8922, "SIOCSIFMTU"), (0x8923, "SIOCSIFNAME"), (0x8924, "SIOCSIFHWADDR"), (0x8925, "SIOCGIFENCAP"), (0x8926, "SIOCSIFENCAP"),
    (0x8927, "SIOCGIFHWADDR"), (0x8929, "SIOCGIFSLAVE"), (0x8930, "SIOCSIFSLAVE"), (0x8931, "SIOCADDMULTI"), (0x8932, "SIOCDELMULTI"),
    (0x8933, "SIOCGIFINDEX"), (0x8934, "SIOCSIFPFLAGS"), (0x8935, "SIOCGIFPFLAGS"), (0x8936, "SIOCDIFADDR"),
    (0x8937, "SIOCSIFHWBROADCAST"), (0x8938, "SIOCGIFCOUNT"), (0x8940, "SIOCGIFBR"), (0x8941, "SIOCSIFBR"), (0x8942, "SIOCGIFTXQLEN"),
    (0x8943, "SIOCSIFTXQLEN"), (0x8946, "SIOCETHTOOL"), (0x8947, "SIOCGMIIPHY"), (0x8948, "SIOCGMIIREG"), (0x8949, "SIOCSMIIREG"),
    (0x894A, "SIOCWANDEV"), (0x894B, "SIOCOUTQNSD"), (0x894C, "SIOCGSKNS"), (0x8953, "SIOCDARP"), (0x8954, "SIOCGARP"),
    (0x8955, "SIOCSARP"), (0x8960, "SIOCDRARP"), (0x8961, "SIOCGRARP"), (0x8962, "SIOCSRARP"), (0x8970, "SIOCGIFMAP"),
    (0x8971, "SIOCSIFMAP"), (0x8982, "SIOCGIFVLAN"), (0x8983, "SIOCSIFVLAN"), (0x89A0, "SIOCBRADDBR"), (0x89A1, "SIOCBRDELBR"),
    (0x89A2, "SIOCBRADDIF"), (0x89A3, "SIOCBRDELIF"), (0x89B0, "SIOCSHWTSTAMP"), (0x89B1, "SIOCGHWTSTAMP"), (0x89E0, "SIOCUNIXFILE"),
    (0x541B, "SIOCINQ"), (0x5411, "TIOCOUTQ"),
]);

/// An ioctl request by name, or its number in hex.
pub fn render_ioctl(request: u64) -> Cow<'static, str> {
    IOCTL_REQUESTS
        .name(request as i64)
        .map_or_else(|| Cow::Owned(format!("{request:#x}")), Cow::Borrowed)
}

/// Levels of options and control messages, linux/socket.h.
#[rustfmt::skip]
pub static LEVELS: Table = Table::new(&[
    (0, "IPPROTO_IP"), (1, "SOL_SOCKET"), (6, "IPPROTO_TCP"), (17, "IPPROTO_UDP"), (41, "IPPROTO_IPV6"), (58, "IPPROTO_ICMPV6"),
    (132, "IPPROTO_SCTP"), (136, "IPPROTO_UDPLITE"), (255, "SOL_RAW"), (256, "SOL_IPX"), (257, "SOL_AX25"), (258, "SOL_ATALK"),
    (259, "SOL_NETROM"), (260, "SOL_ROSE"), (261, "SOL_DECNET"), (262, "SOL_X25"), (263, "SOL_PACKET"), (264, "SOL_ATM"),
    (265, "SOL_AAL"), (266, "SOL_IRDA"), (267, "SOL_NETBEUI"), (268, "SOL_LLC"), (269, "SOL_DCCP"), (270, "SOL_NETLINK"),
    (271, "SOL_TIPC"), (272, "SOL_RXRPC"), (273, "SOL_PPPOL2TP"), (274, "SOL_BLUETOOTH"), (275, "SOL_PNPIPE"), (276, "SOL_RDS"),
    (277, "SOL_IUCV"), (278, "SOL_CAIF"), (279, "SOL_ALG"), (280, "SOL_NFC"), (281, "SOL_KCM"), (282, "SOL_TLS"), (283, "SOL_XDP"),
    (284, "SOL_MPTCP"), (285, "SOL_MCTP"), (286, "SOL_SMC"), (287, "SOL_VSOCK"),
    (0, "SOL_IP"), (6, "SOL_TCP"), (17, "SOL_UDP"), (41, "SOL_IPV6"), (58, "SOL_ICMPV6"), (132, "SOL_SCTP"), (136, "SOL_UDPLITE"),
    (255, "IPPROTO_RAW"),
]);

/// Types of control messages by level; where a type is also an option's number it has the SCM_ name.
#[rustfmt::skip]
static CONTROL_SOCKET: Table = Table::new(&[
    (1, "SCM_RIGHTS"), (2, "SCM_CREDENTIALS"), (3, "SCM_SECURITY"), (4, "SCM_PIDFD"), (29, "SCM_TIMESTAMP"), (35, "SCM_TIMESTAMPNS"),
    (36, "SO_MARK"), (37, "SCM_TIMESTAMPING"), (40, "SO_RXQ_OVFL"), (41, "SCM_WIFI_STATUS"), (54, "SCM_TIMESTAMPING_OPT_STATS"),
    (58, "SCM_TIMESTAMPING_PKTINFO"), (61, "SCM_TXTIME"), (63, "SO_TIMESTAMP_NEW"), (64, "SO_TIMESTAMPNS_NEW"),
    (65, "SO_TIMESTAMPING_NEW"), (12, "SO_PRIORITY"), (78, "SO_DEVMEM_LINEAR"), (79, "SO_DEVMEM_DMABUF"), (81, "SCM_TS_OPT_ID"),
    (84, "SCM_INQ"),
]);
#[rustfmt::skip]
static CONTROL_IP: Table = Table::new(&[
    (1, "IP_TOS"), (2, "IP_TTL"), (6, "IP_RECVOPTS"), (7, "IP_RETOPTS"), (8, "IP_PKTINFO"), (11, "IP_RECVERR"), (18, "SCM_SECURITY"),
    (20, "IP_ORIGDSTADDR"), (23, "IP_CHECKSUM"), (25, "IP_RECVFRAGSIZE"), (52, "IP_PROTOCOL"),
]);
#[rustfmt::skip]
static CONTROL_IPV6: Table = Table::new(&[
    (2, "IPV6_2292PKTINFO"), (3, "IPV6_2292HOPOPTS"), (4, "IPV6_2292DSTOPTS"), (5, "IPV6_2292RTHDR"), (8, "IPV6_2292HOPLIMIT"),
    (11, "IPV6_FLOWINFO"), (25, "IPV6_RECVERR"), (50, "IPV6_PKTINFO"), (52, "IPV6_HOPLIMIT"), (54, "IPV6_HOPOPTS"), (55, "IPV6_RTHDRDSTOPTS"),
    (57, "IPV6_RTHDR"), (59, "IPV6_DSTOPTS"), (61, "IPV6_PATHMTU"), (62, "IPV6_DONTFRAG"), (67, "IPV6_TCLASS"), (74, "IPV6_ORIGDSTADDR"),
    (77, "IPV6_RECVFRAGSIZE"),
]);
static CONTROL_TCP: Table = Table::new(&[(36, "TCP_CM_INQ")]);
static CONTROL_UDP: Table = Table::new(&[(103, "UDP_SEGMENT"), (104, "UDP_GRO")]);
static CONTROL_TLS: Table = Table::new(&[(1, "TLS_SET_RECORD_TYPE"), (2, "TLS_GET_RECORD_TYPE")]);
static CONTROL_PACKET: Table = Table::new(&[(8, "PACKET_AUXDATA")]);
static CONTROL_NETLINK: Table =
    Table::new(&[(3, "NETLINK_PKTINFO"), (8, "NETLINK_LISTEN_ALL_NSID")]);
static CONTROL_NONE: Table = Table::new(&[]);

/// The control-message types of a level.
pub fn control_types(level: i32) -> &'static Table {
    match level {
        libc::SOL_SOCKET => &CONTROL_SOCKET,
        libc::IPPROTO_IP => &CONTROL_IP,
        libc::IPPROTO_IPV6 => &CONTROL_IPV6,
        libc::IPPROTO_TCP => &CONTROL_TCP,
        libc::IPPROTO_UDP => &CONTROL_UDP,
        libc::SOL_PACKET => &CONTROL_PACKET,
        libc::SOL_NETLINK => &CONTROL_NETLINK,
        libc::SOL_TLS => &CONTROL_TLS,
        _ => &CONTROL_NONE,
    }
}

/// Where an error of the error queue came from (`ee_origin`), linux/errqueue.h.
#[rustfmt::skip]
pub static ERROR_ORIGINS: Table = Table::new(&[
    (0, "SO_EE_ORIGIN_NONE"), (1, "SO_EE_ORIGIN_LOCAL"), (2, "SO_EE_ORIGIN_ICMP"), (3, "SO_EE_ORIGIN_ICMP6"),
    (4, "SO_EE_ORIGIN_TXSTATUS"), (5, "SO_EE_ORIGIN_ZEROCOPY"), (6, "SO_EE_ORIGIN_TXTIME"),
]);

/// Bits of SO_TIMESTAMPING, linux/net_tstamp.h.
#[rustfmt::skip]
pub static TIMESTAMPING_FLAGS: Flags = Flags::new(&[
    (1, "TX_HARDWARE"), (2, "TX_SOFTWARE"), (4, "RX_HARDWARE"), (8, "RX_SOFTWARE"), (16, "SOFTWARE"), (32, "SYS_HARDWARE"),
    (64, "RAW_HARDWARE"), (128, "OPT_ID"), (256, "TX_SCHED"), (512, "TX_ACK"), (1024, "OPT_CMSG"), (2048, "OPT_TSONLY"),
    (4096, "OPT_STATS"), (8192, "OPT_PKTINFO"), (16384, "OPT_TX_SWHW"), (32768, "BIND_PHC"), (65536, "OPT_ID_TCP"),
    (131_072, "OPT_RX_FILTER"), (262_144, "TX_COMPLETION"),
]);

/// Values of IP_MTU_DISCOVER and IPV6_MTU_DISCOVER.
#[rustfmt::skip]
pub static PATH_MTU_MODES: Table = Table::new(&[
    (0, "PMTUDISC_DONT"), (1, "PMTUDISC_WANT"), (2, "PMTUDISC_DO"), (3, "PMTUDISC_PROBE"), (4, "PMTUDISC_INTERFACE"), (5, "PMTUDISC_OMIT"),
]);

/// Interface flags, linux/if.h.
#[rustfmt::skip]
pub static INTERFACE_FLAGS: Flags = Flags::new(&[
    (0x1, "UP"), (0x2, "BROADCAST"), (0x4, "DEBUG"), (0x8, "LOOPBACK"), (0x10, "POINTOPOINT"), (0x20, "NOTRAILERS"), (0x40, "RUNNING"),
    (0x80, "NOARP"), (0x100, "PROMISC"), (0x200, "ALLMULTI"), (0x400, "MASTER"), (0x800, "SLAVE"), (0x1000, "MULTICAST"),
    (0x2000, "PORTSEL"), (0x4000, "AUTOMEDIA"), (0x8000, "DYNAMIC"), (0x1_0000, "LOWER_UP"), (0x2_0000, "DORMANT"), (0x4_0000, "ECHO"),
]);

/// States of a neighbour entry, linux/neighbour.h.
#[rustfmt::skip]
pub static NEIGHBOUR_STATES: Flags = Flags::new(&[
    (0x01, "INCOMPLETE"), (0x02, "REACHABLE"), (0x04, "STALE"), (0x08, "DELAY"), (0x10, "PROBE"), (0x20, "FAILED"), (0x40, "NOARP"), (0x80, "PERMANENT"),
]);

/// Types of a route, linux/rtnetlink.h.
#[rustfmt::skip]
pub static ROUTE_TYPES: Table = Table::new(&[
    (0, "unspec"), (1, "unicast"), (2, "local"), (3, "broadcast"), (4, "anycast"), (5, "multicast"), (6, "blackhole"), (7, "unreachable"),
    (8, "prohibit"), (9, "throw"), (10, "nat"), (11, "xresolve"),
]);

/// Who made a route (`RTPROT_`), linux/rtnetlink.h.
#[rustfmt::skip]
pub static ROUTE_ORIGINS: Table = Table::new(&[
    (0, "unspec"), (1, "redirect"), (2, "kernel"), (3, "boot"), (4, "static"), (8, "gated"), (9, "ra"), (10, "mrt"), (11, "zebra"), (12, "bird"),
    (13, "dnrouted"), (14, "xorp"), (15, "ntk"), (16, "dhcp"), (18, "keepalived"), (42, "babel"), (186, "bgp"), (187, "isis"), (188, "ospf"),
    (189, "rip"), (192, "eigrp"),
]);

/// How far a route or address reaches, linux/rtnetlink.h.
pub static SCOPES: Table = Table::new(&[
    (0, "global"),
    (200, "site"),
    (253, "link"),
    (254, "host"),
    (255, "nowhere"),
]);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn flags_name_what_they_know_and_show_the_rest() {
        assert_eq!(MESSAGE_FLAGS.render(0x4040), "MSG_DONTWAIT|MSG_NOSIGNAL");
        assert_eq!(MESSAGE_FLAGS.render(0x8000_0040), "MSG_DONTWAIT|0x80000000");
        assert_eq!(MESSAGE_FLAGS.render(0), "0");
        assert_eq!(MESSAGE_FLAGS.render(0x8000_0000), "0x80000000");
        assert_eq!(EPOLL_EVENTS.render(0x8000_0001), "EPOLLIN|EPOLLET");
    }

    #[test]
    fn numbers_without_a_name_stay_numbers() {
        assert_eq!(FAMILIES.render(2), "AF_INET");
        assert_eq!(FAMILIES.render(77), "77");
        assert_eq!(render_error(libc::ECONNREFUSED), "ECONNREFUSED");
        assert_eq!(render_error(512), "ERESTARTSYS");
        assert_eq!(render_error(4000), "4000");
        assert_eq!(render_ioctl(0x5421), "FIONBIO");
        assert_eq!(render_ioctl(0xdead), "0xdead");
    }

    #[test]
    fn arguments_of_socket() {
        assert_eq!(
            render_socket_type(libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC),
            "SOCK_STREAM|SOCK_NONBLOCK|SOCK_CLOEXEC"
        );
        assert_eq!(render_socket_type(9), "9");
        assert_eq!(render_protocol(libc::AF_INET, 6), "IPPROTO_TCP");
        assert_eq!(render_protocol(libc::AF_NETLINK, 4), "NETLINK_SOCK_DIAG");
        assert_eq!(
            render_protocol(libc::AF_PACKET, i32::from(3_u16.to_be())),
            "htons(ETH_P_ALL)"
        );
        assert_eq!(render_protocol(libc::AF_PACKET, 0), "0");
        assert_eq!(render_protocol(libc::AF_UNIX, 0), "0");
        assert_eq!(
            render_status_flags(libc::O_RDWR | libc::O_NONBLOCK),
            "O_RDWR|O_NONBLOCK"
        );
        assert_eq!(render_status_flags(libc::O_RDONLY), "O_RDONLY");
    }

    #[test]
    fn every_table_finds_its_own_names() {
        let tables: [&Table; 14] = [
            &FAMILIES,
            &SOCKET_TYPES,
            &IP_PROTOCOLS,
            &NETLINK_PROTOCOLS,
            &ETHERNET_TYPES,
            &SHUTDOWN,
            &ERRORS,
            &RESTART_ERRORS,
            &TCP_STATES,
            &EPOLL_OPERATIONS,
            &FCNTL_COMMANDS,
            &IOCTL_REQUESTS,
            &LEVELS,
            &ROUTE_TYPES,
        ];
        for table in tables {
            for (value, name) in table.entries() {
                assert_eq!(
                    table.value(name),
                    Some(*value),
                    "{name} stands twice with different numbers"
                );
                assert!(table.name(*value).is_some());
            }
        }
    }
}
