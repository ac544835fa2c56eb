//! What waits for the recorder: a little in memory, the rest in a file, in the order in which it was given.
//!
//! Who decodes rows and writes them into the recording needs a processor, too, and the program that is recorded may leave it
//! none. A file takes what comes meanwhile, so that neither the program waits nor memory grows. The file has no name: it
//! goes with this process.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use nix::fcntl::{FallocateFlags, fallocate};

/// Bytes that wait in memory before the file is used.
const IN_MEMORY: usize = 1 << 20;
/// Bytes that wait in the file at most: some 50 million calls.
pub const IN_FILE: u64 = 4 << 30;
/// Bytes that are read from the file at once.
const PORTION: usize = 256 << 10;

#[derive(Default)]
struct Waiting {
    /// The oldest: what came before the file was used.
    memory: VecDeque<Vec<u8>>,
    bytes_in_memory: usize,
    /// Where in the file the rest stands.
    file: Range<u64>,
    /// Nothing more will come.
    complete: bool,
    /// Nobody reads any more.
    abandoned: bool,
}

impl Waiting {
    /// Memory may be used as long as nothing newer is in the file.
    fn has_room_in_memory(&self) -> bool {
        self.file.is_empty() && self.bytes_in_memory < IN_MEMORY
    }
}

/// The queue between one thread that puts and one that delivers.
pub struct Backlog {
    waiting: Mutex<Waiting>,
    /// There is something to deliver, or nothing more will come.
    arrived: Condvar,
    /// There is room again, or nobody reads any more.
    left: Condvar,
    file: Option<File>,
    most_in_file: u64,
}

