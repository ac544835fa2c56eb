//! AF_PACKET: the TPACKET_V3 receive ring, and sending whole frames.
//!
//! A [`Ring`] lends blocks that the kernel has filled; a [`Block`] lends its frames as slices of the ring's own memory and gives
//! the block back when it is dropped. The kernel's side is described in `Documentation/networking/packet_mmap.rst` and in
//! `include/uapi/linux/if_packet.h`; offsets below are those of that header.
//!
//! The socket may be made here or handed in, so it may belong to another network namespace. Interface indices are then those of
//! that namespace.

use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use crate::transmit::TransmitRing;

/// One instruction of the kernel's packet filter (classic BPF), as in `struct sock_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Instructions to skip when a condition holds.
    pub jump_true: u8,
    /// Instructions to skip when it does not.
    pub jump_false: u8,
    /// The operand.
    pub operand: u32,
}

impl Instruction {
    /// An instruction without jumps.
    pub const fn new(code: u16, operand: u32) -> Self {
        Self {
            code,
            jump_true: 0,
            jump_false: 0,
            operand,
        }
    }

    /// A conditional jump.
    pub const fn jump(code: u16, operand: u32, jump_true: u8, jump_false: u8) -> Self {
        Self {
            code,
            jump_true,
            jump_false,
            operand,
        }
    }
}

/// `BPF_MAXINSNS` of `include/uapi/linux/bpf_common.h`: the longest program the kernel takes.
pub const FILTER_MAXIMUM: usize = 4096;

const BPF_LOAD_WORD_ABSOLUTE: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const BPF_JUMP_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const BPF_RETURN: u16 = 0x06; // BPF_RET | BPF_K
// Ancillary loads of `include/uapi/linux/filter.h`: SKF_AD_OFF + SKF_AD_PKTTYPE, + SKF_AD_HATYPE.
const ANCILLARY_PACKET_TYPE: u32 = (-0x1000_i32 + 4) as u32;
const ANCILLARY_HARDWARE_TYPE: u32 = (-0x1000_i32 + 28) as u32;

/// `ARPHRD_LOOPBACK`: hardware type of `lo`.
pub const HARDWARE_LOOPBACK: u16 = 772;

/// Where a frame was going, as the kernel saw it (`sll_pkttype`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketType {
    /// To this host.
    Host,
    /// To everyone on the link.
    Broadcast,
    /// To a group.
    Multicast,
    /// To another host; seen in promiscuous mode.
    OtherHost,
    /// Sent by this host.
    Outgoing,
    /// A number this program does not know.
    Unknown(u8),
}

impl PacketType {
    /// From the number in `sll_pkttype`.
    pub const fn from_number(number: u8) -> Self {
        match number {
            libc::PACKET_HOST => Self::Host,
            libc::PACKET_BROADCAST => Self::Broadcast,
            libc::PACKET_MULTICAST => Self::Multicast,
            libc::PACKET_OTHERHOST => Self::OtherHost,
            libc::PACKET_OUTGOING => Self::Outgoing,
            other => Self::Unknown(other),
        }
    }

    /// The number in `sll_pkttype`.
    pub const fn number(self) -> u8 {
        match self {
            Self::Host => libc::PACKET_HOST,
            Self::Broadcast => libc::PACKET_BROADCAST,
            Self::Multicast => libc::PACKET_MULTICAST,
            Self::OtherHost => libc::PACKET_OTHERHOST,
            Self::Outgoing => libc::PACKET_OUTGOING,
            Self::Unknown(number) => number,
        }
    }
}

/// Which frames to capture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Received and sent; on loopback, where the kernel shows each frame twice, the received copy only.
    #[default]
    Both,
    /// Received only.
    In,
    /// Sent only.
    Out,
    /// Everything the kernel shows, on loopback each frame twice.
    Raw,
}

/// How the sockets of a fanout group share frames (`PACKET_FANOUT_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FanoutKind {
    /// By flow.
    Hash,
    /// In turn.
    RoundRobin,
    /// By the processor that received the frame.
    Processor,
    /// Fill one socket, then the next.
    Rollover,
    /// At random.
    Random,
    /// By the network card's queue.
    Queue,
}

/// A fanout group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fanout {
    /// The same number on every member.
    pub group: u16,
    /// How frames are shared.
    pub kind: FanoutKind,
}

/// How to set a ring up.
#[derive(Clone, Debug)]
pub struct RingOptions {
    /// Interface index in the socket's namespace; `None` for all interfaces.
    pub interface: Option<u32>,
    /// Which frames.
    pub direction: Direction,
    /// Bytes of one block: a multiple of the page size. The largest frame that fits whole is a little smaller.
    pub block_size: usize,
    /// Number of blocks.
    pub block_count: usize,
    /// How long the kernel may keep a block that is not yet full: the latency of a quiet capture.
    pub block_timeout: Duration,
    /// Packet filter to run before a frame is copied; its return value is the number of bytes kept. Empty: keep all.
    pub filter: Vec<Instruction>,
    /// Bytes kept of each frame when `filter` is empty.
    pub snap_length: u32,
    /// Ask the interface for frames to other hosts too; needs `interface`.
    pub promiscuous: bool,
    /// Share frames with other sockets.
    pub fanout: Option<Fanout>,
}

