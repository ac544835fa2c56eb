//! Memory of our own for large results: zeroed, and in huge pages where the kernel gives them.
//!
//! A first touch of a 4 KiB page costs about 2 µs in a virtual machine (measured 2026-11), of which clearing it is a small part;
//! a huge page saves 511 of 512 such faults. `Documentation/admin-guide/mm/transhuge.rst`.

use std::io;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// Size of a huge page on x86-64, and with 4 KiB pages on aarch64.
const HUGE: usize = 2 << 20;

/// Zeroed bytes that start at a page.
#[derive(Debug)]
pub struct Region {
    mapping: NonNull<libc::c_void>,
    mapped: usize,
    skipped: usize,
    length: usize,
}

// SAFETY: the mapping belongs to this value alone; it is reached through `&self` for reading and `&mut self` for writing only.
unsafe impl Send for Region {}
// SAFETY: as above; `&self` gives shared slices and nothing with interior mutability.
unsafe impl Sync for Region {}

impl Region {
    /// Of `length` bytes.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn new(length: usize) -> io::Result<Self> {
        // Room to start at a huge page: kernels before 6.7 do not align by themselves. What is not touched costs nothing.
        let slack = if length < HUGE { 0 } else { HUGE };
        let mapped = length.max(1).saturating_add(slack);
        // SAFETY: a new private anonymous mapping at an address of the kernel's choice.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                mapped,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        let mapping = NonNull::new(address)
            .filter(|_| address != libc::MAP_FAILED)
            .ok_or_else(io::Error::last_os_error)?;
        let start = mapping.as_ptr() as usize;
        let skipped = if slack == 0 {
            0
        } else {
            start.next_multiple_of(HUGE) - start
        };
        if slack != 0 {
            // SAFETY: the range is the mapping just made; the call only advises, so its result does not matter.
            unsafe { libc::madvise(mapping.as_ptr(), mapped, libc::MADV_HUGEPAGE) };
        }
        Ok(Self {
            mapping,
            mapped,
            skipped,
            length,
        })
    }
}

impl Deref for Region {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `skipped + length` bytes are within the mapping, which is readable, initialised (zeroes) and lives as long as
        // `self`; writing needs `&mut self`.
        unsafe {
            std::slice::from_raw_parts(
                self.mapping.as_ptr().cast::<u8>().add(self.skipped),
                self.length,
            )
        }
    }
}

impl DerefMut for Region {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`; the borrow of `self` is exclusive.
        unsafe {
            std::slice::from_raw_parts_mut(
                self.mapping.as_ptr().cast::<u8>().add(self.skipped),
                self.length,
            )
        }
    }
}

impl AsRef<[u8]> for Region {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`; slices of it borrow `self`, so none is left.
        unsafe { libc::munmap(self.mapping.as_ptr(), self.mapped) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_zeroed_aligned_and_all_its_bytes_can_be_written() {
        for length in [0, 1, 4096, HUGE - 1, HUGE, 3 * HUGE + 5] {
            let mut region = Region::new(length).expect("memory");
            assert_eq!(region.len(), length);
            assert!(region.iter().all(|byte| *byte == 0));
            assert_eq!(region.as_ptr() as usize % 4096, 0);
            if length >= HUGE {
                assert_eq!(region.as_ptr() as usize % HUGE, 0);
            }
            region.fill(7);
            assert!(region.iter().all(|byte| *byte == 7));
        }
    }

    #[test]
    fn too_much_memory_is_an_error() {
        assert!(Region::new(usize::MAX >> 1).is_err());
    }
}
