//! Reading the memory of a target: of a stopped one as it is, of one that ran on as a record of its call has it.

use std::io::{IoSlice, IoSliceMut};

use nix::sys::uio::{RemoteIoVec, process_vm_readv, process_vm_writev};
use nix::unistd::Pid;
use wallsocket_ring::{Pieces, ring};

/// Memory of a target, as it is now or as a record has it.
pub trait Memory {
    /// Reads into `buffer` and returns how many bytes were readable.
    fn read_into(&self, address: u64, buffer: &mut [u8]) -> usize;

    /// Reads up to `length` bytes at `address`; fewer when the mapping ends, none when it is not readable.
    fn read(&self, address: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        let got = self.read_into(address, &mut bytes);
        bytes.truncate(got);
        bytes
    }

    /// Reads several pieces; a piece is cut short or empty where memory is not readable.
    fn pieces<const N: usize>(&self, wanted: [(u64, usize); N]) -> [Vec<u8>; N] {
        wanted.map(|(address, length)| self.read(address, length))
    }

    /// Reads exactly `N` bytes, or nothing.
    fn array<const N: usize>(&self, address: u64) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        (self.read_into(address, &mut bytes) == N).then_some(bytes)
    }

    /// A 32-bit number at `address`.
    fn word(&self, address: u64) -> Option<u32> {
        self.array(address).map(u32::from_ne_bytes)
    }

    /// A 64-bit number at `address`.
    fn long(&self, address: u64) -> Option<u64> {
        self.array(address).map(u64::from_ne_bytes)
    }
}

/// The memory of a stopped thread.
impl Memory for Pid {
    fn read_into(&self, address: u64, buffer: &mut [u8]) -> usize {
        if address == 0 || buffer.is_empty() {
            return 0;
        }
        let remote = [RemoteIoVec {
            base: address as usize,
            len: buffer.len(),
        }];
        process_vm_readv(*self, &mut [IoSliceMut::new(buffer)], &remote).unwrap_or(0)
    }

    /// All at once, which costs one system call.
    fn pieces<const N: usize>(&self, wanted: [(u64, usize); N]) -> [Vec<u8>; N] {
        let mut buffers =
            wanted.map(|(address, length)| vec![0; if address == 0 { 0 } else { length }]);
        let remote: Vec<RemoteIoVec> = wanted
            .iter()
            .filter(|(address, length)| *address != 0 && *length != 0)
            .map(|(address, length)| RemoteIoVec {
                base: *address as usize,
                len: *length,
            })
            .collect();
        let total: usize = remote.iter().map(|piece| piece.len).sum();
        let mut got = 0;
        if total > 0 {
            let mut local: Vec<IoSliceMut<'_>> = buffers
                .iter_mut()
                .filter(|buffer| !buffer.is_empty())
                .map(|buffer| IoSliceMut::new(buffer))
                .collect();
            got = process_vm_readv(*self, &mut local, &remote).unwrap_or(0);
        }
        if got < total {
            // Some piece is not readable: ask for each alone.
            return wanted.map(|(address, length)| self.read(address, length));
        }
        buffers
    }
}

/// What a record has of a program's memory: as the call left it, and where it changed nothing, as it found it.
#[derive(Clone, Copy, Debug)]
pub struct Recorded<'a> {
    /// Looked through first.
    pub first: Pieces<'a>,
    /// What is not there.
    pub then: Pieces<'a>,
}

impl Memory for Recorded<'_> {
    fn read_into(&self, address: u64, buffer: &mut [u8]) -> usize {
        if address == 0 {
            return 0;
        }
        match self.first.read(address, buffer) {
            0 => self.then.read(address, buffer),
            got => got,
        }
    }

    fn read(&self, address: u64, length: usize) -> Vec<u8> {
        // A record has little: no room is made for what it cannot have.
        let mut bytes = vec![0; length.min(ring::RECORD as usize)];
        let got = self.read_into(address, &mut bytes);
        bytes.truncate(got);
        bytes
    }
}

/// The `index`-th 64-bit field of a structure read before.
pub fn field(bytes: &[u8], index: usize) -> u64 {
    bytes
        .get(index * 8..index * 8 + 8)
        .and_then(|field| field.try_into().ok())
        .map_or(0, u64::from_ne_bytes)
}

/// Writes `bytes` at `address`; true when all of them were written.
pub fn write(tid: Pid, address: u64, bytes: &[u8]) -> bool {
    let remote = [RemoteIoVec {
        base: address as usize,
        len: bytes.len(),
    }];
    process_vm_writev(tid, &[IoSlice::new(bytes)], &remote)
        .is_ok_and(|written| written == bytes.len())
}

/// Segments of an I/O vector (`struct iovec`), and the first bytes that they hold.
#[derive(Clone, Debug, Default)]
pub struct Vector {
    segments: Vec<(u64, u64)>,
}

/// More segments than the kernel takes in one call (UIO_MAXIOV, linux/uio.h).
const MAXIMUM_SEGMENTS: usize = 1024;

impl Vector {
    /// One segment.
    pub fn single(address: u64, length: u64) -> Self {
        Self {
            segments: vec![(address, length)],
        }
    }

    /// Reads `count` entries of `struct iovec` at `address`.
    pub fn read(memory: &impl Memory, address: u64, count: u64) -> Self {
        let count = (count as usize).min(MAXIMUM_SEGMENTS);
        let bytes = memory.read(address, count * 16);
        Self {
            segments: bytes
                .chunks_exact(16)
                .map(|entry| (field(entry, 0), field(entry, 1)))
                .collect(),
        }
    }

    /// Bytes of all segments together.
    pub fn length(&self) -> u64 {
        self.segments
            .iter()
            .fold(0u64, |sum, (_, length)| sum.saturating_add(*length))
    }

    /// The first `limit` bytes that the segments hold.
    pub fn bytes(&self, memory: &impl Memory, limit: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (address, length) in &self.segments {
            if bytes.len() >= limit {
                break;
            }
            let wanted = (*length).min((limit - bytes.len()) as u64) as usize;
            let part = memory.read(*address, wanted);
            let complete = part.len() == wanted;
            bytes.extend(part);
            if !complete {
                break;
            }
        }
        bytes
    }
}
