//! The TPACKET_V3 receive ring: blocks that the kernel fills and this program gives back.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::filter::with_direction;
use super::frame::BLOCK_STATUS;
use super::{
    Direction, Frames, Instruction, Mapping, PacketError, RingFrame, attach_filter, bind, failed,
    packet_socket, pending_error, set_option,
};

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

/// A TPACKET_V3 receive ring: frames are read where the kernel put them.
pub struct Ring {
    socket: OwnedFd,
    memory: Mapping,
    block_size: usize,
    block_count: usize,
    next: usize,
    statistics: Statistics,
}

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
        let memory = block_size
            .checked_mul(options.block_count)
            .ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))
            .and_then(|length| Mapping::of(&socket, length))
            .map_err(failed("mmap of the ring"))?;
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
        self.memory.status(index * self.block_size + BLOCK_STATUS)
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

/// A filled block of a [`Ring`]; the kernel gets it back when this is dropped.
#[derive(Debug)]
pub struct Block<'ring> {
    ring: &'ring mut Ring,
    index: usize,
}

impl Block<'_> {
    fn bytes(&self) -> &[u8] {
        let size = self.ring.block_size;
        // SAFETY: its status says that the block is ours until `drop`, which the slice, borrowing `self`, does not outlive.
        unsafe { self.ring.memory.bytes(self.index * size, size) }
    }

    /// Number of frames in the block.
    pub fn len(&self) -> usize {
        self.frames().left()
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
        Frames::of(self.bytes())
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
