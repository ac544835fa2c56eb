//! What a forwarder of frames needs: a receive ring without block timeout, sending many frames at once, offload switches.
//!
//! The ring is TPACKET_V2 on purpose: it hands over each frame when it arrives. TPACKET_V3, made for capturing, hands over blocks,
//! and a block that is not full waits for its timeout, which would be the delay of every idle link
//! (Documentation/networking/packet_mmap.rst in the kernel).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::packet::{Mapping, bind, send_at_once, set_option};

/// Most frames one call of [`send_frames`] takes.
pub const BATCH: usize = 64;

/// Bytes the kernel puts before a frame of a SOCK_RAW socket: TPACKET_ALIGN(TPACKET2_HDRLEN) + 16, rounded up (af_packet.c, tpacket_rcv).
const HEADER_ROOM: usize = 96;

/// One frame in the ring; valid until [`FrameRing::release`].
#[derive(Debug, Clone, Copy)]
pub struct Frame<'ring> {
    /// From the destination MAC address on, without a VLAN tag that the kernel took off (see `vlan`).
    pub bytes: &'ring [u8],
    /// Length before the ring cut it; greater than `bytes.len()` when it did not fit.
    pub original_length: usize,
    /// The outermost 802.1Q tag: protocol identifier and tag control information.
    pub vlan: Option<(u16, u16)>,
    /// The sender left the transport checksum to the hardware: the field holds only the pseudo header's sum.
    pub checksum_pending: bool,
}

/// The receive ring of one packet socket.
#[derive(Debug)]
pub struct FrameRing {
    socket: OwnedFd,
    memory: Mapping,
    slot: usize,
    slots: usize,
    /// Next slot the kernel fills for us.
    head: usize,
}

impl FrameRing {
    /// Maps a ring of at least `slots` frames of up to `frame_length` bytes and binds `socket` (AF_PACKET, SOCK_RAW, protocol 0) to an interface.
    ///
    /// From then on everything that arrives there, and nothing that leaves there, is in the ring.
    pub fn open(
        socket: OwnedFd,
        interface_index: i32,
        frame_length: usize,
        slots: usize,
    ) -> io::Result<Self> {
        let slot = (frame_length + HEADER_ROOM).next_power_of_two().max(2048);
        let block = slot.max(1 << 16);
        let blocks = (slots.max(1) * slot).div_ceil(block);
        let slots = blocks * block / slot;
        let handle = socket.as_fd();
        let version = libc::tpacket_versions::TPACKET_V2 as libc::c_int;
        set_option(handle, libc::SOL_PACKET, libc::PACKET_VERSION, &version)?;
        set_option(
            handle,
            libc::SOL_PACKET,
            libc::PACKET_IGNORE_OUTGOING,
            &1_i32,
        )?;
        let request = libc::tpacket_req {
            tp_block_size: block as u32,
            tp_block_nr: blocks as u32,
            tp_frame_size: slot as u32,
            tp_frame_nr: slots as u32,
        };
        set_option(handle, libc::SOL_PACKET, libc::PACKET_RX_RING, &request)?;
        let memory = Mapping::of(&socket, blocks * block)?;
        let ring = Self {
            socket,
            memory,
            slot,
            slots,
            head: 0,
        };
        bind(
            ring.socket.as_fd(),
            interface_index.cast_unsigned(),
            libc::ETH_P_ALL as u16,
        )?;
        Ok(ring)
    }

    /// The packet socket, for waiting and for sending to its interface.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Frames that it holds.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Where the slot `ahead` places after the oldest one begins.
    fn slot_at(&self, ahead: usize) -> usize {
        (self.head + ahead) % self.slots * self.slot
    }

    fn status(&self, ahead: usize) -> &AtomicU32 {
        let field = std::mem::offset_of!(libc::tpacket2_hdr, tp_status);
        self.memory.status(self.slot_at(ahead) + field)
    }

    /// The frame `ahead` places after the oldest one, when it has arrived.
    pub fn peek(&self, ahead: usize) -> Option<Frame<'_>> {
        if ahead >= self.slots {
            return None;
        }
        let status = self.status(ahead).load(Ordering::Acquire);
        if status & libc::TP_STATUS_USER == 0 {
            return None;
        }
        // SAFETY: TP_STATUS_USER hands the slot to us until release() gives it back, and release() needs `&mut self`,
        // which no frame borrowed from `&self` outlives; the kernel does not write to it meanwhile.
        let slot = unsafe { self.memory.bytes(self.slot_at(ahead), self.slot) };
        // SAFETY: a slot is longer than its header, starts aligned to its size, and the header is plain integers.
        let header = unsafe { slot.as_ptr().cast::<libc::tpacket2_hdr>().read() };
        let bytes = slot.get(usize::from(header.tp_mac)..).unwrap_or_default();
        let bytes = &bytes[..bytes.len().min(header.tp_snaplen as usize)];
        let vlan = (status & libc::TP_STATUS_VLAN_VALID != 0).then(|| {
            let known = status & libc::TP_STATUS_VLAN_TPID_VALID != 0;
            (
                if known { header.tp_vlan_tpid } else { 0x8100 },
                header.tp_vlan_tci,
            )
        });
        Some(Frame {
            bytes,
            original_length: header.tp_len as usize,
            vlan,
            checksum_pending: status & libc::TP_STATUS_CSUMNOTREADY != 0,
        })
    }

    /// Gives the oldest `count` frames back to the kernel.
    pub fn release(&mut self, count: usize) {
        for _ in 0..count {
            self.status(0)
                .store(libc::TP_STATUS_KERNEL, Ordering::Release);
            self.head = (self.head + 1) % self.slots;
        }
    }

    /// Frames lost since the last call because the ring was full.
    pub fn lost(&self) -> io::Result<u32> {
        let mut statistics = libc::tpacket_stats {
            tp_packets: 0,
            tp_drops: 0,
        };
        let mut length = size_of::<libc::tpacket_stats>() as libc::socklen_t;
        // SAFETY: the kernel writes at most `length` bytes into a value of that size.
        let result = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut statistics).cast(),
                &raw mut length,
            )
        };
        if result < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(statistics.tp_drops)
        }
    }
}

