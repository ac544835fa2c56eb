//! The table of socket options, level by level, by number.
//!
//! A line: level, number, name, form of the value, sockets it is for, what it does; then what departs from "can be read and set by
//! anybody at any time". The tests walk the table and read and set each option on live sockets.

use super::FieldKind::{
    Bytes as Raw, I32, I64, Ipv4, Ipv6, Storage, U8, U16, U32, U32BigEndian, U64,
};
use super::Kind::{
    Address, Bool, Bytes, Descriptor, Empty, Error, Int, InterfaceBigEndian, Ipv4 as Ipv4Value,
    Linger, List, Named, PortRange, Struct, TcpInfo, Text, Timeout, Uint, Uint64,
};
use super::When::{BeforeBind, BeforeConnect, Connected, Listening};
use super::applies::{
    ALG, ALL, ANY_IP, ANY_TCP, ANY_UDP, INET, INET6, MPTCP, NETLINK, PACKET, RAW, RAW6, TCP, TCP6,
    UDP, UDP6, UNIX, VSOCK,
};
use super::{Access, Field, FieldKind, Kind, SocketOption, When};
use crate::names::{self, Flags, Table};

const SOCKET: i32 = 1;
const IP: i32 = 0;
const TCP_LEVEL: i32 = 6;
const UDP_LEVEL: i32 = 17;
const IPV6: i32 = 41;
const ICMPV6: i32 = 58;
const RAW_LEVEL: i32 = 255;
const PACKET_LEVEL: i32 = 263;
const NETLINK_LEVEL: i32 = 270;
const ALG_LEVEL: i32 = 279;
const TLS: i32 = 282;
const MPTCP_LEVEL: i32 = 284;
/// AF_VSOCK uses its family number as its level.
const VSOCK_LEVEL: i32 = 40;

const ADMIN: &str = "CAP_NET_ADMIN";
/// `capable()`, which a user namespace cannot give.
const REAL_ADMIN: &str = "CAP_NET_ADMIN of the machine (that of a user namespace is not enough)";
const ADMIN_OR_RAW: &str = "CAP_NET_ADMIN or CAP_NET_RAW";

const fn field(name: &'static str, kind: FieldKind) -> Field {
    Field { name, kind }
}

const fn padding(length: usize) -> Field {
    Field {
        name: "",
        kind: Raw(length),
    }
}

const fn option(
    level: i32,
    number: i32,
    name: &'static str,
    kind: Kind,
    applies: u16,
    meaning: &'static str,
) -> SocketOption {
    SocketOption {
        level,
        number,
        name,
        kind,
        unit: "",
        applies,
        access: Access::ReadWrite,
        when: When::Any,
        since: None,
        privilege: "",
        condition: "",
        secret: false,
        reading_changes: false,
        meaning,
    }
}

const CREDENTIALS: &[Field] = &[field("pid", I32), field("uid", U32), field("gid", U32)];
const TIMESTAMPING: &[Field] = &[
    field("flags", FieldKind::Flags(&names::TIMESTAMPING_FLAGS)),
    field("bind_phc", I32),
];
const MEMORY: &[Field] = &[
    field("receive_allocated", U32),
    field("receive_buffer", U32),
    field("send_allocated", U32),
    field("send_buffer", U32),
    field("forward_allocated", U32),
    field("send_queued", U32),
    field("option_memory", U32),
    field("backlog", U32),
    field("drops", U32),
];
const TRANSMIT_TIME: &[Field] = &[
    field("clockid", I32),
    field("flags", FieldKind::Flags(&TXTIME_FLAGS)),
];
const MEMBERSHIP: &[Field] = &[
    field("group", Ipv4),
    field("address", Ipv4),
    field("interface", I32),
];
/// `struct ip_mreqn`, as IP_MULTICAST_IF takes it.
pub(super) const MULTICAST_INTERFACE: &[Field] = &[
    field("group", Ipv4),
    field("address", Ipv4),
    field("interface", I32),
];
const SOURCE_MEMBERSHIP: &[Field] = &[
    field("group", Ipv4),
    field("interface", Ipv4),
    field("source", Ipv4),
];
const GROUP: &[Field] = &[field("interface", U32), padding(4), field("group", Storage)];
const GROUP_SOURCE: &[Field] = &[
    field("interface", U32),
    padding(4),
    field("group", Storage),
    field("source", Storage),
];
const PACKET_INFO6: &[Field] = &[field("address", Ipv6), field("interface", U32)];
const MEMBERSHIP6: &[Field] = &[field("group", Ipv6), field("interface", I32)];
const PATH_MTU6: &[Field] = &[field("address", Raw(28)), field("mtu", U32)];
const FLOW_LABEL: &[Field] = &[
    field("destination", Ipv6),
    field("label", U32BigEndian),
    field("action", U8),
    field("share", U8),
    field("flags", U16),
    field("expires", U16),
    field("linger", U16),
    padding(4),
];
const REPAIR_WINDOW: &[Field] = &[
    field("snd_wl1", U32),
    field("snd_wnd", U32),
    field("max_window", U32),
    field("rcv_wnd", U32),
    field("rcv_wup", U32),
];
const ZEROCOPY_RECEIVE: &[Field] = &[
    field("address", U64),
    field("length", U32),
    field("recv_skip_hint", U32),
    field("inq", U32),
    field("err", I32),
    field("copybuf_address", U64),
    field("copybuf_len", I32),
    field("flags", U32),
    field("msg_control", U64),
    field("msg_controllen", U64),
    field("msg_flags", U32),
    padding(4),
];
const PACKET_MEMBERSHIP: &[Field] = &[
    field("interface", I32),
    field("type", U16),
    field("length", U16),
    field("address", Raw(8)),
];
const PACKET_RING: &[Field] = &[
    field("block_size", U32),
    field("block_count", U32),
    field("frame_size", U32),
    field("frame_count", U32),
    field("block_timeout_ms", U32),
    field("private_size", U32),
    field("features", U32),
];
const PACKET_STATISTICS: &[Field] = &[
    field("packets", U32),
    field("drops", U32),
    field("freezes", U32),
];
const ROLLOVER_STATISTICS: &[Field] =
    &[field("all", U64), field("huge", U64), field("failed", U64)];
const VSOCK_TIME: &[Field] = &[field("seconds", I64), field("microseconds", I64)];

#[rustfmt::skip]
static TXTIME_FLAGS: Flags = Flags::new(&[(1, "DEADLINE_MODE"), (2, "REPORT_ERRORS")]);
#[rustfmt::skip]
static BUFFER_LOCK_FLAGS: Flags = Flags::new(&[(1, "SNDBUF"), (2, "RCVBUF")]);
#[rustfmt::skip]
static ADDRESS_PREFERENCES: Flags = Flags::new(&[
    (0x1, "TMP"), (0x2, "PUBLIC"), (0x100, "PUBTMP_DEFAULT"), (0x4, "COA"), (0x400, "HOME"), (0x8, "CGA"), (0x800, "NONCGA"),
]);
#[rustfmt::skip]
static PACKET_VERSIONS: Table = Table::new(&[(0, "TPACKET_V1"), (1, "TPACKET_V2"), (2, "TPACKET_V3")]);
#[rustfmt::skip]
static ENCAPSULATIONS: Table = Table::new(&[
    (0, "none"), (1, "ESPINUDP_NON_IKE"), (2, "ESPINUDP"), (3, "L2TPINUDP"), (4, "GTP0"), (5, "GTP1U"), (6, "RXRPC"), (7, "ESPINTCP"),
]);
static REPAIR_QUEUES: Table = Table::new(&[
    (0, "TCP_NO_QUEUE"),
    (1, "TCP_RECV_QUEUE"),
    (2, "TCP_SEND_QUEUE"),
]);
static REPAIR_MODES: Table = Table::new(&[
    (-1, "TCP_REPAIR_OFF_NO_WP"),
    (0, "TCP_REPAIR_OFF"),
    (1, "TCP_REPAIR_ON"),
]);
#[rustfmt::skip]
/// ICMP types that a raw socket does not want, as bits (raw(7)).
static ICMP_TYPES: Flags = Flags::new(&[
    (1 << 0, "ECHOREPLY"), (1 << 3, "DEST_UNREACH"), (1 << 4, "SOURCE_QUENCH"), (1 << 5, "REDIRECT"), (1 << 8, "ECHO"), (1 << 11, "TIME_EXCEEDED"),
    (1 << 12, "PARAMETERPROB"), (1 << 13, "TIMESTAMP"), (1 << 14, "TIMESTAMPREPLY"), (1 << 17, "ADDRESS"), (1 << 18, "ADDRESSREPLY"),
]);