impl Default for RingOptions {
    /// 64 blocks of 256 KiB: 16 MiB hold about 110,000 frames of 64 bytes, a quarter of a second at the rate of one sending core.
    fn default() -> Self {
        Self {
            interface: None,
            direction: Direction::Both,
            block_size: 256 * 1024,
            block_count: 64,
            block_timeout: Duration::from_millis(20),
            filter: Vec::new(),
            snap_length: 0x4_0000,
            promiscuous: false,
            fanout: None,
        }
    }
}

/// A step of setting up or using a packet socket that the kernel refused.
#[derive(Debug)]
pub struct PacketError {
    /// The call, in the kernel's words.
    pub call: &'static str,
    /// The kernel's answer.
    pub error: io::Error,
}

impl fmt::Display for PacketError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.call, self.error)
    }
}

impl std::error::Error for PacketError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl From<PacketError> for io::Error {
    fn from(error: PacketError) -> Self {
        error.error
    }
}

pub(crate) fn failed(call: &'static str) -> impl FnOnce(io::Error) -> PacketError {
    move |error| PacketError { call, error }
}

/// Frames that a ring took and lost since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Frames that passed the filter, the dropped ones included.
    pub seen: u64,
    /// Frames lost because every block was full.
    pub dropped: u64,
    /// Times the kernel stopped because it found no free block.
    pub freezes: u64,
}

/// A VLAN tag that the kernel took out of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vlan {
    /// Tag protocol: 0x8100 or 0x88a8.
    pub protocol: u16,
    /// Priority, drop eligibility and identifier.
    pub control: u16,
}

/// What the kernel says about a frame, beside its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// CLOCK_REALTIME, nanoseconds since 1970.
    pub timestamp_ns: u64,
    /// Bytes the frame had; more than were captured when it was cut.
    pub original_length: u32,
    /// Index of the interface in the socket's namespace.
    pub interface: u32,
    /// Hardware type (`ARPHRD_*`): says which link-layer header the bytes start with.
    pub hardware_type: u16,
    /// Where it was going.
    pub packet_type: PacketType,
    /// EtherType (or `ETH_P_*`) in host byte order.
    pub protocol: u16,
    /// Link-layer address of the sender, and how many of its bytes count.
    pub sender: [u8; 8],
    /// See `sender`.
    pub sender_length: u8,
    /// Tag that the kernel took out.
    pub vlan: Option<Vlan>,
    /// `TP_STATUS_*` bits.
    pub status: u32,
}

impl FrameHeader {
    /// The transport checksum is to be filled in by hardware that has not run (the sender is on this machine).
    pub const fn checksum_not_ready(&self) -> bool {
        self.status & libc::TP_STATUS_CSUMNOTREADY != 0
    }

    /// The kernel or the network card has found the transport checksum right.
    pub const fn checksum_verified(&self) -> bool {
        self.status & libc::TP_STATUS_CSUM_VALID != 0
    }

    /// Frames were lost before this one.
    pub const fn losing(&self) -> bool {
        self.status & libc::TP_STATUS_LOSING != 0
    }
}

/// A captured frame: bytes in the ring's memory, and what the kernel says about them.
#[derive(Clone, Copy, Debug)]
pub struct RingFrame<'block> {
    /// The captured bytes, from the link-layer header on.
    pub bytes: &'block [u8],
    /// What the kernel says.
    pub header: FrameHeader,
}

/// Makes a packet socket that receives nothing until it is bound.
///
/// # Errors
/// EPERM without CAP_NET_RAW in the user namespace that owns the network namespace.
pub fn packet_socket() -> Result<OwnedFd, PacketError> {
    // SAFETY: socket() takes no pointers; a negative result is checked before the descriptor is owned.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(failed("socket(AF_PACKET, SOCK_RAW)")(
            io::Error::last_os_error(),
        ));
    }
    // SAFETY: `fd` is a fresh descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Binds a packet socket to an interface (0: all) and a protocol in host byte order.