/// Sends up to [`BATCH`] frames through a bound packet socket with one call; how many the kernel took. It never blocks.
pub fn send_frames(socket: BorrowedFd<'_>, frames: &[&[u8]]) -> io::Result<usize> {
    send_at_once::<BATCH, &[u8]>(socket, frames, libc::MSG_DONTWAIT)
}

/// Asks the scheduler to run the calling thread soon after it wakes, for a short time: a request for a slice of 100 µs, which
/// brings its deadline forward (sched_setattr(2); Linux 6.12 is the first to heed it for ordinary threads).
pub fn request_short_slices() -> io::Result<()> {
    /// struct sched_attr of Linux 3.14 (include/uapi/linux/sched/types.h); 0 is SCHED_OTHER and a nice value of 0.
    #[repr(C)]
    #[derive(Default)]
    struct Attributes {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime_ns: u64,
        deadline_ns: u64,
        period_ns: u64,
    }
    /// SCHED_FLAG_KEEP_POLICY: leave the policy as it is.
    const KEEP_POLICY: u64 = 0x08;
    let mut attributes = Attributes {
        size: size_of::<Attributes>() as u32,
        ..Attributes::default()
    };
    // SAFETY: the kernel writes at most the given size into a structure of that size; 0 is the calling thread.
    let read = unsafe {
        libc::syscall(
            libc::SYS_sched_getattr,
            0,
            &raw mut attributes,
            attributes.size,
            0,
        )
    };
    if read < 0 {
        return Err(io::Error::last_os_error());
    }
    attributes.flags |= KEEP_POLICY;
    attributes.runtime_ns = 100_000;
    // SAFETY: the kernel reads a structure whose size it is told, which outlives the call.
    let set = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if set < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// One value of ethtool's interface (include/uapi/linux/ethtool.h) of `interface` in the network namespace of `socket`.
fn ethtool(socket: BorrowedFd<'_>, interface: &str, command: u32, data: u32) -> io::Result<u32> {
    #[repr(C)]
    struct Value {
        command: u32,
        data: u32,
    }
    if interface.len() >= libc::IFNAMSIZ {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    let mut value = Value { command, data };
    // SAFETY: ifreq is plain integers, bytes and a pointer, for which all zeroes is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_data = (&raw mut value).cast();
    // SAFETY: SIOCETHTOOL reads the request and reads and writes the ethtool_value it points to; both outlive the call.
    if unsafe {
        libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCETHTOOL as libc::Ioctl,
            &raw mut request,
        )
    } < 0
    {
        return Err(io::Error::last_os_error());
    }
    Ok(value.data)
}

/// Turns off what lets an interface pass frames that would not exist on a wire: checksums left undone, frames above the MTU.
pub fn disable_offloads(socket: BorrowedFd<'_>, interface: &str) -> io::Result<()> {
    /// Transmit checksums.
    const ETHTOOL_STXCSUM: u32 = 0x17;
    /// Scatter-gather; without it the kernel drops segmentation (TSO, GSO) as well.
    const ETHTOOL_SSG: u32 = 0x19;
    /// Generic receive offload.
    const ETHTOOL_SGRO: u32 = 0x2c;
    for command in [ETHTOOL_STXCSUM, ETHTOOL_SSG, ETHTOOL_SGRO] {
        ethtool(socket, interface, command, 0)?;
    }
    Ok(())
}

/// Whether `interface` can transmit. Asking makes the kernel finish a pending change of the carrier (ethtool_op_get_link), so
/// after a `true` no frame is lost to it.
pub fn has_carrier(socket: BorrowedFd<'_>, interface: &str) -> io::Result<bool> {
    const ETHTOOL_GLINK: u32 = 0x0a;
    Ok(ethtool(socket, interface, ETHTOOL_GLINK, 0)? != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::open;

    #[test]
    fn names_that_no_interface_can_have_are_refused() {
        let any = open(libc::AF_INET, libc::SOCK_DGRAM, 0).expect("socket");
        let error = has_carrier(any.as_fd(), "a-name-longer-than-fifteen").expect_err("too long");
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
    }

    #[test]
    fn loopback_has_a_carrier_or_is_down() {
        let any = open(libc::AF_INET, libc::SOCK_DGRAM, 0).expect("socket");
        has_carrier(any.as_fd(), "lo").expect("lo exists everywhere");
    }

    #[test]
    fn short_slices_are_granted_to_anyone() {
        std::thread::spawn(request_short_slices)
            .join()
            .expect("join")
            .expect("sched_setattr");
    }

    #[test]
    fn sending_nothing_is_nothing() {
        let any = open(libc::AF_INET, libc::SOCK_DGRAM, 0).expect("socket");
        assert_eq!(send_frames(any.as_fd(), &[]).expect("empty"), 0);
    }
}