/// Every option, grouped by level, in the order of the numbers.
#[rustfmt::skip]
pub static OPTIONS: &[SocketOption] = &[
    // SOL_SOCKET
    option(SOCKET, 1, "SO_DEBUG", Bool, ALL, "Lets the protocol log what it does, where the kernel was built for that.").privilege(REAL_ADMIN),
    option(SOCKET, 2, "SO_REUSEADDR", Bool, ALL, "Lets bind take a port that only old connections or sockets with the same option hold.").when(BeforeBind),
    option(SOCKET, 3, "SO_TYPE", Named(&names::SOCKET_TYPES), ALL, "The type that socket() was called with.").read_only(),
    option(SOCKET, 4, "SO_ERROR", Error, ALL, "The error that waits at the socket, such as that of a connect in the background.").read_only().reading_changes().condition("reading takes the error away"),
    option(SOCKET, 5, "SO_DONTROUTE", Bool, ALL, "Sends only to hosts on a directly attached network, past all gateways."),
    option(SOCKET, 6, "SO_BROADCAST", Bool, ALL, "Allows sending to broadcast addresses."),
    option(SOCKET, 7, "SO_SNDBUF", Int, ALL, "Room for data on its way out; the kernel doubles what is asked, caps it at net.core.wmem_max, and stops tuning it.").unit("bytes"),
    option(SOCKET, 8, "SO_RCVBUF", Int, ALL, "Room for arrived data; the kernel doubles what is asked, caps it at net.core.rmem_max, and stops tuning it.").unit("bytes").when(BeforeConnect),
    option(SOCKET, 9, "SO_KEEPALIVE", Bool, ALL, "Probes an idle connection to find out whether the peer is still there."),
    option(SOCKET, 10, "SO_OOBINLINE", Bool, ALL, "Leaves urgent data in its place in the stream."),
    option(SOCKET, 11, "SO_NO_CHECK", Bool, ALL, "Leaves the checksum of UDP over IPv4 out."),
    option(SOCKET, 12, "SO_PRIORITY", Int, ALL, "Priority of outgoing packets in the queueing discipline.").privilege("CAP_NET_ADMIN or CAP_NET_RAW above 6"),
    option(SOCKET, 13, "SO_LINGER", Linger, ALL, "What close does with unsent data: wait for it so long, or with 0 seconds throw it away and reset the connection.").unit("seconds"),
    option(SOCKET, 14, "SO_BSDCOMPAT", Bool, ALL, "Does nothing any more.").condition("ignored"),
    option(SOCKET, 15, "SO_REUSEPORT", Bool, ANY_IP, "Lets sockets of one user share an address; the kernel spreads arrivals over them.").when(BeforeBind).since(3, 9),
    option(SOCKET, 16, "SO_PASSCRED", Bool, UNIX | NETLINK, "Delivers the sender's process, user and group as a control message."),
    option(SOCKET, 17, "SO_PEERCRED", Struct(CREDENTIALS), UNIX, "Process, user and group of the peer when it connected, listened or made the pair.").read_only(),
    option(SOCKET, 18, "SO_RCVLOWAT", Int, ALL, "How many bytes must wait before a stream counts as readable.").unit("bytes"),
    option(SOCKET, 19, "SO_SNDLOWAT", Int, ALL, "How much room makes a socket writable; always 1 on Linux.").unit("bytes").read_only(),
    option(SOCKET, 20, "SO_RCVTIMEO", Timeout, ALL, "How long a receive or accept may block before it fails with EAGAIN."),
    option(SOCKET, 21, "SO_SNDTIMEO", Timeout, ALL, "How long a send or connect may block before it fails with EAGAIN or EINPROGRESS."),
    option(SOCKET, 25, "SO_BINDTODEVICE", Text, ANY_IP | UNIX, "Sends and receives through this interface only.").privilege("CAP_NET_RAW to change a binding"),
    option(SOCKET, 26, "SO_ATTACH_FILTER", Bytes, ALL, "Attaches a classic BPF program that decides which packets the socket receives.").condition("setting takes a pointer to the program"),
    option(SOCKET, 27, "SO_DETACH_FILTER", Empty, ALL, "Removes the attached filter.").write_only().condition("a filter is attached"),
    option(SOCKET, 28, "SO_PEERNAME", Address, ANY_IP | UNIX | VSOCK, "The peer's address, as getpeername returns it.").read_only().when(Connected),
    option(SOCKET, 29, "SO_TIMESTAMP", Bool, ALL, "Delivers the time of arrival in microseconds as a control message."),
    option(SOCKET, 30, "SO_ACCEPTCONN", Bool, ALL, "Whether the socket listens.").read_only(),
    option(SOCKET, 31, "SO_PEERSEC", Text, ANY_TCP | UNIX, "Security label of the peer.").read_only().condition("a security module that labels sockets"),
    option(SOCKET, 32, "SO_SNDBUFFORCE", Int, ALL, "Like SO_SNDBUF, beyond net.core.wmem_max.").unit("bytes").write_only().privilege(REAL_ADMIN),
    option(SOCKET, 33, "SO_RCVBUFFORCE", Int, ALL, "Like SO_RCVBUF, beyond net.core.rmem_max.").unit("bytes").write_only().privilege(REAL_ADMIN),
    option(SOCKET, 34, "SO_PASSSEC", Bool, UNIX, "Delivers the sender's security label as a control message."),
    option(SOCKET, 35, "SO_TIMESTAMPNS", Bool, ALL, "Delivers the time of arrival in nanoseconds as a control message."),
    option(SOCKET, 36, "SO_MARK", Uint, ALL, "A number on each outgoing packet for routing and firewall rules.").privilege(ADMIN_OR_RAW),
    option(SOCKET, 37, "SO_TIMESTAMPING", Struct(TIMESTAMPING), ALL, "Asks for time stamps of arrival and of the stages of sending.").since(2, 6),
    option(SOCKET, 38, "SO_PROTOCOL", Int, ALL, "The protocol number of the socket.").read_only(),
    option(SOCKET, 39, "SO_DOMAIN", Named(&names::FAMILIES), ALL, "The address family of the socket.").read_only(),
    option(SOCKET, 40, "SO_RXQ_OVFL", Bool, ALL, "Delivers, with each datagram, how many were dropped for want of room."),
    option(SOCKET, 41, "SO_WIFI_STATUS", Bool, ALL, "Reports whether a wireless frame was acknowledged.").since(3, 3),
    option(SOCKET, 42, "SO_PEEK_OFF", Int, UNIX | ANY_UDP, "Where in the queue MSG_PEEK looks next; -1 is off.").unit("bytes").since(3, 4),
    option(SOCKET, 43, "SO_NOFCS", Bool, PACKET, "Takes the last four bytes of a frame as its check sequence.").since(3, 4),
    option(SOCKET, 44, "SO_LOCK_FILTER", Bool, ALL, "Makes the attached filter unchangeable; cannot be undone.").since(3, 9),
    option(SOCKET, 45, "SO_SELECT_ERR_QUEUE", Bool, ALL, "Makes poll report POLLPRI when the error queue has entries.").since(3, 10),
    option(SOCKET, 46, "SO_BUSY_POLL", Int, ALL, "How long a receive polls the device's queue before it sleeps.").unit("µs").privilege("CAP_NET_ADMIN of the machine to raise it").since(3, 11),
    option(SOCKET, 47, "SO_MAX_PACING_RATE", Uint, ALL, "Highest rate at which packets are paced out.").unit("bytes/s").since(3, 13),
    option(SOCKET, 48, "SO_BPF_EXTENSIONS", Int, ALL, "How many BPF extensions the kernel has.").read_only().since(3, 14),
    option(SOCKET, 49, "SO_INCOMING_CPU", Int, ALL, "The processor that last handled a packet of this socket; set, it prefers this socket of a SO_REUSEPORT group there.").since(3, 19),
    option(SOCKET, 50, "SO_ATTACH_BPF", Descriptor, ALL, "Attaches a BPF program by descriptor as the socket's filter.").write_only().since(3, 19).condition("a loaded BPF program"),
    option(SOCKET, 51, "SO_ATTACH_REUSEPORT_CBPF", Bytes, ANY_IP, "Attaches a classic BPF program that picks the socket of a SO_REUSEPORT group.").write_only().since(4, 5).condition("SO_REUSEPORT is on"),
    option(SOCKET, 52, "SO_ATTACH_REUSEPORT_EBPF", Descriptor, ANY_IP, "Attaches a BPF program by descriptor that picks the socket of a SO_REUSEPORT group.").write_only().since(4, 5).condition("SO_REUSEPORT is on and a loaded BPF program"),
    option(SOCKET, 53, "SO_CNX_ADVICE", Int, ANY_IP, "1 tells the kernel that the path looks bad, so that it tries another route.").write_only().since(4, 6),
    option(SOCKET, 55, "SO_MEMINFO", Struct(MEMORY), ALL, "Memory the socket holds and packets it dropped.").read_only().since(4, 12),
    option(SOCKET, 56, "SO_INCOMING_NAPI_ID", Int, ALL, "The device queue that last delivered a packet to this socket.").read_only().since(4, 12),
    option(SOCKET, 57, "SO_COOKIE", Uint64, ALL, "The socket's number: unique on this machine until it restarts.").read_only().since(4, 12),
    option(SOCKET, 59, "SO_PEERGROUPS", List, UNIX, "Supplementary groups of the peer.").read_only().when(Connected).since(4, 13),
    option(SOCKET, 60, "SO_ZEROCOPY", Bool, ANY_TCP | ANY_UDP | VSOCK, "Lets MSG_ZEROCOPY send from the program's own memory.").since(4, 14),
    option(SOCKET, 61, "SO_TXTIME", Struct(TRANSMIT_TIME), ALL, "Lets a control message say when a packet is to leave.").privilege("CAP_NET_ADMIN for clocks other than the monotonic").since(4, 19),
    option(SOCKET, 62, "SO_BINDTOIFINDEX", Int, ANY_IP | UNIX, "Like SO_BINDTODEVICE, by interface number.").privilege("CAP_NET_RAW to change a binding").since(5, 1),
    option(SOCKET, 63, "SO_TIMESTAMP_NEW", Bool, ALL, "SO_TIMESTAMP with 64-bit seconds on every machine.").since(5, 1),
    option(SOCKET, 64, "SO_TIMESTAMPNS_NEW", Bool, ALL, "SO_TIMESTAMPNS with 64-bit seconds on every machine.").since(5, 1),
    option(SOCKET, 65, "SO_TIMESTAMPING_NEW", Struct(TIMESTAMPING), ALL, "SO_TIMESTAMPING with 64-bit seconds on every machine.").since(5, 1),
    option(SOCKET, 66, "SO_RCVTIMEO_NEW", Timeout, ALL, "SO_RCVTIMEO with 64-bit seconds on every machine.").since(5, 1),
    option(SOCKET, 67, "SO_SNDTIMEO_NEW", Timeout, ALL, "SO_SNDTIMEO with 64-bit seconds on every machine.").since(5, 1),
    option(SOCKET, 68, "SO_DETACH_REUSEPORT_BPF", Empty, ANY_IP, "Removes the program that picks the socket of a SO_REUSEPORT group.").write_only().since(5, 3).condition("such a program is attached"),
    option(SOCKET, 69, "SO_PREFER_BUSY_POLL", Bool, ALL, "Prefers busy polling of the device over its interrupts.").privilege("CAP_NET_ADMIN of the machine to switch it on").since(5, 11),
    option(SOCKET, 70, "SO_BUSY_POLL_BUDGET", Int, ALL, "How many packets one busy poll may take.").unit("packets").write_only().privilege("CAP_NET_ADMIN of the machine to raise it").since(5, 11),
    option(SOCKET, 71, "SO_NETNS_COOKIE", Uint64, ALL, "Number of the network namespace that the socket lives in.").read_only().since(5, 14),
    option(SOCKET, 72, "SO_BUF_LOCK", Kind::Flags(&BUFFER_LOCK_FLAGS), ALL, "Which buffers keep their size instead of being tuned by the kernel.").since(5, 15),
    option(SOCKET, 73, "SO_RESERVE_MEM", Int, ANY_IP, "Memory set aside for this socket alone.").unit("bytes").since(5, 17).condition("setting needs a memory control group"),
    option(SOCKET, 74, "SO_TXREHASH", Int, ANY_TCP, "Whether a connection in trouble may change its flow hash: 0 no, 1 yes, 255 as the system says.").since(6, 0),
    option(SOCKET, 75, "SO_RCVMARK", Bool, ALL, "Delivers the mark of an arrived packet as a control message.").privilege(ADMIN_OR_RAW).since(6, 0),
    option(SOCKET, 76, "SO_PASSPIDFD", Bool, UNIX, "Delivers a descriptor of the sending process as a control message.").since(6, 5),
    option(SOCKET, 77, "SO_PEERPIDFD", Descriptor, UNIX, "A descriptor of the peer's process.").read_only().when(Connected).since(6, 5).reading_changes().condition("reading makes a descriptor"),
    option(SOCKET, 80, "SO_DEVMEM_DONTNEED", Bytes, ANY_TCP, "Returns device memory that held received data.").write_only().since(6, 12).condition("device memory is bound to the queue"),
    option(SOCKET, 82, "SO_RCVPRIORITY", Bool, ALL, "Delivers the priority of an arrived packet as a control message.").since(6, 14),
    option(SOCKET, 83, "SO_PASSRIGHTS", Bool, UNIX, "Whether descriptors may arrive; on from the start.").since(6, 16),
    option(SOCKET, 84, "SO_INQ", Bool, UNIX, "Delivers the number of bytes that still wait as a control message.").write_only().since(6, 17).condition("a stream socket"),

    // IPPROTO_IP
    option(IP, 1, "IP_TOS", Int, INET, "Type-of-service byte of outgoing packets: DSCP and ECN."),
    option(IP, 2, "IP_TTL", Int, INET, "Hops that an outgoing packet may take; -1 sets the default.").unit("hops"),
    option(IP, 3, "IP_HDRINCL", Bool, RAW, "The program writes the IP header itself."),
    option(IP, 4, "IP_OPTIONS", Bytes, INET, "IP options on outgoing packets."),
    option(IP, 5, "IP_ROUTER_ALERT", Bool, RAW, "Hands packets with the router-alert option to this socket."),
    option(IP, 6, "IP_RECVOPTS", Bool, INET, "Delivers the IP options of arrived packets as a control message."),
    option(IP, 7, "IP_RETOPTS", Bool, INET, "Delivers the IP options of arrived packets in the form to answer with."),
    option(IP, 8, "IP_PKTINFO", Bool, INET, "Delivers interface and destination address of each datagram as a control message."),
    option(IP, 9, "IP_PKTOPTIONS", Bytes, TCP, "The latest control messages of a stream.").read_only(),
    option(IP, 10, "IP_MTU_DISCOVER", Named(&names::PATH_MTU_MODES), INET, "Whether packets may be fragmented, and whether the path's MTU is found out."),
    option(IP, 11, "IP_RECVERR", Bool, INET, "Queues ICMP errors and others with their details for MSG_ERRQUEUE."),
    option(IP, 12, "IP_RECVTTL", Bool, INET, "Delivers the TTL of each datagram as a control message."),
    option(IP, 13, "IP_RECVTOS", Bool, INET, "Delivers the type-of-service byte of each datagram as a control message."),
    option(IP, 14, "IP_MTU", Int, INET, "The MTU that the path to the peer is known to have.").unit("bytes").read_only().when(Connected),
    option(IP, 15, "IP_FREEBIND", Bool, INET, "Lets bind take an address that no interface has yet.").when(BeforeBind),
    option(IP, 16, "IP_IPSEC_POLICY", Bytes, INET, "IPsec policy of the socket, in the form of key management.").write_only().privilege(ADMIN).secret(),
    option(IP, 17, "IP_XFRM_POLICY", Bytes, INET, "IPsec policy of the socket, in the kernel's own form.").write_only().privilege(ADMIN).secret(),
    option(IP, 18, "IP_PASSSEC", Bool, INET, "Delivers the security label of each datagram as a control message."),
    option(IP, 19, "IP_TRANSPARENT", Bool, INET, "Lets the socket use addresses that are not this machine's.").when(BeforeBind).privilege(ADMIN_OR_RAW),
    option(IP, 20, "IP_RECVORIGDSTADDR", Bool, INET, "Delivers the original destination of redirected datagrams as a control message."),
    option(IP, 21, "IP_MINTTL", Int, INET, "Drops packets that arrive with a lower TTL.").unit("hops"),
    option(IP, 22, "IP_NODEFRAG", Bool, RAW, "Leaves outgoing fragments of the program's own making as they are.").condition("a raw socket"),
    option(IP, 23, "IP_CHECKSUM", Bool, INET, "Delivers the checksum of each datagram as a control message.").since(4, 0),
    option(IP, 24, "IP_BIND_ADDRESS_NO_PORT", Bool, INET, "Puts the choice of the port off from bind to connect, where more ports are free.").when(BeforeBind).since(4, 2),
    option(IP, 25, "IP_RECVFRAGSIZE", Bool, UDP | RAW, "Delivers the size of the largest fragment of each datagram as a control message.").since(4, 11),
    option(IP, 26, "IP_RECVERR_RFC4884", Bool, INET, "Points out the extension part of a queued ICMP error.").since(5, 9),
    option(IP, 32, "IP_MULTICAST_IF", Ipv4Value, UDP | RAW, "The interface, by its address or number, that multicast leaves by."),
    option(IP, 33, "IP_MULTICAST_TTL", Int, UDP | RAW, "Hops that an outgoing multicast packet may take; 1 keeps it on the link.").unit("hops"),
    option(IP, 34, "IP_MULTICAST_LOOP", Bool, UDP | RAW, "Whether this machine receives its own multicast; set at the sender."),
    option(IP, 35, "IP_ADD_MEMBERSHIP", Struct(MEMBERSHIP), UDP | RAW, "Joins a multicast group on an interface.").write_only(),
    option(IP, 36, "IP_DROP_MEMBERSHIP", Struct(MEMBERSHIP), UDP | RAW, "Leaves a multicast group.").write_only(),
    option(IP, 37, "IP_UNBLOCK_SOURCE", Struct(SOURCE_MEMBERSHIP), UDP | RAW, "Accepts a sender of a joined group again.").write_only(),
    option(IP, 38, "IP_BLOCK_SOURCE", Struct(SOURCE_MEMBERSHIP), UDP | RAW, "Refuses one sender of a joined group.").write_only(),
    option(IP, 39, "IP_ADD_SOURCE_MEMBERSHIP", Struct(SOURCE_MEMBERSHIP), UDP | RAW, "Joins a multicast group for one sender.").write_only(),
    option(IP, 40, "IP_DROP_SOURCE_MEMBERSHIP", Struct(SOURCE_MEMBERSHIP), UDP | RAW, "Leaves a multicast group of one sender.").write_only(),
    option(IP, 41, "IP_MSFILTER", Bytes, UDP | RAW, "The whole list of accepted or refused senders of a joined group.").condition("the group is joined"),
    option(IP, 42, "MCAST_JOIN_GROUP", Struct(GROUP), UDP | RAW, "Joins a multicast group on a numbered interface.").write_only(),
    option(IP, 43, "MCAST_BLOCK_SOURCE", Struct(GROUP_SOURCE), UDP | RAW, "Refuses one sender of a joined group.").write_only(),
    option(IP, 44, "MCAST_UNBLOCK_SOURCE", Struct(GROUP_SOURCE), UDP | RAW, "Accepts a sender of a joined group again.").write_only(),
    option(IP, 45, "MCAST_LEAVE_GROUP", Struct(GROUP), UDP | RAW, "Leaves a multicast group.").write_only(),
    option(IP, 46, "MCAST_JOIN_SOURCE_GROUP", Struct(GROUP_SOURCE), UDP | RAW, "Joins a multicast group for one sender.").write_only(),
    option(IP, 47, "MCAST_LEAVE_SOURCE_GROUP", Struct(GROUP_SOURCE), UDP | RAW, "Leaves a multicast group of one sender.").write_only(),
    option(IP, 48, "MCAST_MSFILTER", Bytes, UDP | RAW, "The whole list of accepted or refused senders of a joined group.").condition("the group is joined"),
    option(IP, 49, "IP_MULTICAST_ALL", Bool, INET, "Whether the socket gets every group joined on the machine; off, only its own.").since(2, 6),
    option(IP, 50, "IP_UNICAST_IF", InterfaceBigEndian, INET, "The interface that unicast leaves by, by number.").since(3, 4),
    option(IP, 51, "IP_LOCAL_PORT_RANGE", PortRange, INET, "The ports from which this socket's own port is chosen; 0 is the system's.").when(BeforeBind).since(6, 3),
    option(IP, 52, "IP_PROTOCOL", Int, RAW, "The protocol number of a raw socket.").read_only().since(6, 4),
    option(IP, 80, "SO_ORIGINAL_DST", Address, TCP, "Where a redirected connection was meant to go.").read_only().when(Connected).condition("connection tracking saw the connection"),

    // IPPROTO_TCP
    option(TCP_LEVEL, 1, "TCP_NODELAY", Bool, ANY_TCP, "Sends small pieces at once instead of waiting for the acknowledgement of earlier ones (Nagle)."),
    option(TCP_LEVEL, 2, "TCP_MAXSEG", Int, ANY_TCP, "Largest segment to send; before the handshake also the one advertised.").unit("bytes").when(BeforeConnect),
    option(TCP_LEVEL, 3, "TCP_CORK", Bool, ANY_TCP, "Holds back partial segments until it is switched off or 200 ms have passed."),
    option(TCP_LEVEL, 4, "TCP_KEEPIDLE", Int, ANY_TCP, "Idle time before the first keepalive probe.").unit("seconds"),
    option(TCP_LEVEL, 5, "TCP_KEEPINTVL", Int, ANY_TCP, "Time between keepalive probes.").unit("seconds"),
    option(TCP_LEVEL, 6, "TCP_KEEPCNT", Int, ANY_TCP, "Unanswered keepalive probes after which the connection is given up.").unit("probes"),
    option(TCP_LEVEL, 7, "TCP_SYNCNT", Int, ANY_TCP, "How often connect repeats its SYN before it times out.").unit("retries").when(BeforeConnect),
    option(TCP_LEVEL, 8, "TCP_LINGER2", Int, ANY_TCP, "How long a closed socket stays in FIN_WAIT2 for the peer's close; negative is not at all.").unit("seconds"),
    option(TCP_LEVEL, 9, "TCP_DEFER_ACCEPT", Int, ANY_TCP, "Hands a connection to accept only when data came, for at most about this long.").unit("seconds").when(Listening),
    option(TCP_LEVEL, 10, "TCP_WINDOW_CLAMP", Int, ANY_TCP, "Upper limit of the receive window.").unit("bytes"),
    option(TCP_LEVEL, 11, "TCP_INFO", TcpInfo, ANY_TCP, "Everything the kernel measures about the connection.").read_only(),
    option(TCP_LEVEL, 12, "TCP_QUICKACK", Bool, ANY_TCP, "Acknowledges at once instead of delayed, until the kernel decides otherwise."),
    option(TCP_LEVEL, 13, "TCP_CONGESTION", Text, ANY_TCP, "The congestion-control algorithm by name.").privilege("CAP_NET_ADMIN for algorithms that are not in tcp_allowed_congestion_control"),
    option(TCP_LEVEL, 14, "TCP_MD5SIG", Bytes, ANY_TCP, "Key for signing segments to one peer by MD5 (RFC 2385).").write_only().secret().condition("the kernel was built for it"),
    option(TCP_LEVEL, 16, "TCP_THIN_LINEAR_TIMEOUTS", Bool, ANY_TCP, "Does not double the retransmission timeout of a connection with little data in flight."),
    option(TCP_LEVEL, 17, "TCP_THIN_DUPACK", Bool, ANY_TCP, "Does nothing any more.").condition("ignored since Linux 4.13"),
    option(TCP_LEVEL, 18, "TCP_USER_TIMEOUT", Uint, ANY_TCP, "How long sent data may stay unacknowledged before the connection is given up.").unit("ms"),
    option(TCP_LEVEL, 19, "TCP_REPAIR", Named(&REPAIR_MODES), ANY_TCP, "Takes the state of a connection apart so that it can move to another machine.").privilege(ADMIN).since(3, 5),
    option(TCP_LEVEL, 20, "TCP_REPAIR_QUEUE", Named(&REPAIR_QUEUES), ANY_TCP, "The queue that repair works on.").privilege(ADMIN).since(3, 5).condition("TCP_REPAIR is on"),
    option(TCP_LEVEL, 21, "TCP_QUEUE_SEQ", Uint, ANY_TCP, "Sequence number of the queue under repair.").privilege(ADMIN).since(3, 5).condition("TCP_REPAIR is on and a queue chosen"),
    option(TCP_LEVEL, 22, "TCP_REPAIR_OPTIONS", Bytes, ANY_TCP, "Handshake options of a repaired connection.").write_only().privilege(ADMIN).since(3, 5).condition("TCP_REPAIR is on"),
    option(TCP_LEVEL, 23, "TCP_FASTOPEN", Int, ANY_TCP, "Lets a listener take data in the SYN; the number limits how many such connections may wait.").unit("connections").when(Listening).since(3, 6),
    option(TCP_LEVEL, 24, "TCP_TIMESTAMP", Uint, ANY_TCP, "The clock that goes into the timestamp option.").since(3, 9).condition("setting needs TCP_REPAIR"),
    option(TCP_LEVEL, 25, "TCP_NOTSENT_LOWAT", Uint, ANY_TCP, "Above so many unsent bytes the socket does not count as writable.").unit("bytes").since(3, 12),
    option(TCP_LEVEL, 26, "TCP_CC_INFO", Bytes, ANY_TCP, "Figures of the congestion-control algorithm; their form depends on it.").read_only().since(4, 1),
    option(TCP_LEVEL, 27, "TCP_SAVE_SYN", Int, ANY_TCP, "Makes a listener keep the headers of each SYN; 2 keeps the link-layer header too.").when(Listening).since(4, 3),
    option(TCP_LEVEL, 28, "TCP_SAVED_SYN", Bytes, ANY_TCP, "Headers of the SYN that began this accepted connection.").read_only().reading_changes().since(4, 3).condition("reading drops the copy"),
    option(TCP_LEVEL, 29, "TCP_REPAIR_WINDOW", Struct(REPAIR_WINDOW), ANY_TCP, "Windows of a repaired connection.").privilege(ADMIN).since(4, 8).condition("TCP_REPAIR is on"),
    option(TCP_LEVEL, 30, "TCP_FASTOPEN_CONNECT", Bool, ANY_TCP, "Puts connect off until the first data, which then goes into the SYN.").when(BeforeConnect).since(4, 11),
    option(TCP_LEVEL, 31, "TCP_ULP", Text, ANY_TCP, "A protocol of the kernel on top of TCP, such as \"tls\".").when(Connected).condition("the protocol is built into the kernel or loaded").since(4, 13),
    option(TCP_LEVEL, 32, "TCP_MD5SIG_EXT", Bytes, ANY_TCP, "Key for signing segments to a range of peers by MD5.").write_only().secret().since(4, 13).condition("the kernel was built for it"),
    option(TCP_LEVEL, 33, "TCP_FASTOPEN_KEY", Bytes, ANY_TCP, "Key for the cookies of Fast Open.").secret().since(4, 15),
    option(TCP_LEVEL, 34, "TCP_FASTOPEN_NO_COOKIE", Bool, ANY_TCP, "Uses Fast Open without a cookie.").when(BeforeConnect).since(4, 15),
    option(TCP_LEVEL, 35, "TCP_ZEROCOPY_RECEIVE", Struct(ZEROCOPY_RECEIVE), ANY_TCP, "Maps received pages into the program.").read_only().reading_changes().when(Connected).since(4, 18).condition("reading takes data from the queue"),
    option(TCP_LEVEL, 36, "TCP_INQ", Bool, ANY_TCP, "Delivers the number of bytes that still wait as a control message.").since(4, 18),
    option(TCP_LEVEL, 37, "TCP_TX_DELAY", Int, ANY_TCP, "Delays every outgoing segment, to try out long paths.").unit("µs").since(5, 3),
    option(TCP_LEVEL, 38, "TCP_AO_ADD_KEY", Bytes, ANY_TCP, "Adds a key of the TCP authentication option (RFC 5925).").write_only().secret().since(6, 7).condition("the kernel was built for it"),
    option(TCP_LEVEL, 39, "TCP_AO_DEL_KEY", Bytes, ANY_TCP, "Removes a key of the TCP authentication option.").write_only().secret().since(6, 7).condition("the kernel was built for it"),
    option(TCP_LEVEL, 40, "TCP_AO_INFO", Bytes, ANY_TCP, "State of the TCP authentication option.").secret().since(6, 7).condition("the kernel was built for it"),
    option(TCP_LEVEL, 41, "TCP_AO_GET_KEYS", Bytes, ANY_TCP, "Keys of the TCP authentication option.").read_only().secret().since(6, 7).condition("the kernel was built for it"),
    option(TCP_LEVEL, 42, "TCP_AO_REPAIR", Bytes, ANY_TCP, "State of the TCP authentication option under repair.").secret().privilege(ADMIN).since(6, 7).condition("TCP_REPAIR is on"),
    option(TCP_LEVEL, 43, "TCP_IS_MPTCP", Bool, ANY_TCP, "Whether the connection is multipath TCP.").read_only().since(6, 10),
    option(TCP_LEVEL, 44, "TCP_RTO_MAX_MS", Int, ANY_TCP, "Upper limit of the retransmission timeout.").unit("ms").since(6, 15),
    option(TCP_LEVEL, 45, "TCP_RTO_MIN_US", Int, ANY_TCP, "Lower limit of the retransmission timeout.").unit("µs").since(6, 16),
    option(TCP_LEVEL, 46, "TCP_DELACK_MAX_US", Int, ANY_TCP, "Longest delay of an acknowledgement.").unit("µs").since(6, 16),

    // IPPROTO_UDP
    option(UDP_LEVEL, 1, "UDP_CORK", Bool, ANY_UDP, "Gathers what is sent into one datagram until it is switched off."),
    option(UDP_LEVEL, 10, "UDPLITE_SEND_CSCOV", Int, ANY_UDP, "How many bytes of a UDP-Lite datagram the checksum covers; 0 on plain UDP.").unit("bytes").read_only().condition("kernels with UDP-Lite"),
    option(UDP_LEVEL, 11, "UDPLITE_RECV_CSCOV", Int, ANY_UDP, "How many bytes the checksum of a received UDP-Lite datagram must cover; 0 on plain UDP.").unit("bytes").read_only().condition("kernels with UDP-Lite"),
    option(UDP_LEVEL, 100, "UDP_ENCAP", Named(&ENCAPSULATIONS), ANY_UDP, "Hands encapsulated packets of this kind to the kernel."),
    option(UDP_LEVEL, 101, "UDP_NO_CHECK6_TX", Bool, UDP6, "Sends UDP over IPv6 without a checksum.").since(3, 16),
    option(UDP_LEVEL, 102, "UDP_NO_CHECK6_RX", Bool, UDP6, "Accepts UDP over IPv6 without a checksum.").since(3, 16),
    option(UDP_LEVEL, 103, "UDP_SEGMENT", Int, ANY_UDP, "Cuts one send into datagrams of this size; 0 is off.").unit("bytes").since(4, 18),
    option(UDP_LEVEL, 104, "UDP_GRO", Bool, ANY_UDP, "Delivers several datagrams of one sender in one receive, with their size as a control message.").since(5, 0),

    // IPPROTO_IPV6
    option(IPV6, 1, "IPV6_ADDRFORM", Int, UDP6, "Turns a socket that talks to a mapped IPv4 address into an IPv4 socket.").condition("connected to a mapped IPv4 address"),
    option(IPV6, 2, "IPV6_2292PKTINFO", Bool, INET6, "Old form of IPV6_RECVPKTINFO."),
    option(IPV6, 3, "IPV6_2292HOPOPTS", Bool, INET6, "Old form of IPV6_RECVHOPOPTS."),
    option(IPV6, 4, "IPV6_2292DSTOPTS", Bool, INET6, "Old form of IPV6_RECVDSTOPTS."),
    option(IPV6, 5, "IPV6_2292RTHDR", Bool, INET6, "Old form of IPV6_RECVRTHDR."),
    option(IPV6, 6, "IPV6_2292PKTOPTIONS", Bytes, TCP6, "The latest control messages of a stream."),
    option(IPV6, 7, "IPV6_CHECKSUM", Int, RAW6, "Where in the data of a raw socket the kernel puts the checksum; -1 is nowhere.").unit("bytes"),
    option(IPV6, 8, "IPV6_2292HOPLIMIT", Bool, INET6, "Old form of IPV6_RECVHOPLIMIT."),
    option(IPV6, 11, "IPV6_FLOWINFO", Bool, INET6, "Delivers flow label and traffic class of arrived packets as a control message."),
    option(IPV6, 16, "IPV6_UNICAST_HOPS", Int, INET6, "Hops that an outgoing packet may take; -1 sets the default.").unit("hops"),
    option(IPV6, 17, "IPV6_MULTICAST_IF", Int, UDP6 | RAW6, "The interface, by number, that multicast leaves by."),
    option(IPV6, 18, "IPV6_MULTICAST_HOPS", Int, UDP6 | RAW6, "Hops that an outgoing multicast packet may take.").unit("hops"),
    option(IPV6, 19, "IPV6_MULTICAST_LOOP", Bool, INET6, "Whether this machine receives its own multicast; set at the sender."),
    option(IPV6, 20, "IPV6_ADD_MEMBERSHIP", Struct(MEMBERSHIP6), UDP6 | RAW6, "Joins a multicast group on an interface.").write_only(),
    option(IPV6, 21, "IPV6_DROP_MEMBERSHIP", Struct(MEMBERSHIP6), UDP6 | RAW6, "Leaves a multicast group.").write_only(),
    option(IPV6, 22, "IPV6_ROUTER_ALERT", Int, RAW6, "Hands packets with this router-alert value to the socket; -1 is none.").condition("setting needs a socket of IPPROTO_RAW, reading that it was set"),
    option(IPV6, 23, "IPV6_MTU_DISCOVER", Named(&names::PATH_MTU_MODES), INET6, "Whether packets may be fragmented, and whether the path's MTU is found out."),
    option(IPV6, 24, "IPV6_MTU", Int, INET6, "The MTU that the path to the peer is known to have; set, the limit of fragments.").unit("bytes").when(Connected),
    option(IPV6, 25, "IPV6_RECVERR", Bool, INET6, "Queues ICMPv6 errors and others with their details for MSG_ERRQUEUE."),
    option(IPV6, 26, "IPV6_V6ONLY", Bool, TCP6 | UDP6, "Keeps the socket from IPv4 addresses in mapped form.").when(BeforeBind),
    option(IPV6, 27, "IPV6_JOIN_ANYCAST", Struct(MEMBERSHIP6), UDP6 | RAW6, "Answers for an anycast address.").write_only().condition("the interface is on that network").privilege("CAP_NET_ADMIN outside the own network"),
    option(IPV6, 28, "IPV6_LEAVE_ANYCAST", Struct(MEMBERSHIP6), UDP6 | RAW6, "Stops answering for an anycast address.").write_only().condition("the address was joined"),
    option(IPV6, 29, "IPV6_MULTICAST_ALL", Bool, INET6, "Whether the socket gets every group joined on the machine; off, only its own.").since(4, 20),
    option(IPV6, 30, "IPV6_ROUTER_ALERT_ISOLATE", Bool, INET6, "Keeps router-alert packets within the network namespace.").since(5, 1),
    option(IPV6, 31, "IPV6_RECVERR_RFC4884", Bool, INET6, "Points out the extension part of a queued ICMPv6 error.").since(5, 9),
    option(IPV6, 32, "IPV6_FLOWLABEL_MGR", Struct(FLOW_LABEL), INET6, "Leases and returns flow labels.").condition("reading needs a leased label"),
    option(IPV6, 33, "IPV6_FLOWINFO_SEND", Bool, INET6, "Takes the flow label of outgoing packets from the destination address."),
    option(IPV6, 34, "IPV6_IPSEC_POLICY", Bytes, INET6, "IPsec policy of the socket, in the form of key management.").write_only().privilege(ADMIN).secret(),
    option(IPV6, 35, "IPV6_XFRM_POLICY", Bytes, INET6, "IPsec policy of the socket, in the kernel's own form.").write_only().privilege(ADMIN).secret(),
    option(IPV6, 36, "IPV6_HDRINCL", Bool, RAW6, "The program writes the IPv6 header itself.").since(4, 5),
    option(IPV6, 42, "MCAST_JOIN_GROUP_IPV6", Struct(GROUP), UDP6 | RAW6, "Joins a multicast group on a numbered interface.").write_only(),
    option(IPV6, 43, "MCAST_BLOCK_SOURCE_IPV6", Struct(GROUP_SOURCE), UDP6 | RAW6, "Refuses one sender of a joined group.").write_only(),
    option(IPV6, 44, "MCAST_UNBLOCK_SOURCE_IPV6", Struct(GROUP_SOURCE), UDP6 | RAW6, "Accepts a sender of a joined group again.").write_only(),
    option(IPV6, 45, "MCAST_LEAVE_GROUP_IPV6", Struct(GROUP), UDP6 | RAW6, "Leaves a multicast group.").write_only(),
    option(IPV6, 46, "MCAST_JOIN_SOURCE_GROUP_IPV6", Struct(GROUP_SOURCE), UDP6 | RAW6, "Joins a multicast group for one sender.").write_only(),
    option(IPV6, 47, "MCAST_LEAVE_SOURCE_GROUP_IPV6", Struct(GROUP_SOURCE), UDP6 | RAW6, "Leaves a multicast group of one sender.").write_only(),
    option(IPV6, 48, "MCAST_MSFILTER_IPV6", Bytes, UDP6 | RAW6, "The whole list of accepted or refused senders of a joined group.").condition("the group is joined"),
    option(IPV6, 49, "IPV6_RECVPKTINFO", Bool, INET6, "Delivers interface and destination address of each datagram as a control message."),
    option(IPV6, 50, "IPV6_PKTINFO", Struct(PACKET_INFO6), INET6, "Interface and source address of outgoing packets.").write_only(),
    option(IPV6, 51, "IPV6_RECVHOPLIMIT", Bool, INET6, "Delivers the hop limit of each datagram as a control message."),
    option(IPV6, 53, "IPV6_RECVHOPOPTS", Bool, INET6, "Delivers the hop-by-hop options of arrived packets as a control message."),
    option(IPV6, 54, "IPV6_HOPOPTS", Bytes, INET6, "Hop-by-hop options of outgoing packets.").privilege("CAP_NET_RAW"),
    option(IPV6, 55, "IPV6_RTHDRDSTOPTS", Bytes, INET6, "Destination options before the routing header of outgoing packets.").privilege("CAP_NET_RAW"),
    option(IPV6, 56, "IPV6_RECVRTHDR", Bool, INET6, "Delivers the routing header of arrived packets as a control message."),
    option(IPV6, 57, "IPV6_RTHDR", Bytes, INET6, "Routing header of outgoing packets."),
    option(IPV6, 58, "IPV6_RECVDSTOPTS", Bool, INET6, "Delivers the destination options of arrived packets as a control message."),
    option(IPV6, 59, "IPV6_DSTOPTS", Bytes, INET6, "Destination options of outgoing packets.").privilege("CAP_NET_RAW"),
    option(IPV6, 60, "IPV6_RECVPATHMTU", Bool, INET6, "Delivers changes of the path's MTU as control messages."),
    option(IPV6, 61, "IPV6_PATHMTU", Struct(PATH_MTU6), INET6, "The MTU that the path to the peer is known to have.").read_only().when(Connected),
    option(IPV6, 62, "IPV6_DONTFRAG", Bool, INET6, "Refuses to send what would need fragments."),
    option(IPV6, 66, "IPV6_RECVTCLASS", Bool, INET6, "Delivers the traffic class of each datagram as a control message."),
    option(IPV6, 67, "IPV6_TCLASS", Int, INET6, "Traffic class of outgoing packets: DSCP and ECN; -1 sets the default."),
    option(IPV6, 70, "IPV6_AUTOFLOWLABEL", Bool, INET6, "Gives outgoing packets a flow label made from their flow.").since(3, 17),
    option(IPV6, 72, "IPV6_ADDR_PREFERENCES", Kind::Flags(&ADDRESS_PREFERENCES), INET6, "Which kinds of source address are preferred, such as temporary ones."),
    option(IPV6, 73, "IPV6_MINHOPCOUNT", Int, INET6, "Drops packets that arrive with a lower hop limit.").unit("hops"),
    option(IPV6, 74, "IPV6_RECVORIGDSTADDR", Bool, INET6, "Delivers the original destination of redirected datagrams as a control message."),
    option(IPV6, 75, "IPV6_TRANSPARENT", Bool, INET6, "Lets the socket use addresses that are not this machine's.").when(BeforeBind).privilege(ADMIN_OR_RAW),
    option(IPV6, 76, "IPV6_UNICAST_IF", InterfaceBigEndian, INET6, "The interface that unicast leaves by, by number.").since(3, 4),
    option(IPV6, 77, "IPV6_RECVFRAGSIZE", Bool, UDP6 | RAW6, "Delivers the size of the largest fragment of each datagram as a control message.").since(4, 11),
    option(IPV6, 78, "IPV6_FREEBIND", Bool, INET6, "Lets bind take an address that no interface has yet.").when(BeforeBind).since(4, 15),
    option(IPV6, 80, "IP6T_SO_ORIGINAL_DST", Address, TCP6, "Where a redirected connection was meant to go.").read_only().when(Connected).condition("connection tracking saw the connection"),

    // SOL_RAW and IPPROTO_ICMPV6
    option(RAW_LEVEL, 1, "ICMP_FILTER", Kind::Flags(&ICMP_TYPES), RAW, "ICMP types that a raw ICMP socket does not receive.").condition("a socket of IPPROTO_ICMP"),
    option(ICMPV6, 1, "ICMP6_FILTER", Bytes, RAW6, "ICMPv6 types that a raw ICMPv6 socket does not receive, one bit each.").condition("a socket of IPPROTO_ICMPV6"),

    // SOL_PACKET
    option(PACKET_LEVEL, 1, "PACKET_ADD_MEMBERSHIP", Struct(PACKET_MEMBERSHIP), PACKET, "Makes the interface take in more frames: a group, all groups (2), everything (1).").write_only(),
    option(PACKET_LEVEL, 2, "PACKET_DROP_MEMBERSHIP", Struct(PACKET_MEMBERSHIP), PACKET, "Undoes PACKET_ADD_MEMBERSHIP.").write_only(),
    option(PACKET_LEVEL, 5, "PACKET_RX_RING", Struct(PACKET_RING), PACKET, "Sets up a ring of memory that received frames are put into.").write_only(),
    option(PACKET_LEVEL, 6, "PACKET_STATISTICS", Struct(PACKET_STATISTICS), PACKET, "Frames received and dropped since the last reading.").read_only().reading_changes().condition("reading sets the counters to zero"),
    option(PACKET_LEVEL, 7, "PACKET_COPY_THRESH", Int, PACKET, "Frames longer than a slot of the ring are also queued whole, up to so many.").unit("frames").condition("reading needs a recent kernel"),
    option(PACKET_LEVEL, 8, "PACKET_AUXDATA", Bool, PACKET, "Delivers length, VLAN tag and checksum state of each frame as a control message."),
    option(PACKET_LEVEL, 9, "PACKET_ORIGDEV", Bool, PACKET, "Names the interface that a frame first arrived on, not the bond or bridge."),
    option(PACKET_LEVEL, 10, "PACKET_VERSION", Named(&PACKET_VERSIONS), PACKET, "The layout of the ring.").when(BeforeBind).condition("no ring is set up"),
    option(PACKET_LEVEL, 11, "PACKET_HDRLEN", Int, PACKET, "Size of a frame's header in the ring, for the version that the value passed names.").unit("bytes").read_only(),
    option(PACKET_LEVEL, 12, "PACKET_RESERVE", Uint, PACKET, "Room that is left free before each frame in the ring.").unit("bytes").condition("no ring is set up"),
    option(PACKET_LEVEL, 13, "PACKET_TX_RING", Struct(PACKET_RING), PACKET, "Sets up a ring of memory that frames are sent from.").write_only(),
    option(PACKET_LEVEL, 14, "PACKET_LOSS", Bool, PACKET, "Skips a malformed frame of the send ring instead of stopping at it.").condition("no ring is set up"),
    option(PACKET_LEVEL, 15, "PACKET_VNET_HDR", Bool, PACKET, "Puts a header about offloads before each frame.").condition("SOCK_RAW and no ring"),
    option(PACKET_LEVEL, 17, "PACKET_TIMESTAMP", Int, PACKET, "Which time stamps go into the ring: software or the device's."),
    option(PACKET_LEVEL, 18, "PACKET_FANOUT", Int, PACKET, "Spreads the frames over the sockets of one group: its number, and how in the upper half.").condition("setting needs a bound socket"),
    option(PACKET_LEVEL, 19, "PACKET_TX_HAS_OFF", Bool, PACKET, "Frames of the send ring say where their data begins.").condition("no ring is set up"),
    option(PACKET_LEVEL, 20, "PACKET_QDISC_BYPASS", Bool, PACKET, "Sends past the queueing discipline.").since(3, 14),
    option(PACKET_LEVEL, 21, "PACKET_ROLLOVER_STATS", Struct(ROLLOVER_STATISTICS), PACKET, "How often frames went to another socket of the group.").read_only().since(4, 2).condition("PACKET_FANOUT is on"),
    option(PACKET_LEVEL, 22, "PACKET_FANOUT_DATA", Bytes, PACKET, "The program that picks the socket of a fanout group.").write_only().since(4, 3).condition("PACKET_FANOUT is on"),
    option(PACKET_LEVEL, 23, "PACKET_IGNORE_OUTGOING", Bool, PACKET, "Leaves out frames that this machine sends.").since(4, 20),
    option(PACKET_LEVEL, 24, "PACKET_VNET_HDR_SZ", Int, PACKET, "Size of the header about offloads: 0, 10 or 12.").unit("bytes").since(6, 4).condition("SOCK_RAW and no ring"),

    // SOL_NETLINK
    option(NETLINK_LEVEL, 1, "NETLINK_ADD_MEMBERSHIP", Int, NETLINK, "Joins a multicast group by number.").write_only(),
    option(NETLINK_LEVEL, 2, "NETLINK_DROP_MEMBERSHIP", Int, NETLINK, "Leaves a multicast group by number.").write_only(),
    option(NETLINK_LEVEL, 3, "NETLINK_PKTINFO", Bool, NETLINK, "Delivers the group of each message as a control message."),
    option(NETLINK_LEVEL, 4, "NETLINK_BROADCAST_ERROR", Bool, NETLINK, "Reports to the sender when a broadcast could not be delivered."),
    option(NETLINK_LEVEL, 5, "NETLINK_NO_ENOBUFS", Bool, NETLINK, "Keeps silent about messages lost for want of room."),
    option(NETLINK_LEVEL, 8, "NETLINK_LISTEN_ALL_NSID", Bool, NETLINK, "Receives from every network namespace that has a number here.").privilege("CAP_NET_BROADCAST").since(4, 2),
    option(NETLINK_LEVEL, 9, "NETLINK_LIST_MEMBERSHIPS", List, NETLINK, "The joined multicast groups, as bits.").read_only().since(4, 2),
    option(NETLINK_LEVEL, 10, "NETLINK_CAP_ACK", Bool, NETLINK, "Leaves the request out of the acknowledgement.").since(4, 3),
    option(NETLINK_LEVEL, 11, "NETLINK_EXT_ACK", Bool, NETLINK, "Adds text and place to error answers.").since(4, 12),
    option(NETLINK_LEVEL, 12, "NETLINK_GET_STRICT_CHK", Bool, NETLINK, "Makes the kernel check dump requests strictly and filter by them.").since(4, 20),

    // SOL_ALG
    option(ALG_LEVEL, 1, "ALG_SET_KEY", Bytes, ALG, "Key of the kernel's cipher or hash.").write_only().secret().condition("the kernel was built for it"),
    option(ALG_LEVEL, 5, "ALG_SET_AEAD_AUTHSIZE", Empty, ALG, "Length of the authentication tag; the length of the value is what counts.").write_only().condition("the kernel was built for it"),

    // SOL_TLS
    option(TLS, 1, "TLS_TX", Bytes, ANY_TCP, "Keys with which the kernel encrypts what is sent.").secret().when(Connected).since(4, 13).condition("TCP_ULP is \"tls\""),
    option(TLS, 2, "TLS_RX", Bytes, ANY_TCP, "Keys with which the kernel decrypts what arrives.").secret().when(Connected).since(4, 17).condition("TCP_ULP is \"tls\""),
    option(TLS, 3, "TLS_TX_ZEROCOPY_RO", Bool, ANY_TCP, "Lets the device encrypt file pages in place.").when(Connected).since(5, 19).condition("TCP_ULP is \"tls\""),
    option(TLS, 4, "TLS_RX_EXPECT_NO_PAD", Bool, ANY_TCP, "Expects records of TLS 1.3 without padding.").when(Connected).since(6, 0).condition("TCP_ULP is \"tls\""),

    // SOL_MPTCP
    option(MPTCP_LEVEL, 1, "MPTCP_INFO", Bytes, MPTCP, "State of the multipath connection.").read_only().since(5, 16),
    option(MPTCP_LEVEL, 2, "MPTCP_TCPINFO", Bytes, MPTCP, "TCP_INFO of every path.").read_only().condition("the buffer begins with the sizes of its parts").since(5, 16),
    option(MPTCP_LEVEL, 3, "MPTCP_SUBFLOW_ADDRS", Bytes, MPTCP, "Addresses of every path.").read_only().condition("the buffer begins with the sizes of its parts").since(5, 16),
    option(MPTCP_LEVEL, 4, "MPTCP_FULL_INFO", Bytes, MPTCP, "State, TCP_INFO and addresses in one reading.").read_only().condition("the buffer begins with the sizes of its parts").since(6, 5),

    // AF_VSOCK
    option(VSOCK_LEVEL, 0, "SO_VM_SOCKETS_BUFFER_SIZE", Uint64, VSOCK, "Room for received data.").unit("bytes"),
    option(VSOCK_LEVEL, 1, "SO_VM_SOCKETS_BUFFER_MIN_SIZE", Uint64, VSOCK, "Smallest room for received data.").unit("bytes"),
    option(VSOCK_LEVEL, 2, "SO_VM_SOCKETS_BUFFER_MAX_SIZE", Uint64, VSOCK, "Largest room for received data.").unit("bytes"),
    option(VSOCK_LEVEL, 3, "SO_VM_SOCKETS_PEER_HOST_VM_ID", Int, VSOCK, "Number of the peer's machine on the host.").read_only().condition("the transport is VMware's"),
    option(VSOCK_LEVEL, 5, "SO_VM_SOCKETS_TRUSTED", Int, VSOCK, "Whether the peer is trusted.").condition("the transport is VMware's"),
    option(VSOCK_LEVEL, 6, "SO_VM_SOCKETS_CONNECT_TIMEOUT", Struct(VSOCK_TIME), VSOCK, "How long connect may take."),
    option(VSOCK_LEVEL, 7, "SO_VM_SOCKETS_NONBLOCK_TXRX", Int, VSOCK, "Non-blocking mode of one call.").condition("the transport is VMware's"),
    option(VSOCK_LEVEL, 8, "SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW", Struct(VSOCK_TIME), VSOCK, "How long connect may take, with 64-bit seconds on every machine.").since(5, 1),
];