fn bind(socket: BorrowedFd<'_>, interface: u32, protocol: u16) -> io::Result<()> {
    // SAFETY: sockaddr_ll is plain old data; all zeroes is a valid value.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = protocol.to_be();
    address.sll_ifindex = interface.cast_signed();
    // SAFETY: the pointer and length describe `address`, which outlives the call.
    let result = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            size_of::<libc::sockaddr_ll>() as libc::socklen_t,
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// setsockopt with a plain-old-data value.
pub(crate) fn set_option<T: Copy>(
    socket: BorrowedFd<'_>,
    level: i32,
    name: i32,
    value: &T,
) -> io::Result<()> {
    // SAFETY: the pointer and length describe `value`, which outlives the call; the kernel only reads it.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// The pending error of a socket (SO_ERROR), which reading clears.
fn pending_error(socket: BorrowedFd<'_>) -> io::Result<()> {
    let mut code: libc::c_int = 0;
    let mut length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: both pointers are to live locals and `length` says how large `code` is.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ERROR,
            (&raw mut code).cast(),
            &raw mut length,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    if code != 0 {
        Err(io::Error::from_raw_os_error(code))
    } else {
        Ok(())
    }
}

/// Attaches a packet filter to any socket; it replaces the one before.
///
/// # Errors
/// EINVAL when the kernel's checker refuses the program (empty, too long, a jump out of it).
pub fn attach_filter(socket: BorrowedFd<'_>, program: &[Instruction]) -> io::Result<()> {
    if program.is_empty() || program.len() > FILTER_MAXIMUM {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let mut raw: Vec<libc::sock_filter> = program
        .iter()
        .map(|instruction| libc::sock_filter {
            code: instruction.code,
            jt: instruction.jump_true,
            jf: instruction.jump_false,
            k: instruction.operand,
        })
        .collect();
    let descriptor = libc::sock_fprog {
        len: raw.len() as u16,
        filter: raw.as_mut_ptr(),
    };
    // `raw` lives until the call returns; the kernel copies it.
    set_option(
        socket,
        libc::SOL_SOCKET,
        libc::SO_ATTACH_FILTER,
        &descriptor,
    )
}

/// Puts the choice of direction before the caller's program, so unwanted frames take no room in the ring.
fn with_direction(
    direction: Direction,
    filter: &[Instruction],
    snap_length: u32,
) -> Vec<Instruction> {
    let outgoing = u32::from(libc::PACKET_OUTGOING);
    let mut program = match direction {
        Direction::Raw => vec![],
        Direction::Both => vec![
            Instruction::new(BPF_LOAD_WORD_ABSOLUTE, ANCILLARY_PACKET_TYPE),
            Instruction::jump(BPF_JUMP_EQUAL, outgoing, 0, 3),
            Instruction::new(BPF_LOAD_WORD_ABSOLUTE, ANCILLARY_HARDWARE_TYPE),
            Instruction::jump(BPF_JUMP_EQUAL, u32::from(HARDWARE_LOOPBACK), 0, 1),
            Instruction::new(BPF_RETURN, 0),
        ],
        Direction::In => vec![
            Instruction::new(BPF_LOAD_WORD_ABSOLUTE, ANCILLARY_PACKET_TYPE),
            Instruction::jump(BPF_JUMP_EQUAL, outgoing, 0, 1),
            Instruction::new(BPF_RETURN, 0),
        ],
        Direction::Out => vec![
            Instruction::new(BPF_LOAD_WORD_ABSOLUTE, ANCILLARY_PACKET_TYPE),
            Instruction::jump(BPF_JUMP_EQUAL, outgoing, 1, 0),
            Instruction::new(BPF_RETURN, 0),
        ],
    };
    if filter.is_empty() {
        program.push(Instruction::new(BPF_RETURN, snap_length));
    } else {
        program.extend_from_slice(filter);
    }
    program
}

// Offsets in `struct tpacket_block_desc`.
const BLOCK_STATUS: usize = 8;
const BLOCK_FRAMES: usize = 12;
const BLOCK_FIRST: usize = 16;
const BLOCK_HEADER: usize = 48;
// `struct tpacket3_hdr`, followed (at TPACKET_ALIGN of its size) by `struct sockaddr_ll`.
const FRAME_HEADER: usize = 48;
const ADDRESS: usize = 20;

const _: () = assert!(size_of::<libc::tpacket_block_desc>() == BLOCK_HEADER);
const _: () = assert!(size_of::<libc::tpacket3_hdr>() == FRAME_HEADER);
const _: () = assert!(size_of::<libc::sockaddr_ll>() == ADDRESS);

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes
        .get(offset..)?
        .first_chunk()
        .map(|chunk| u16::from_ne_bytes(*chunk))
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes
        .get(offset..)?
        .first_chunk()
        .map(|chunk| u32::from_ne_bytes(*chunk))
}

/// A TPACKET_V3 receive ring: frames are read where the kernel put them.
pub struct Ring {
    socket: OwnedFd,
    memory: NonNull<u8>,
    block_size: usize,
    block_count: usize,
    next: usize,
    statistics: Statistics,
}

// SAFETY: the mapping belongs to this value alone and is only reached through `&mut self` or a `Block` that borrows it so;
// moving it to another thread moves that right.
unsafe impl Send for Ring {}

// SAFETY: through `&self` only atomic words of the mapping are read and system calls made; frames need `&mut self`.
unsafe impl Sync for Ring {}

impl fmt::Debug for Ring {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Ring")
            .field("socket", &self.socket)
            .field("block_size", &self.block_size)
            .field("block_count", &self.block_count)
            .finish_non_exhaustive()
    }
}

impl Ring {
    /// Makes a packet socket in the caller's network namespace and a ring on it.
    ///
    /// # Errors
    /// EPERM without CAP_NET_RAW; ENODEV when the interface is gone; ENOMEM when the kernel cannot give the memory.
    pub fn open(options: &RingOptions) -> Result<Self, PacketError> {
        Self::on(packet_socket()?, options)
    }

    /// Makes a ring on a packet socket (SOCK_RAW) that was made elsewhere, perhaps in another network namespace.
    ///
    /// Give a socket of protocol 0, which receives nothing before it is bound here: the ring then holds nothing the filter refuses.
    ///
    /// # Errors
    /// As [`Ring::open`]; EBUSY when the socket has a ring already.
    pub fn on(socket: OwnedFd, options: &RingOptions) -> Result<Self, PacketError> {
        let handle = socket.as_fd();
        let level = libc::SOL_PACKET;
        let version = libc::tpacket_versions::TPACKET_V3 as libc::c_int;
        set_option(handle, level, libc::PACKET_VERSION, &version)
            .map_err(failed("setsockopt(PACKET_VERSION, TPACKET_V3)"))?;
        attach_filter(
            handle,
            &with_direction(options.direction, &options.filter, options.snap_length),
        )
        .map_err(failed("setsockopt(SO_ATTACH_FILTER)"))?;
        if options.direction == Direction::In {
            // Also done by the filter; this saves running it for each frame sent. Kernels before 4.20 do not know it.
            let _ = set_option(handle, level, libc::PACKET_IGNORE_OUTGOING, &1_i32);
        }
        // The frame size only has to divide the block size: version 3 packs frames by their length.
        let frame_size = 2048;
        let block_size = options.block_size.max(frame_size);
        let request = libc::tpacket_req3 {
            tp_block_size: block_size as u32,
            tp_block_nr: options.block_count as u32,
            tp_frame_size: frame_size as u32,
            tp_frame_nr: (block_size / frame_size * options.block_count) as u32,
            tp_retire_blk_tov: options.block_timeout.as_millis().clamp(1, 10_000) as u32,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        set_option(handle, level, libc::PACKET_RX_RING, &request)
            .map_err(failed("setsockopt(PACKET_RX_RING)"))?;
        let length = block_size
            .checked_mul(options.block_count)
            .and_then(NonZeroUsize::new)
            .ok_or_else(|| failed("mmap")(io::Error::from_raw_os_error(libc::EINVAL)))?;
        // SAFETY: a new shared mapping at an address of the kernel's choice; the kernel refuses a length that is not the ring's.
        let memory = unsafe {
            mmap(
                None,
                length,
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
                MapFlags::MAP_SHARED,
                &socket,
                0,
            )
        }
        .map_err(|error| failed("mmap of the ring")(error.into()))?
        .cast();
        let ring = Self {
            socket,
            memory,
            block_size,
            block_count: options.block_count,
            next: 0,
            statistics: Statistics::default(),
        };
        if options.promiscuous {
            ring.set_promiscuous(options.interface.unwrap_or(0))
                .map_err(failed(
                    "setsockopt(PACKET_ADD_MEMBERSHIP, PACKET_MR_PROMISC)",
                ))?;
        }
        bind(
            ring.socket.as_fd(),
            options.interface.unwrap_or(0),
            libc::ETH_P_ALL as u16,
        )
        .map_err(failed("bind of the packet socket"))?;
        if let Some(fanout) = options.fanout {
            let kind = match fanout.kind {
                FanoutKind::Hash => libc::PACKET_FANOUT_HASH,
                FanoutKind::RoundRobin => libc::PACKET_FANOUT_LB,
                FanoutKind::Processor => libc::PACKET_FANOUT_CPU,
                FanoutKind::Rollover => libc::PACKET_FANOUT_ROLLOVER,
                FanoutKind::Random => libc::PACKET_FANOUT_RND,
                FanoutKind::Queue => libc::PACKET_FANOUT_QM,
            };
            let value = (kind << 16) | u32::from(fanout.group);
            set_option(ring.socket.as_fd(), level, libc::PACKET_FANOUT, &value)
                .map_err(failed("setsockopt(PACKET_FANOUT)"))?;
        }
        Ok(ring)
    }

    /// Asks the interface for frames to other hosts too, as long as the ring lives.
    fn set_promiscuous(&self, interface: u32) -> io::Result<()> {
        let membership = libc::packet_mreq {
            mr_ifindex: interface.cast_signed(),
            mr_type: libc::PACKET_MR_PROMISC as u16,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        set_option(
            self.socket.as_fd(),
            libc::SOL_PACKET,
            libc::PACKET_ADD_MEMBERSHIP,
            &membership,
        )
    }

    /// The status word of block `index`, which the kernel and this program write in turn.
    fn status(&self, index: usize) -> &AtomicU32 {
        debug_assert!(index < self.block_count);
        // SAFETY: `index` is below the number of blocks, so the word lies in the mapping, which lives as long as `self`; blocks are
        // page-aligned, so it is aligned; the kernel writes it as one aligned word.
        unsafe {
            AtomicU32::from_ptr(
                self.memory
                    .as_ptr()
                    .add(index * self.block_size + BLOCK_STATUS)
                    .cast(),
            )
        }
    }

    /// Whether the next block is filled: what a program that polls the descriptor itself asks.
    pub fn is_ready(&self) -> bool {
        self.status(self.next).load(Ordering::Acquire) & libc::TP_STATUS_USER != 0
    }

    /// The next filled block, waiting for it at most `timeout` (`None`: for ever); `Ok(None)` when the time is over.
    ///
    /// The kernel hands a block over when it is full or after [`RingOptions::block_timeout`].
    ///
    /// # Errors
    /// ENETDOWN once when the interface went down or away (frames captured before are still given, before the error);
    /// [`io::ErrorKind::Interrupted`] when a signal came.
    pub fn next_block(&mut self, timeout: Option<Duration>) -> io::Result<Option<Block<'_>>> {
        if !self.is_ready() && !self.wait(timeout)? {
            return Ok(None);
        }
        Ok(Some(Block {
            index: self.next,
            ring: self,
        }))
    }

    /// Waits until the next block is filled; false when the time is over.
    ///
    /// # Errors
    /// As [`Ring::next_block`].
    pub fn wait(&self, timeout: Option<Duration>) -> io::Result<bool> {
        let mut descriptor = libc::pollfd {
            fd: self.socket.as_raw_fd(),
            events: libc::POLLIN | libc::POLLERR,
            revents: 0,
        };
        let time = timeout.map(|timeout| libc::timespec {
            tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        });
        // SAFETY: one pollfd, a timespec or null, no signal mask; all live until the call returns.
        let result = unsafe {
            libc::ppoll(
                &raw mut descriptor,
                1,
                time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref),
                std::ptr::null(),
            )
        };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        if self.is_ready() {
            return Ok(true);
        }
        if descriptor.revents & (libc::POLLERR | libc::POLLHUP | libc::POLLNVAL) != 0 {
            pending_error(self.socket.as_fd())?;
        }
        Ok(false)
    }

    /// Frames seen and lost since the ring was opened.
    ///
    /// # Errors
    /// As `getsockopt(PACKET_STATISTICS)`.
    pub fn statistics(&mut self) -> io::Result<Statistics> {
        let mut value = libc::tpacket_stats_v3 {
            tp_packets: 0,
            tp_drops: 0,
            tp_freeze_q_cnt: 0,
        };
        let mut length = size_of::<libc::tpacket_stats_v3>() as libc::socklen_t;
        // SAFETY: both pointers are to live locals and `length` says how large `value` is.
        let result = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut value).cast(),
                &raw mut length,
            )
        };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        // Reading resets the kernel's counters.
        self.statistics.seen += u64::from(value.tp_packets);
        self.statistics.dropped += u64::from(value.tp_drops);
        self.statistics.freezes += u64::from(value.tp_freeze_q_cnt);
        Ok(self.statistics)
    }

    /// Replaces the filter and the direction. Frames already in the ring stay.
    ///
    /// # Errors
    /// As [`attach_filter`].
    pub fn set_filter(
        &self,
        direction: Direction,
        filter: &[Instruction],
        snap_length: u32,
    ) -> io::Result<()> {
        attach_filter(
            self.socket.as_fd(),
            &with_direction(direction, filter, snap_length),
        )
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Ring {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: address and length of the mapping made in `on`; no `Block` can be alive, it would borrow `self`.
        let _ = unsafe { munmap(self.memory.cast(), self.block_size * self.block_count) };
    }
}

