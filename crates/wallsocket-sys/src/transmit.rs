//! A ring of frames to send, shared with the kernel (PACKET_TX_RING): one system call sends many, without a copy of each.
//!
//! Sources: packet(7); `Documentation/networking/packet_mmap.rst`; `net/packet/af_packet.c` (`tpacket_snd`), which says how an error
//! leaves the ring: the frame that met it keeps TP_STATUS_SEND_REQUEST, or gets TP_STATUS_WRONG_FORMAT, and the kernel looks at the
//! same slot again at the next call.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::packet::{Mapping, PacketError, bind_for_sending, failed, set_option};

/// The smallest and the largest slot in bytes. Powers of two, so that slots fill a page without a gap.
///
/// A slot is as small as the frames allow: slots a large power of two apart share few lines of the processor's caches.
const SMALLEST: usize = 128;
const LARGEST: usize = 2048;
const SLOTS: usize = 256;
/// Bytes of a block at most, which the kernel allocates in one piece.
const BLOCK: usize = 1 << 16;

// Offsets in `struct tpacket2_hdr`; the frame follows it.
const STATUS: usize = 0;
const FRAME_LENGTH: usize = 4;
const FRAME: usize = size_of::<libc::tpacket2_hdr>();

// Every block is made of whole pages, and every ring of whole blocks.
const _: () = assert!(
    FRAME == 32 && (SMALLEST * SLOTS).is_multiple_of(4096) && BLOCK.is_multiple_of(LARGEST)
);
const _: () =
    assert!(SMALLEST.is_power_of_two() && LARGEST.is_power_of_two() && SLOTS.is_power_of_two());

/// Bytes of a slot for frames of this length.
fn slot_for(longest: usize) -> usize {
    longest
        .saturating_add(FRAME)
        .clamp(SMALLEST, LARGEST)
        .next_power_of_two()
}

/// How long the kernel may wait for a place in the queue before it tells, so that a caller can look after its signals.
const PATIENCE: libc::timeval = libc::timeval {
    tv_sec: 0,
    tv_usec: 100_000,
};

/// Slots that are filled here and emptied by the kernel, in turn, on a socket of their own.
///
/// Between calls no slot waits to be sent: each is free, or being sent.
pub struct TransmitRing {
    socket: OwnedFd,
    memory: Mapping,
    /// Bytes of a slot.
    slot: usize,
    /// The slot that the kernel looks at next.
    next: usize,
}

impl fmt::Debug for TransmitRing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TransmitRing")
            .field("socket", &self.socket)
            .field("slot", &self.slot)
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

impl TransmitRing {
    /// Makes a ring on `socket` (SOCK_RAW, protocol 0) and binds it to an interface of its namespace. Nothing else can be sent through
    /// the socket any more. Its slots are for frames of `longest` bytes, as far as they may be so large.
    ///
    /// # Errors
    /// ENODEV when there is no such interface; ENOMEM when the kernel cannot give the memory; EINVAL or ENOPROTOOPT where the kernel
    /// has no such rings.
    pub fn on(
        socket: OwnedFd,
        interface: u32,
        bypass_queue: bool,
        longest: usize,
    ) -> Result<Self, PacketError> {
        let slot = slot_for(longest);
        let length = slot * SLOTS;
        let block = length.min(BLOCK);
        let handle = socket.as_fd();
        let version = libc::tpacket_versions::TPACKET_V2 as libc::c_int;
        set_option(handle, libc::SOL_PACKET, libc::PACKET_VERSION, &version)
            .map_err(failed("setsockopt(PACKET_VERSION, TPACKET_V2)"))?;
        set_option(handle, libc::SOL_SOCKET, libc::SO_SNDTIMEO, &PATIENCE)
            .map_err(failed("setsockopt(SO_SNDTIMEO)"))?;
        let request = libc::tpacket_req {
            tp_block_size: block as u32,
            tp_block_nr: (length / block) as u32,
            tp_frame_size: slot as u32,
            tp_frame_nr: SLOTS as u32,
        };
        set_option(handle, libc::SOL_PACKET, libc::PACKET_TX_RING, &request)
            .map_err(failed("setsockopt(PACKET_TX_RING)"))?;
        let memory = Mapping::of(&socket, length).map_err(failed("mmap of the ring"))?;
        let ring = Self {
            socket,
            memory,
            slot,
            next: 0,
        };
        bind_for_sending(ring.socket.as_fd(), interface, bypass_queue)?;
        Ok(ring)
    }

    /// The longest frame that fits a slot.
    pub const fn capacity(&self) -> usize {
        self.slot - FRAME
    }

