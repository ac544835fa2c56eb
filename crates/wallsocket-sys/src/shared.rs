//! Memory that another process gave us a descriptor of, which it goes on to write.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// A mapping of a memory file (memfd_create(2)) that nobody can shorten any more.
///
/// The other process may change any byte at any time: what must be consistent is read by [`Shared::load`], or copied out first.
#[derive(Debug)]
pub struct Shared {
    mapping: NonNull<u8>,
    length: usize,
}

// SAFETY: every access is by atomic or volatile operations on memory that is shared with another process anyway.
unsafe impl Send for Shared {}

impl Shared {
    /// Maps the first `length` bytes of `file`, and seals it, so that an access never meets its end (SIGBUS).
    ///
    /// # Errors
    /// EINVAL when it is shorter, EPERM when it cannot be sealed.
    pub fn map(file: BorrowedFd<'_>, length: usize) -> io::Result<Self> {
        let fd = file.as_raw_fd();
        // SAFETY: fcntl with integers only.
        if unsafe {
            libc::fcntl(
                fd,
                libc::F_ADD_SEALS,
                libc::F_SEAL_SHRINK | libc::F_SEAL_SEAL,
            )
        } < 0
        {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a structure of integers, for which zero is a value; the kernel fills it.
        let size = unsafe {
            let mut status: libc::stat = std::mem::zeroed();
            if libc::fstat(fd, &raw mut status) < 0 {
                return Err(io::Error::last_os_error());
            }
            status.st_size
        };
        if size < length as i64 || length == 0 {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        // SAFETY: a new mapping at an address of the kernel's choice.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                fd,
                0,
            )
        };
        let mapping = NonNull::new(address.cast::<u8>())
            .filter(|_| address != libc::MAP_FAILED)
            .ok_or_else(io::Error::last_os_error)?;
        Ok(Self { mapping, length })
    }

    fn word(&self, offset: usize) -> Option<&AtomicU64> {
        (offset.is_multiple_of(8) && offset.checked_add(8)? <= self.length)
            // SAFETY: aligned (a mapping starts at a page) and within the mapping, which lives as long as `self`.
            .then(|| unsafe { &*self.mapping.as_ptr().add(offset).cast::<AtomicU64>() })
    }

    /// The word at `offset`, 0 outside; what the other side wrote before it is seen, too.
    pub fn load(&self, offset: usize) -> u64 {
        self.word(offset)
            .map_or(0, |word| word.load(Ordering::Acquire))
    }

    /// Writes the word at `offset`.
    pub fn store(&self, offset: usize, value: u64) {
        if let Some(word) = self.word(offset) {
            word.store(value, Ordering::Release);
        }
    }

    /// Writes the byte at `offset`.
    pub fn store_byte(&self, offset: usize, value: u8) {
        if offset < self.length {
            // SAFETY: within the mapping, which lives as long as `self`.
            unsafe { &*self.mapping.as_ptr().add(offset).cast::<AtomicU8>() }
                .store(value, Ordering::Release);
        }
    }

    /// Copies bytes out, as whole words from a multiple of 8 on; fewer than asked at the end, none outside.
    pub fn copy(&self, offset: usize, into: &mut Vec<u8>, length: usize) {
        let end = offset.saturating_add(length).min(self.length);
        let wanted = end.saturating_sub(offset);
        if wanted == 0 || !offset.is_multiple_of(8) {
            return;
        }
        into.reserve(wanted.next_multiple_of(8));
        let (whole, rest) = (wanted / 8, wanted % 8);
        // SAFETY: all words are within the mapping: it is pages long. There is room for them, and all bytes up to the new length
        // are written.
        unsafe {
            let mut from = self.mapping.as_ptr().add(offset).cast::<AtomicU64>();
            let mut to = into.as_mut_ptr().add(into.len()).cast::<u64>();
            for _ in 0..whole + usize::from(rest > 0) {
                to.write_unaligned((*from).load(Ordering::Relaxed));
                (from, to) = (from.add(1), to.add(1));
            }
            into.set_len(into.len() + wanted);
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `map`; references into it borrow `self`, so none is left.
        unsafe { libc::munmap(self.mapping.as_ptr().cast(), self.length) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::{AsFd, FromRawFd, OwnedFd};

    fn file(length: i64) -> OwnedFd {
        // SAFETY: memfd_create with a literal; the result is owned by nobody else.
        unsafe {
            let fd = libc::memfd_create(
                c"test".as_ptr(),
                libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING,
            );
            assert!(fd >= 0 && libc::ftruncate(fd, length) == 0);
            OwnedFd::from_raw_fd(fd)
        }
    }

    #[test]
    fn both_mappings_see_the_same_bytes() {
        let file = file(4096);
        let one = Shared::map(file.as_fd(), 4096).expect("a mapping");
        let seals = Shared::map(file.as_fd(), 4096).expect_err("sealed against further seals");
        assert_eq!(seals.raw_os_error(), Some(libc::EPERM));
        one.store(8, u64::from_ne_bytes(*b"abcdefgh"));
        one.store_byte(16, b'i');
        let mut copy = Vec::new();
        one.copy(8, &mut copy, 9);
        assert_eq!(copy, b"abcdefghi");
        assert_eq!(one.load(8).to_ne_bytes(), *b"abcdefgh");
        // Nobody can shorten it now.
        // SAFETY: ftruncate with integers only.
        assert!(unsafe { libc::ftruncate(file.as_raw_fd(), 0) } < 0);
    }

    #[test]
    fn what_is_outside_is_not_touched() {
        let one = Shared::map(file(4096).as_fd(), 4096).expect("a mapping");
        one.store(4096, 1);
        one.store(usize::MAX - 6, 1);
        one.store_byte(4096, 1);
        assert_eq!((one.load(4096), one.load(4)), (0, 0));
        let mut copy = Vec::new();
        one.copy(4088, &mut copy, usize::MAX);
        assert_eq!(copy.len(), 8);
        one.copy(8192, &mut copy, 8);
        assert_eq!(copy.len(), 8);
        assert!(Shared::map(file(100).as_fd(), 4096).is_err());
    }
}