/// A filled block of a [`Ring`]; the kernel gets it back when this is dropped.
#[derive(Debug)]
pub struct Block<'ring> {
    ring: &'ring mut Ring,
    index: usize,
}

impl Block<'_> {
    fn bytes(&self) -> &[u8] {
        // SAFETY: the block lies in the mapping; its status says that it is ours until `drop`, so the kernel does not write to it
        // while the slice, which borrows `self`, lives.
        unsafe {
            std::slice::from_raw_parts(
                self.ring
                    .memory
                    .as_ptr()
                    .add(self.index * self.ring.block_size),
                self.ring.block_size,
            )
        }
    }

    /// Number of frames in the block.
    pub fn len(&self) -> usize {
        u32_at(self.bytes(), BLOCK_FRAMES).map_or(0, |count| count as usize)
    }

    /// Whether the block holds no frame.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keeps the block: the next call for a block gives it again.
    pub fn put_back(self) {
        std::mem::forget(self);
    }

    /// The frames, oldest first.
    pub fn frames(&self) -> Frames<'_> {
        let bytes = self.bytes();
        Frames {
            bytes,
            offset: u32_at(bytes, BLOCK_FIRST).unwrap_or(0) as usize,
            left: self.len(),
        }
    }
}

impl<'block> IntoIterator for &'block Block<'_> {
    type Item = RingFrame<'block>;
    type IntoIter = Frames<'block>;

    fn into_iter(self) -> Frames<'block> {
        self.frames()
    }
}