    /// The status word of slot `index`, which the kernel and this program write in turn.
    fn status(&self, index: usize) -> &AtomicU32 {
        self.memory.status(index * self.slot + STATUS)
    }

    /// Whether the slot is ours to fill. The bits above say how the kernel took the time of sending.
    fn is_free(&self, index: usize) -> bool {
        self.status(index).load(Ordering::Acquire)
            & (libc::TP_STATUS_SEND_REQUEST
                | libc::TP_STATUS_SENDING
                | libc::TP_STATUS_WRONG_FORMAT)
            == libc::TP_STATUS_AVAILABLE
    }

    /// Writes a frame into a free slot and asks for it to be sent with the next call.
    fn fill(&mut self, index: usize, frame: &[u8]) {
        // SAFETY: the slot's status says that it is ours, so the kernel neither reads nor writes it before the store below, and the
        // slice ends before that.
        let slot = unsafe {
            self.memory
                .bytes_mut(index * self.slot + FRAME_LENGTH, self.slot - FRAME_LENGTH)
        };
        slot[..size_of::<u32>()].copy_from_slice(&(frame.len() as u32).to_ne_bytes());
        slot[FRAME - FRAME_LENGTH..][..frame.len()].copy_from_slice(frame);
        self.status(index)
            .store(libc::TP_STATUS_SEND_REQUEST, Ordering::Release);
    }

    /// Has the kernel send what was filled in; the bytes that it took. With `wait` it first lets go of what is being sent.
    fn kick(&self, wait: bool) -> io::Result<usize> {
        let flags = if wait { 0 } else { libc::MSG_DONTWAIT };
        // SAFETY: no bytes are passed: the pointer is null and the length 0.
        let result = unsafe { libc::send(self.socket.as_raw_fd(), std::ptr::null(), 0, flags) };
        usize::try_from(result).map_err(|_| io::Error::last_os_error())
    }

    /// Sends frames of at most [`Self::capacity`] bytes; how many were handed over, at least one unless `frames` is empty.
    ///
    /// # Errors
    /// Of the first frame of the rest, as [`crate::packet::Sender::send`] tells them; ENOBUFS also when there was no place for a tenth
    /// of a second.
    pub fn send<B: AsRef<[u8]>>(&mut self, frames: &[B]) -> io::Result<usize> {
        let mut sent = 0;
        while sent < frames.len() {
            match self.round(&frames[sent..]) {
                Ok(count) => sent += count,
                Err(_) if sent > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    }

    /// Fills the free slots and sends them once.
    fn round<B: AsRef<[u8]>>(&mut self, frames: &[B]) -> io::Result<usize> {
        let first = self.next;
        if !self.is_free(first) {
            // Each slot is being sent. Where the wait ends too early for all of them, the first may be free nevertheless.
            self.kick(true).map_err(no_place).or_else(|error| {
                if error.raw_os_error() == Some(libc::ENOBUFS) && self.is_free(first) {
                    Ok(0)
                } else {
                    Err(error)
                }
            })?;
        }
        let mut filled = 0;
        let mut bytes = 0;
        for frame in frames.iter().take(SLOTS) {
            let index = (first + filled) % SLOTS;
            if !self.is_free(index) {
                break;
            }
            let frame = frame.as_ref();
            self.fill(index, frame);
            bytes += frame.len();
            filled += 1;
        }
        let mut result = self.kick(false);
        if matches!(&result, Err(error) if error.raw_os_error() == Some(libc::EAGAIN)) {
            // The send buffer of the socket is full.
            result = self.kick(true);
        }
        let mut taken = filled;
        if !matches!(&result, Ok(count) if *count == bytes) {
            taken = (0..filled)
                .take_while(|at| {
                    let status = self.status((first + at) % SLOTS).load(Ordering::Acquire);
                    status & (libc::TP_STATUS_SEND_REQUEST | libc::TP_STATUS_WRONG_FORMAT) == 0
                })
                .count();
            // What the kernel did not come to is ours again: it only looks at a slot within a call.
            for at in taken..filled {
                self.status((first + at) % SLOTS)
                    .store(libc::TP_STATUS_AVAILABLE, Ordering::Release);
            }
        }
        self.next = (first + taken) % SLOTS;
        match result {
            Err(error) if taken == 0 => Err(no_place(error)),
            Ok(_) if taken == 0 => Err(io::Error::from_raw_os_error(libc::ENOBUFS)),
            _ => Ok(taken),
        }
    }
}

/// A wait that lasted too long is told as a full queue.
fn no_place(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::ETIMEDOUT) => io::Error::from_raw_os_error(libc::ENOBUFS),
        _ => error,
    }
}