impl Backlog {
    /// With a file for what memory should not hold, which may grow to so many bytes.
    pub fn new(file: Option<File>, most_in_file: u64) -> Self {
        Self {
            waiting: Mutex::default(),
            arrived: Condvar::new(),
            left: Condvar::new(),
            file,
            most_in_file,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> u64 {
        let waiting = self.lock();
        waiting.bytes_in_memory as u64 + (waiting.file.end - waiting.file.start)
    }

    /// Adds bytes at the end; waits while there is no room for them. False: nobody reads any more.
    pub fn put(&self, bytes: Vec<u8>) -> bool {
        let mut waiting = self.lock();
        loop {
            if waiting.abandoned {
                return false;
            }
            if waiting.file.is_empty() {
                if waiting.bytes_in_memory < IN_MEMORY {
                    waiting.bytes_in_memory += bytes.len();
                    waiting.memory.push_back(bytes);
                    self.arrived.notify_one();
                    return true;
                }
                // Only this thread moves the end, and nothing before it is still to be read.
                if waiting.file.end > 0
                    && let Some(file) = &self.file
                {
                    let _ = file.set_len(0);
                    waiting.file = 0..0;
                }
            }
            let length = bytes.len() as u64;
            if let Some(file) = &self.file
                && waiting.file.end - waiting.file.start + length <= self.most_in_file
            {
                let at = waiting.file.end;
                drop(waiting);
                let written = file.write_all_at(&bytes, at);
                waiting = self.lock();
                if written.is_ok() {
                    waiting.file.end += length;
                    self.arrived.notify_one();
                    return true;
                }
            }
            // A full disk is tried again when something has been read.
            if waiting.abandoned || waiting.has_room_in_memory() {
                continue;
            }
            waiting = self
                .left
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Nothing more will come.
    pub fn complete(&self) {
        self.lock().complete = true;
        self.arrived.notify_one();
    }

    /// Writes everything to `output`, until all has come; an error is the output's, or the file's.
    pub fn deliver(&self, output: &mut impl Write) -> std::io::Result<()> {
        let done = self.deliver_until_complete(output);
        if done.is_err() {
            let mut waiting = self.lock();
            waiting.abandoned = true;
            waiting.memory.clear();
        }
        self.left.notify_one();
        done
    }

    fn deliver_until_complete(&self, output: &mut impl Write) -> std::io::Result<()> {
        let mut portion = Vec::new();
        while let Some(next) = self.next() {
            match next {
                Next::Memory(bytes) => {
                    output.write_all(&bytes)?;
                    self.lock().bytes_in_memory -= bytes.len();
                }
                Next::File(place) => {
                    let file = self.file.as_ref().ok_or(std::io::ErrorKind::NotFound)?;
                    portion.resize((place.end - place.start) as usize, 0);
                    file.read_exact_at(&mut portion, place.start)?;
                    output.write_all(&portion)?;
                    self.lock().file.start = place.end;
                    // The room on the disk is given back; where the file system cannot, the file is as long as all that waited.
                    let _ = fallocate(
                        file,
                        FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE,
                        place.start as i64,
                        portion.len() as i64,
                    );
                }
            }
            self.left.notify_one();
        }
        Ok(())
    }

    /// The oldest that waits; waits for it. `None`: there is and will be nothing.
    fn next(&self) -> Option<Next> {
        let mut waiting = self.lock();
        loop {
            if let Some(bytes) = waiting.memory.pop_front() {
                return Some(Next::Memory(bytes));
            }
            if !waiting.file.is_empty() {
                let start = waiting.file.start;
                return Some(Next::File(
                    start..waiting.file.end.min(start + PORTION as u64),
                ));
            }
            if waiting.complete {
                return None;
            }
            waiting = self
                .arrived
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

enum Next {
    Memory(Vec<u8>),
    File(Range<u64>),
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;

    /// A file without a name, as the recorder opens it.
    pub(crate) fn unnamed() -> std::io::Result<File> {
        let name = std::env::temp_dir().join(format!(
            "wallsocket-backlog-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&name)?;
        std::fs::remove_file(name)?;
        Ok(file)
    }

    /// What is given in pieces of these lengths, each byte telling where it stands.
    fn pieces(lengths: &[usize]) -> Vec<Vec<u8>> {
        let mut number = 0_u64;
        lengths
            .iter()
            .map(|length| {
                (0..*length)
                    .map(|_| {
                        number += 1;
                        (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
                    })
                    .collect()
            })
            .collect()
    }

    /// A thread that gives all pieces, and says whether all were taken.
    fn put_all(backlog: &Arc<Backlog>, given: &[Vec<u8>]) -> std::thread::JoinHandle<bool> {
        let (backlog, given) = (Arc::clone(backlog), given.to_vec());
        std::thread::spawn(move || {
            let all = given.into_iter().all(|piece| backlog.put(piece));
            backlog.complete();
            all
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn what_comes_out_is_what_went_in(
            lengths in proptest::collection::vec(1_usize..700_000, 1..24),
            pauses in proptest::collection::vec(any::<bool>(), 24),
            most in prop_oneof![Just(0_u64), Just(1 << 20), Just(IN_FILE)],
            with_file in any::<bool>(),
        ) {
            let given = pieces(&lengths);
            let file = if with_file { Some(unnamed()?) } else { None };
            let backlog = Arc::new(Backlog::new(file, most));
            let (mut reader, mut writer) = std::io::pipe()?;
            let delivering = {
                let backlog = Arc::clone(&backlog);
                std::thread::spawn(move || backlog.deliver(&mut writer))
            };
            let putting = put_all(&backlog, &given);
            let mut got = Vec::new();
            for pause in pauses {
                if pause {
                    std::thread::yield_now();
                }
                let mut part = vec![0; 65536];
                let length = std::io::Read::read(&mut reader, &mut part)?;
                got.extend_from_slice(&part[..length]);
            }
            std::io::Read::read_to_end(&mut reader, &mut got)?;
            prop_assert!(putting.join().is_ok_and(|all| all));
            prop_assert!(delivering.join().is_ok_and(|done| done.is_ok()));
            prop_assert_eq!(got, given.concat());
            prop_assert_eq!(backlog.bytes(), 0);
        }
    }

    #[test]
    fn a_full_disk_makes_who_gives_wait_until_somebody_reads() -> std::io::Result<()> {
        let full = File::options().read(true).write(true).open("/dev/full")?;
        let backlog = Arc::new(Backlog::new(Some(full), IN_FILE));
        let given = pieces(&[IN_MEMORY, 5, IN_MEMORY, 7]);
        let putting = put_all(&backlog, &given);
        let mut got = Vec::new();
        backlog.deliver(&mut got)?;
        assert!(putting.join().is_ok_and(|all| all));
        assert_eq!(got, given.concat());
        Ok(())
    }

    #[test]
    fn who_gives_is_told_that_nobody_reads() -> std::io::Result<()> {
        let (reader, mut writer) = std::io::pipe()?;
        drop(reader);
        let backlog = Backlog::new(Some(unnamed()?), IN_FILE);
        assert!(backlog.put(vec![1]));
        assert!(backlog.deliver(&mut writer).is_err());
        assert!(!backlog.put(vec![2]));
        Ok(())
    }
}