impl Drop for Block<'_> {
    fn drop(&mut self) {
        self.ring
            .status(self.index)
            .store(libc::TP_STATUS_KERNEL, Ordering::Release);
        self.ring.next = (self.index + 1) % self.ring.block_count;
    }
}

/// Iterator over the frames of a [`Block`].
#[derive(Clone, Debug)]
pub struct Frames<'block> {
    bytes: &'block [u8],
    offset: usize,
    left: usize,
}

impl<'block> Iterator for Frames<'block> {
    type Item = RingFrame<'block>;

    fn next(&mut self) -> Option<RingFrame<'block>> {
        if self.left == 0 {
            return None;
        }
        let record = self.bytes.get(self.offset..)?;
        let frame = parse_record(record)?;
        self.left -= 1;
        self.offset += u32_at(record, 0)? as usize;
        Some(frame)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left))
    }
}

/// One `struct tpacket3_hdr` with its address and bytes. `None` where the kernel's numbers do not fit the block.
#[inline]
fn parse_record(record: &[u8]) -> Option<RingFrame<'_>> {
    let fixed: &[u8; FRAME_HEADER + ADDRESS] = record.first_chunk()?;
    let word = |offset: usize| {
        u32::from_ne_bytes([
            fixed[offset],
            fixed[offset + 1],
            fixed[offset + 2],
            fixed[offset + 3],
        ])
    };
    let half = |offset: usize| u16::from_ne_bytes([fixed[offset], fixed[offset + 1]]);
    let status = word(20);
    let start = half(24) as usize;
    let bytes = record.get(start..start + word(12) as usize)?;
    let mut sender = [0; 8];
    sender.copy_from_slice(&fixed[FRAME_HEADER + 12..FRAME_HEADER + 20]);
    let vlan = (status & libc::TP_STATUS_VLAN_VALID != 0).then(|| Vlan {
        protocol: if status & libc::TP_STATUS_VLAN_TPID_VALID != 0 {
            half(36)
        } else {
            0x8100
        },
        control: word(32) as u16,
    });
    Some(RingFrame {
        bytes,
        header: FrameHeader {
            timestamp_ns: u64::from(word(4)) * 1_000_000_000 + u64::from(word(8)),
            original_length: word(16),
            interface: word(FRAME_HEADER + 4),
            hardware_type: half(FRAME_HEADER + 8),
            packet_type: PacketType::from_number(fixed[FRAME_HEADER + 10]),
            protocol: u16_at(fixed, FRAME_HEADER + 2).map_or(0, u16::from_be),
            sender,
            sender_length: fixed[FRAME_HEADER + 11],
            vlan,
            status,
        },
    })
}

