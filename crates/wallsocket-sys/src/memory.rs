//! Reading the memory of another process without stopping it: `process_vm_readv(2)`.
//!
//! Needs what attaching needs (same user and dumpable, or CAP_SYS_PTRACE; Yama may refuse), makes the target do
//! nothing, and sees memory as it is at that instant: a running target may change it between two bytes.

use std::io::{self, IoSliceMut};

use nix::errno::Errno;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

/// The kernel's limit of ranges in one call (`UIO_MAXIOV`, include/uapi/linux/uio.h).
pub const RANGES_MAX: usize = 1024;

/// Bytes of the other process's address space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Address of the first byte, in the other process.
    pub address: u64,
    /// Number of bytes.
    pub length: usize,
}

/// The memory of one process, named by its pid (or the id of any of its threads).
#[derive(Debug, Clone, Copy)]
pub struct ProcessMemory {
    pid: Pid,
}

impl ProcessMemory {
    /// Names the process; nothing is opened or asked yet.
    pub fn new(pid: i32) -> Self {
        Self {
            pid: Pid::from_raw(pid),
        }
    }

    /// The process this reads from.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// Reads from `address` and returns how many bytes could be read: fewer than asked when a later page is not mapped.
    ///
    /// # Errors
    /// `EPERM` no right to read it, `ESRCH` no such process, `EFAULT` the first byte is not mapped.
    pub fn read(&self, address: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let whole = Range {
            address,
            length: buffer.len(),
        };
        match self.read_ranges(&[whole], buffer) {
            // One range is refused as a whole when any page of it is missing: take the pages that are there.
            Err(error) if error.raw_os_error() == Some(libc::EFAULT) => {
                self.read_pages(address, buffer)
            }
            other => other,
        }
    }

    /// Reads `ranges` one after another into `buffer`, in one system call per [`RANGES_MAX`] ranges, and returns how
    /// many bytes were read before the first byte that could not be.
    ///
    /// # Errors
    /// As [`Self::read`]; `EFAULT` only when not even the first range could be read.
    pub fn read_ranges(&self, ranges: &[Range], buffer: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        for group in ranges.chunks(RANGES_MAX) {
            let remote: Vec<RemoteIoVec> = group
                .iter()
                .map(|range| RemoteIoVec {
                    base: range.address as usize,
                    len: range.length,
                })
                .collect();
            let wanted = group
                .iter()
                .map(|range| range.length)
                .sum::<usize>()
                .min(buffer.len() - done);
            if wanted == 0 {
                continue;
            }
            let into = &mut buffer[done..done + wanted];
            match process_vm_readv(self.pid, &mut [IoSliceMut::new(into)], &remote) {
                Ok(count) => {
                    done += count;
                    if count < wanted {
                        break;
                    }
                }
                Err(Errno::EFAULT) if done > 0 => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(done)
    }

    /// Reads page by page until the first that is missing.
    fn read_pages(&self, address: u64, buffer: &mut [u8]) -> io::Result<usize> {
        const PAGE: u64 = 4096;
        let mut done = 0;
        while done < buffer.len() {
            let here = address.wrapping_add(done as u64);
            let length = ((PAGE - here % PAGE) as usize).min(buffer.len() - done);
            let range = Range {
                address: here,
                length,
            };
            match self.read_ranges(&[range], &mut buffer[done..done + length]) {
                Ok(count) if count == length => done += count,
                Ok(count) => return Ok(done + count),
                Err(_) if done > 0 => return Ok(done),
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> ProcessMemory {
        ProcessMemory::new(i32::try_from(std::process::id()).expect("a pid fits"))
    }

    fn address(bytes: &[u8]) -> u64 {
        bytes.as_ptr() as u64
    }

    #[test]
    fn reads_what_is_there() {
        let source: Vec<u8> = (0..=255).collect();
        let mut copy = vec![0; 256];
        assert_eq!(
            own().read(address(&source), &mut copy).expect("own memory"),
            256
        );
        assert_eq!(copy, source);
    }

    #[test]
    fn ranges_arrive_one_after_another_also_beyond_the_limit_of_one_call() {
        let source: Vec<u8> = (0..=255).collect();
        let ranges: Vec<Range> = (0..RANGES_MAX + 3)
            .map(|index| Range {
                address: address(&source) + (index % 128) as u64,
                length: 2,
            })
            .collect();
        let mut copy = vec![0; ranges.len() * 2];
        assert_eq!(
            own().read_ranges(&ranges, &mut copy).expect("own memory"),
            copy.len()
        );
        for (index, pair) in copy.chunks(2).enumerate() {
            assert_eq!(pair, [(index % 128) as u8, (index % 128) as u8 + 1]);
        }
    }

    #[test]
    fn stops_at_the_first_range_that_is_not_mapped() {
        let source = [7_u8; 16];
        let ranges = [
            Range {
                address: address(&source),
                length: 16,
            },
            Range {
                address: 8,
                length: 8,
            },
            Range {
                address: address(&source),
                length: 16,
            },
        ];
        let mut copy = [0; 40];
        assert_eq!(
            own()
                .read_ranges(&ranges, &mut copy)
                .expect("the first range is there"),
            16
        );
        let error = own()
            .read(8, &mut copy)
            .expect_err("page zero is not mapped");
        assert_eq!(error.raw_os_error(), Some(libc::EFAULT));
    }

    #[test]
    fn a_process_that_is_not_there_is_said_to_be_so() {
        let error = ProcessMemory::new(i32::MAX)
            .read(4096, &mut [0; 8])
            .expect_err("no such process");
        assert_eq!(error.raw_os_error(), Some(libc::ESRCH));
    }
}
