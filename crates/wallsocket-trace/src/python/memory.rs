//! Where bytes of the traced process come from, and how to fetch the same ones again in a single call.

use std::io;

pub use wallsocket_sys::memory::{ProcessMemory, Range};

use super::Unknown;

/// The memory of a process, or a recording of it.
pub trait ReadMemory {
    /// Reads `ranges` one after another into `buffer`; returns the number of bytes before the first unreadable one.
    fn read_ranges(&self, ranges: &[Range], buffer: &mut [u8]) -> Result<usize, Unknown>;

    /// Fills `buffer` from `address`.
    ///
    /// # Errors
    /// [`Unknown::Unreadable`] unless every byte could be read.
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), Unknown> {
        let whole = Range {
            address,
            length: buffer.len(),
        };
        match self.read_ranges(&[whole], buffer)? {
            count if count == whole.length => Ok(()),
            _ => Err(Unknown::Unreadable(address)),
        }
    }

    /// Reads an array of `N` bytes.
    fn array<const N: usize>(&self, address: u64) -> Result<[u8; N], Unknown> {
        let mut bytes = [0; N];
        self.read(address, &mut bytes)?;
        Ok(bytes)
    }

    /// Reads a little-endian 64-bit number: a pointer or a size.
    fn word(&self, address: u64) -> Result<u64, Unknown> {
        self.array(address).map(u64::from_le_bytes)
    }

    /// Reads a zero-terminated string of at most `limit` bytes.
    fn c_string(&self, address: u64, limit: usize) -> Result<String, Unknown> {
        let mut text = Vec::new();
        while text.len() < limit {
            // Never across a page end: the next page need not be mapped.
            let here = address.wrapping_add(text.len() as u64);
            let length = (64 - (here % 64) as usize).min(limit - text.len());
            let mut piece = [0; 64];
            self.read(here, &mut piece[..length])?;
            if let Some(end) = piece[..length].iter().position(|byte| *byte == 0) {
                text.extend_from_slice(&piece[..end]);
                break;
            }
            text.extend_from_slice(&piece[..length]);
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

impl ReadMemory for ProcessMemory {
    fn read_ranges(&self, ranges: &[Range], buffer: &mut [u8]) -> Result<usize, Unknown> {
        ProcessMemory::read_ranges(self, ranges, buffer)
            .map_err(|error| refusal(&error, ranges.first().map_or(0, |range| range.address)))
    }
}

/// What an error of `process_vm_readv` means here.
fn refusal(error: &io::Error, address: u64) -> Unknown {
    match error.raw_os_error() {
        Some(libc::EPERM) => Unknown::NotPermitted,
        Some(libc::ESRCH) => Unknown::Gone,
        _ => Unknown::Unreadable(address),
    }
}

/// Reads `address + offset` out of bytes that start at offset 0; `None` beyond their end.
pub(crate) fn word_in(bytes: &[u8], offset: usize) -> Option<u64> {
    Some(u64::from_le_bytes(
        bytes.get(offset..offset.checked_add(8)?)?.try_into().ok()?,
    ))
}

/// As [`word_in`], 32 bits.
pub(crate) fn half_in(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_le_bytes(
        bytes.get(offset..offset.checked_add(4)?)?.try_into().ok()?,
    ))
}

/// The places one walk over a stack visited, so that the next walk over it costs one system call.
///
/// `begin` fetches all of them, `bytes` serves from that and fetches what is missing, `finish` learns.
#[derive(Debug, Default)]
pub(crate) struct Window {
    /// Sorted by address, without overlap.
    planned: Vec<Planned>,
    /// Same ranges, in the form the system call wants.
    ranges: Vec<Range>,
    bytes: Vec<u8>,
    /// How many of `planned` were read this time.
    ready: usize,
    extra: Vec<Planned>,
    extra_bytes: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Planned {
    address: u64,
    length: usize,
    /// Where in `bytes` it starts.
    at: usize,
    /// Rounds in a row in which nothing asked for it.
    idle: u8,
}

impl Planned {
    fn covers(&self, address: u64, length: usize) -> bool {
        address
            .checked_sub(self.address)
            .is_some_and(|skip| skip.saturating_add(length as u64) <= self.length as u64)
    }
}

/// Two ranges this close become one: copying half a kilobyte costs less than another range.
const GAP: u64 = 512;
/// Beyond this the plan starts afresh from what the current walk visited.
const PLANNED_MAX: usize = 512;
const PLANNED_BYTES_MAX: usize = 256 * 1024;
/// A range not asked for in so many rounds is dropped.
const IDLE_MAX: u8 = 16;

impl Window {
    /// Fetches everything planned. What can no longer be read is fetched again when asked for, and refused then.
    pub(crate) fn begin(&mut self, memory: &impl ReadMemory) -> Result<(), Unknown> {
        self.extra.clear();
        self.extra_bytes.clear();
        self.ready = 0;
        if self.planned.is_empty() {
            return Ok(());
        }
        let count = match memory.read_ranges(&self.ranges, &mut self.bytes) {
            Ok(count) => count,
            Err(Unknown::Unreadable(_)) => 0,
            Err(other) => return Err(other),
        };
        self.ready = self
            .planned
            .partition_point(|range| range.at + range.length <= count);
        for range in &mut self.planned {
            range.idle += 1;
        }
        Ok(())
    }

    /// The bytes at `address`, as they were at `begin` or are now.
    pub(crate) fn bytes(
        &mut self,
        memory: &impl ReadMemory,
        address: u64,
        length: usize,
    ) -> Result<&[u8], Unknown> {
        let after = self.planned[..self.ready].partition_point(|range| range.address <= address);
        if let Some(range) = after
            .checked_sub(1)
            .and_then(|index| self.planned.get_mut(index))
            && range.covers(address, length)
        {
            range.idle = 0;
            let start = range.at + (address - range.address) as usize;
            return Ok(&self.bytes[start..start + length]);
        }
        if let Some(range) = self
            .extra
            .iter()
            .find(|range| range.covers(address, length))
        {
            let start = range.at + (address - range.address) as usize;
            return Ok(&self.extra_bytes[start..start + length]);
        }
        let at = self.extra_bytes.len();
        self.extra_bytes.resize(at + length, 0);
        if let Err(error) = memory.read(address, &mut self.extra_bytes[at..]) {
            self.extra_bytes.truncate(at);
            return Err(error);
        }
        self.extra.push(Planned {
            address,
            length,
            at,
            idle: 0,
        });
        Ok(&self.extra_bytes[at..])
    }

    /// As [`Self::bytes`], a pointer.
    pub(crate) fn word(&mut self, memory: &impl ReadMemory, address: u64) -> Result<u64, Unknown> {
        word_in(self.bytes(memory, address, 8)?, 0).ok_or(Unknown::Unreadable(address))
    }

    /// Plans the next round.
    pub(crate) fn finish(&mut self) {
        let unread = self.ready < self.planned.len();
        if self.extra.is_empty()
            && !unread
            && self.planned.iter().all(|range| range.idle < IDLE_MAX)
        {
            return;
        }
        let mut all: Vec<Planned> = self.planned[..self.ready].to_vec();
        let total = all.iter().map(|range| range.length).sum::<usize>() + self.extra_bytes.len();
        if all.len() + self.extra.len() > PLANNED_MAX || total > PLANNED_BYTES_MAX {
            all.retain(|range| range.idle == 0);
        }
        all.retain(|range| range.idle < IDLE_MAX);
        if all.len() + self.extra.len() > PLANNED_MAX {
            all.clear();
        }
        all.append(&mut self.extra);
        all.sort_unstable_by_key(|range| range.address);
        self.planned.clear();
        for range in all {
            let room = self.planned.len() < PLANNED_MAX;
            match self.planned.last_mut() {
                Some(last)
                    if range.address <= last.address.saturating_add(last.length as u64 + GAP) =>
                {
                    let end = (range.address - last.address) as usize + range.length;
                    last.length = last.length.max(end);
                    last.idle = last.idle.min(range.idle);
                }
                _ if room => self.planned.push(range),
                _ => break,
            }
        }
        self.ranges.clear();
        let mut at = 0;
        for range in &mut self.planned {
            range.at = at;
            at += range.length;
            self.ranges.push(Range {
                address: range.address,
                length: range.length,
            });
        }
        self.bytes.clear();
        self.bytes.resize(at, 0);
        self.ready = 0;
    }
}