/// Binds a packet socket to the interface it sends through; it receives nothing.
pub(crate) fn bind_for_sending(
    socket: BorrowedFd<'_>,
    interface: u32,
    bypass_queue: bool,
) -> Result<(), PacketError> {
    bind(socket, interface, 0).map_err(failed("bind of the packet socket"))?;
    if bypass_queue {
        set_option(socket, libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, &1_i32)
            .map_err(failed("setsockopt(PACKET_QDISC_BYPASS)"))?;
    }
    Ok(())
}

/// A packet socket that sends whole frames through one interface, and perhaps a ring for many at once.
#[derive(Debug)]
pub struct Sender {
    socket: OwnedFd,
    interface: u32,
    bypass_queue: bool,
    ring: Arc<OnceLock<Mutex<TransmitRing>>>,
    /// Bytes of the longest frame that was sent without a ring.
    longest: AtomicUsize,
}

/// Whether sending failed only because the queue of the interface has no place for the moment (ENOBUFS).
pub fn is_queue_full(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOBUFS)
}

/// Fewer frames than these are not worth the ring's lock and its look at each slot.
const RING_MINIMUM: usize = 8;

impl Sender {
    /// Binds `socket` (SOCK_RAW, protocol 0, so that it receives nothing) to an interface of its namespace.
    ///
    /// `bypass_queue` hands frames to the driver without the queueing discipline (PACKET_QDISC_BYPASS).
    ///
    /// # Errors
    /// ENODEV when there is no such interface; ENETDOWN is reported when sending.
    pub fn on(socket: OwnedFd, interface: u32, bypass_queue: bool) -> Result<Self, PacketError> {
        bind_for_sending(socket.as_fd(), interface, bypass_queue)?;
        Ok(Self {
            socket,
            interface,
            bypass_queue,
            ring: Arc::default(),
            longest: AtomicUsize::new(0),
        })
    }

    /// Sends many frames through a ring as soon as there is one, on another packet socket (SOCK_RAW, protocol 0) of the same namespace:
    /// one with a ring sends nothing but the ring. Its slots are as large as the longest frame that was sent until now; what does not
    /// fit one still takes the first socket.
    ///
    /// The kernel takes 10 ms and more to make it, since it waits until no processor uses what was there before (`packet_set_ring`), as
    /// long as 10,000 frames take. So a thread does it, and where the kernel refuses, frames go on as before.
    pub fn prepare_ring(&self, socket: OwnedFd) {
        let (interface, bypass_queue) = (self.interface, self.bypass_queue);
        let place = Arc::clone(&self.ring);
        let longest = self.longest.load(Ordering::Relaxed);
        // Without a thread there is no ring.
        let _ = std::thread::Builder::new()
            .name("transmit ring".into())
            .spawn(move || {
                if let Ok(ring) = TransmitRing::on(socket, interface, bypass_queue, longest) {
                    // A second one is dropped.
                    let _ = place.set(Mutex::new(ring));
                }
            });
    }

    /// Whether there is a ring by now.
    pub fn has_ring(&self) -> bool {
        self.ring.get().is_some()
    }

    /// Sends frames in as few calls as the kernel allows; returns how many were sent, at least one unless `frames` is empty.
    ///
    /// # Errors
    /// Of the first frame of the rest: EMSGSIZE when it is longer than the interface takes, ENETDOWN or ENXIO when that is down or gone,
    /// ENOBUFS, EINVAL when it is shorter than a link-layer header. Frames before it were sent.
    pub fn send<B: AsRef<[u8]>>(&self, frames: &[B]) -> io::Result<usize> {
        if let Some(ring) = self.ring.get() {
            // A thread that panicked left the ring as it was between two system calls.
            let mut ring = ring.lock().unwrap_or_else(PoisonError::into_inner);
            let capacity = ring.capacity();
            let fitting = frames
                .iter()
                .take_while(|frame| frame.as_ref().len() <= capacity)
                .count();
            if fitting >= RING_MINIMUM {
                return ring.send(&frames[..fitting]);
            }
        } else if let Some(longest) = frames.iter().map(|frame| frame.as_ref().len()).max() {
            self.longest.fetch_max(longest, Ordering::Relaxed);
        }
        self.send_messages(frames)
    }

