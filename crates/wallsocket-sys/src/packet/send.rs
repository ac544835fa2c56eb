//! Sending whole frames: with one call for many, or through a ring once there is one.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::{PacketError, bind, failed, set_option};
use crate::transmit::TransmitRing;

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
            match send_at_once::<BATCH, B>(self.socket.as_fd(), chunk, 0) {
                Ok(count) => {
                    sent += count;
                    if count < chunk.len() {
                        break;
                    }
                }
                Err(_) if sent > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    }
}

/// Sends the first `MOST` of the frames at most through a bound packet socket with one call; how many the kernel took.
#[inline]
pub(crate) fn send_at_once<const MOST: usize, B: AsRef<[u8]>>(
    socket: BorrowedFd<'_>,
    frames: &[B],
    flags: i32,
) -> io::Result<usize> {
    let count = frames.len().min(MOST);
    let mut vectors: [libc::iovec; MOST] = [libc::iovec {
        iov_base: std::ptr::null_mut(),
        iov_len: 0,
    }; MOST];
    // SAFETY: mmsghdr is plain old data; all zeroes means no address, no control data, no flags.
    let mut messages: [libc::mmsghdr; MOST] = unsafe { std::mem::zeroed() };
    for ((frame, vector), message) in frames.iter().zip(&mut vectors).zip(&mut messages) {
        let bytes = frame.as_ref();
        vector.iov_base = bytes.as_ptr().cast_mut().cast();
        vector.iov_len = bytes.len();
        message.msg_hdr.msg_iov = vector;
        message.msg_hdr.msg_iovlen = 1;
    }
    // SAFETY: the first `count` messages each name one live iovec over a live slice that sendmmsg only reads.
    let sent = unsafe {
        libc::sendmmsg(
            socket.as_raw_fd(),
            messages.as_mut_ptr(),
            count as u32,
            flags,
        )
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

impl AsFd for Sender {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
