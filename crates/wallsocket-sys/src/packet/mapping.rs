//! The memory of a packet socket's ring, which the kernel and this program write in turn.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU32;

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// A ring's memory, mapped until this is dropped. Whose turn it is says a status word in each part of it.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: the mapping belongs to this value alone, and moving it moves that right.
unsafe impl Send for Mapping {}

// SAFETY: through `&self` only atomic words are reached without unsafe code; who lends bytes vouches for them.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the ring that was made on `socket`, of `length` bytes.
    ///
    /// # Errors
    /// EINVAL when it is not as long.
    pub(crate) fn of(socket: impl AsFd, length: usize) -> io::Result<Self> {
        let size =
            NonZeroUsize::new(length).ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
        // SAFETY: a new shared mapping at an address of the kernel's choice; the kernel refuses a length that is not the ring's.
        let start = unsafe {
            mmap(
                None,
                size,
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
                MapFlags::MAP_SHARED,
                socket,
                0,
            )
        }?;
        Ok(Self {
            start: start.cast(),
            length,
        })
    }

    /// Where `length` bytes at `offset` begin.
    ///
    /// # Panics
    /// When they are not all within the mapping.
    fn part(&self, offset: usize, length: usize) -> NonNull<u8> {
        let end = offset.checked_add(length);
        assert!(
            end.is_some_and(|end| end <= self.length),
            "a part of the ring"
        );
        // SAFETY: within the mapping, as was asserted.
        unsafe { self.start.add(offset) }
    }

    /// The status word at `offset`.
    ///
    /// # Panics
    /// When it is not within the mapping, or not aligned.
    pub(crate) fn status(&self, offset: usize) -> &AtomicU32 {
        assert!(offset.is_multiple_of(align_of::<AtomicU32>()));
        let word = self.part(offset, size_of::<AtomicU32>());
        // SAFETY: the word lies in the mapping, which lives as long as `self` and starts at a page, so it is aligned; the kernel
        // writes it as one aligned word.
        unsafe { AtomicU32::from_ptr(word.cast().as_ptr()) }
    }

    /// Bytes of the ring.
    ///
    /// # Safety
    /// Their status says that they are this program's, and that is not taken back while the slice lives.
    ///
    /// # Panics
    /// When they are not all within the mapping.
    pub(crate) unsafe fn bytes(&self, offset: usize, length: usize) -> &[u8] {
        // SAFETY: within the mapping, which lives as long as `self`; that the kernel does not write to them is the caller's word.
        unsafe { std::slice::from_raw_parts(self.part(offset, length).as_ptr(), length) }
    }

    /// Bytes of the ring, to be written.
    ///
    /// # Safety
    /// As [`Mapping::bytes`]; the status word is not among them.
    ///
    /// # Panics
    /// When they are not all within the mapping.
    pub(crate) unsafe fn bytes_mut(&mut self, offset: usize, length: usize) -> &mut [u8] {
        // SAFETY: as above, and `&mut self` says that nothing else of this program reads or writes them.
        unsafe { std::slice::from_raw_parts_mut(self.part(offset, length).as_ptr(), length) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: address and length of the mapping made above, from which nothing borrows any more. What is still being sent
        // keeps its pages.
        let _ = unsafe { munmap(self.start.cast(), self.length) };
    }
}