    fn send_messages<B: AsRef<[u8]>>(&self, frames: &[B]) -> io::Result<usize> {
        const BATCH: usize = 256;
        let mut sent = 0;
        for chunk in frames.chunks(BATCH) {
            let mut vectors: [libc::iovec; BATCH] = [libc::iovec {
                iov_base: std::ptr::null_mut(),
                iov_len: 0,
            }; BATCH];
            // SAFETY: mmsghdr is plain old data; all zeroes means no address, no control data, no flags.
            let mut messages: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
            for ((frame, vector), message) in chunk.iter().zip(&mut vectors).zip(&mut messages) {
                let bytes = frame.as_ref();
                vector.iov_base = bytes.as_ptr().cast_mut().cast();
                vector.iov_len = bytes.len();
                message.msg_hdr.msg_iov = vector;
                message.msg_hdr.msg_iovlen = 1;
            }
            // SAFETY: `messages` has at least `chunk.len()` entries, each naming one live iovec over a live slice that sendmmsg
            // only reads.
            let result = unsafe {
                libc::sendmmsg(
                    self.socket.as_raw_fd(),
                    messages.as_mut_ptr(),
                    chunk.len() as u32,
                    0,
                )
            };
            match usize::try_from(result) {
                Ok(count) => {
                    sent += count;
                    if count < chunk.len() {
                        break;
                    }
                }
                Err(_) if sent > 0 => break,
                Err(_) => return Err(io::Error::last_os_error()),
            }
        }
        Ok(sent)
    }
}

impl AsFd for Sender {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::time::Instant;

    /// The caller's right to packet sockets decides which half of a test runs; both halves check something.
    fn ring(options: &RingOptions) -> Option<Ring> {
        match Ring::open(options) {
            Ok(ring) => Some(ring),
            Err(error) => {
                assert_eq!(error.error.raw_os_error(), Some(libc::EPERM), "{error}");
                None
            }
        }
    }

    /// Index of `lo`, which is 1 in every network namespace.
    const LOOPBACK: u32 = 1;

    fn small() -> RingOptions {
        RingOptions {
            interface: Some(LOOPBACK),
            block_size: 1 << 17,
            block_count: 4,
            ..RingOptions::default()
        }
    }

    /// Collects frames to `port` until `count` were seen.
    fn collect(ring: &mut Ring, port: u16, count: usize) -> Vec<(Vec<u8>, FrameHeader)> {
        let end = Instant::now() + Duration::from_secs(10);
        let mut found = Vec::new();
        while found.len() < count && Instant::now() < end {
            if let Some(block) = ring
                .next_block(Some(Duration::from_millis(200)))
                .expect("a healthy ring")
            {
                found.extend(
                    block
                        .frames()
                        .filter(|frame| frame.bytes.get(36..38) == Some(&port.to_be_bytes()))
                        .map(|frame| (frame.bytes.to_vec(), frame.header)),
                );
            }
        }
        found
    }

    #[test]
    fn each_loopback_frame_is_seen_once_with_its_facts() {
        let Some(mut ring) = ring(&small()) else {
            return;
        };
        let receiver = UdpSocket::bind("127.0.0.1:0").expect("loopback");
        let sender = UdpSocket::bind("127.0.0.1:0").expect("loopback");
        let address = receiver.local_addr().expect("bound");
        for number in 0..50_u8 {
            sender.send_to(&[number; 100], address).expect("sent");
        }
        let frames = collect(&mut ring, address.port(), 50);
        let numbers: Vec<u8> = frames.iter().map(|(bytes, _)| bytes[42]).collect();
        assert_eq!(numbers, (0..50).collect::<Vec<u8>>());
        let (bytes, header) = &frames[0];
        assert_eq!(bytes.len(), 142);
        assert_eq!(header.original_length, 142);
        assert_eq!(header.interface, LOOPBACK);
        assert_eq!(header.hardware_type, HARDWARE_LOOPBACK);
        assert_eq!(header.packet_type, PacketType::Host);
        assert_eq!(header.protocol, 0x0800);
        assert!(header.vlan.is_none());
        assert!(
            frames
                .windows(2)
                .all(|pair| pair[0].1.timestamp_ns <= pair[1].1.timestamp_ns)
        );
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .expect("after 1970")
            .as_nanos() as u64;
        assert!(now.abs_diff(header.timestamp_ns) < 60_000_000_000);
        assert_eq!(ring.statistics().expect("statistics").dropped, 0);
    }

    #[test]
    fn raw_direction_shows_both_copies_and_snap_length_cuts() {
        let Some(mut ring) = ring(&RingOptions {
            direction: Direction::Raw,
            snap_length: 60,
            ..small()
        }) else {
            return;
        };
        let receiver = UdpSocket::bind("127.0.0.1:0").expect("loopback");
        let address = receiver.local_addr().expect("bound");
        receiver.send_to(&[1; 500], address).expect("sent");
        let frames = collect(&mut ring, address.port(), 2);
        let types: Vec<PacketType> = frames
            .iter()
            .map(|(_, header)| header.packet_type)
            .collect();
        assert_eq!(types, [PacketType::Outgoing, PacketType::Host]);
        assert!(
            frames
                .iter()
                .all(|(bytes, header)| bytes.len() == 60 && header.original_length == 542)
        );
    }

    #[test]
    fn a_full_ring_counts_what_it_loses() {
        let options = RingOptions {
            block_size: 4096,
            block_count: 2,
            ..small()
        };
        let Some(mut ring) = ring(&options) else {
            return;
        };
        let receiver = UdpSocket::bind("127.0.0.1:0").expect("loopback");
        let address = receiver.local_addr().expect("bound");
        for _ in 0..200 {
            receiver.send_to(&[1; 500], address).expect("sent");
        }
        let statistics = ring.statistics().expect("statistics");
        assert!(
            statistics.dropped > 0 && statistics.dropped <= statistics.seen,
            "{statistics:?}"
        );
        // Numbers add up over calls although the kernel resets its own.
        let again = ring.statistics().expect("statistics");
        assert!(again.dropped >= statistics.dropped && again.seen >= statistics.seen);
    }

    #[test]
    fn a_filter_decides_before_the_copy() {
        let drop_all = vec![Instruction::new(BPF_RETURN, 0)];
        let Some(mut ring) = ring(&RingOptions {
            filter: drop_all,
            ..small()
        }) else {
            return;
        };
        let receiver = UdpSocket::bind("127.0.0.1:0").expect("loopback");
        let address = receiver.local_addr().expect("bound");
        receiver.send_to(&[1; 500], address).expect("sent");
        assert_eq!(ring.statistics().expect("statistics").seen, 0);
        ring.set_filter(Direction::Both, &[], 1 << 18)
            .expect("a valid filter");
        receiver.send_to(&[2; 500], address).expect("sent");
        let frames = collect(&mut ring, address.port(), 1);
        assert_eq!(frames[0].0[42], 2);
    }

    #[test]
    fn a_program_that_jumps_out_is_refused() {
        let Some(ring) = ring(&small()) else { return };
        let error = ring
            .set_filter(
                Direction::Raw,
                &[Instruction::jump(BPF_JUMP_EQUAL, 1, 200, 200)],
                0,
            )
            .expect_err("refused");
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
    }

    #[test]
    fn a_missing_interface_is_named_by_the_call() {
        if ring(&small()).is_none() {
            return;
        }
        let error = Ring::open(&RingOptions {
            interface: Some(999_999),
            ..small()
        })
        .expect_err("no such interface");
        assert_eq!(error.error.raw_os_error(), Some(libc::ENODEV));
        assert_eq!(error.call, "bind of the packet socket");
    }

    #[test]
    fn frames_are_sent_whole() {
        let Some(mut ring) = ring(&small()) else {
            return;
        };
        let sender =
            Sender::on(packet_socket().expect("as the ring"), LOOPBACK, false).expect("lo");
        // An unassigned EtherType, so no protocol of this host takes them; bytes 36..38 are the mark that `collect` looks for.
        let frames: Vec<Vec<u8>> = (0..600_u32)
            .map(|number| {
                let mut frame = vec![0_u8; 60];
                frame[12..14].copy_from_slice(&[0x88, 0xb5]);
                frame[36..38].copy_from_slice(&[0xab, 0xcd]);
                frame[40..44].copy_from_slice(&number.to_be_bytes());
                frame
            })
            .collect();
        assert_eq!(sender.send(&frames).expect("sent"), 600);
        let seen = collect(&mut ring, 0xabcd, 600);
        assert_eq!(
            seen.into_iter().map(|(bytes, _)| bytes).collect::<Vec<_>>(),
            frames
        );
        let error = sender.send(&[vec![0_u8; 3]]).expect_err("too short");
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL));

        // The same through the ring, where 600 are more than it has slots.
        sender.prepare_ring(packet_socket().expect("as the ring"));
        let end = Instant::now() + Duration::from_secs(20);
        while !sender.has_ring() {
            assert!(Instant::now() < end, "this kernel gives no ring");
            std::thread::sleep(Duration::from_millis(1));
        }
        let mut sent = 0;
        while sent < frames.len() {
            match sender.send(&frames[sent..]) {
                Ok(count) => sent += count,
                Err(error) => assert!(is_queue_full(&error), "{error}"),
            }
        }
        let seen = collect(&mut ring, 0xabcd, 600);
        assert_eq!(
            seen.into_iter().map(|(bytes, _)| bytes).collect::<Vec<_>>(),
            frames
        );
        // Eight are enough for the ring: the third meets the error, those before it are sent, those behind it are not.
        let mut wrong = frames[..8].to_vec();
        wrong[2].truncate(3);
        assert_eq!(sender.send(&wrong).expect("two"), 2);
        wrong.rotate_left(2);
        let error = sender.send(&wrong).expect_err("too short");
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
        assert_eq!(sender.send(&frames[8..16]).expect("eight"), 8);
        let expected: Vec<_> = frames[..2].iter().chain(&frames[8..16]).cloned().collect();
        let seen = collect(&mut ring, 0xabcd, 10);
        assert_eq!(
            seen.into_iter().map(|(bytes, _)| bytes).collect::<Vec<_>>(),
            expected
        );
    }
}
