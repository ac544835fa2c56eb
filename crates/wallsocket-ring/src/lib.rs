//! What the preloaded library and the tracer have in common: where things stand in the target's memory, the requests of one to
//! the other, and the records of calls.
//!
//! The library makes calls through a *gate*: one `syscall` instruction at an address that is the same in every process. The
//! filters let calls pass that come from there, and stop all others for the tracer. So a call is recorded by exactly one of
//! the two, whatever the program is and whatever it does: what the library does not take over, the tracer sees.
//!
//! Bytes in shared memory are the target's to change: the tracer copies a record before it looks at it, and [`Record::parse`]
//! believes none of its lengths.
#![no_std]

/// Address of the gate's page: below 4 GiB, where neither programs nor libraries are put by themselves.
pub const GATE: u64 = 0x7057_5000;
/// What stands at [`GATE`]: `syscall; ret`.
pub const GATE_CODE: [u8; 3] = [0x0F, 0x05, 0xC3];
/// The instruction pointer that a filter sees in a call from the gate.
pub const GATE_RETURN: u64 = GATE + 2;
/// Where in the gate's page the signature is.
pub const SIGNATURE_AT: u64 = 64;
/// What says that the page is ours, and of which layout.
pub const SIGNATURE: [u8; 16] = *b"wallsocket gate2";
/// Address of the page of words that the tracer writes and the library reads. A child made by fork gets it zeroed
/// (MADV_WIPEONFORK), so that it does not take its parent's memory for its own.
pub const CONTROL: u64 = GATE + 0x1000;
/// Offset in the control page: which program image this is, as the tracer counts them; 0: the tracer has not said.
pub const GENERATION: u64 = 0;
/// Offset in the control page: one of [`mode`].
pub const MODE: u64 = 8;

/// What the library does with calls.
pub mod mode {
    /// Leaves them to the next function of that name: the tracer sees them.
    pub const PASSIVE: u64 = 0;
    /// Makes them through the gate and records those that concern sockets.
    pub const RECORDING: u64 = 1;
    /// Makes them through the gate; nothing is recorded any more.
    pub const THROUGH: u64 = 2;
}

/// Number of the call by which the library speaks to the tracer; the kernel has none of this number (ENOSYS).
pub const REQUEST: u32 = 0x1753_0000;

/// First argument of [`REQUEST`].
pub mod request {
    /// A thread asks for its ring: address of its [`super::Thread`]. Answers 0 (it is set), or one of [`super::answer`].
    pub const JOIN: u64 = 1;
    /// Memory for all threads of the process: descriptor, address.
    pub const GIVE_TABLE: u64 = 2;
    /// Memory for the calling thread: descriptor, address.
    pub const GIVE_RING: u64 = 3;
    /// The latest record of this thread is of a call whose socket is to be looked at now.
    pub const LOOK: u64 = 4;
    /// The latest call of this thread never returns: its stack was unwound past it.
    pub const UNWOUND: u64 = 5;
}

/// What the tracer answers to [`request::JOIN`], besides 0.
pub mod answer {
    /// Give a table, and ask again.
    pub const TABLE: i64 = 1;
    /// Give a ring, and ask again.
    pub const RING: i64 = 2;
    /// This thread is left to the tracer.
    pub const NO: i64 = 3;
}

/// What the library keeps of each thread, written by the tracer: three words.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Thread {
    /// The generation in which the rest was set.
    pub generation: u64,
    /// Address of the thread's ring; 0: it has none.
    pub ring: u64,
    /// Address of the process's table.
    pub table: u64,
}

/// The table: what each descriptor number is, one byte each, written by the tracer while the program waits for it.
pub mod table {
    /// Descriptor numbers that it has; calls on higher ones are left to the tracer.
    pub const NUMBERS: usize = 1 << 16;
    /// Its size.
    pub const SIZE: usize = DUE + NUMBERS * 8;
    /// Where the word is that says how many payload bytes of each call are kept.
    pub const PAYLOAD: usize = NUMBERS;
    /// Where a word for each number says when its socket is to be looked at by the library, at a call that moves bytes: 0: never;
    /// up to [`SOON`]: at so many calls; else from this moment on (CLOCK_MONOTONIC). The library writes it, too.
    pub const DUE: usize = super::python::CODES + super::python::SLOTS * super::python::SLOT;
    /// See `DUE`.
    pub const SOON: u64 = 64;
    /// Nanoseconds between two looks at one socket, after the first ones.
    pub const INTERVAL_NS: i64 = 5_000_000;
    /// Where the word is that the library writes: when it last took such a later look.
    pub const LOOKED: usize = NUMBERS + 8;
    /// Nanoseconds between two of them in one process, at least: a busy program shall not pay for each of its sockets.
    pub const LOOKS_APART_NS: i64 = 2_000_000;
    /// A socket.
    pub const SOCKET: u8 = 1;
    /// An epoll set that watches sockets.
    pub const EPOLL: u8 = 2;
    /// A socket whose next calls are left to the tracer.
    pub const WATCHED: u8 = 4;
    /// A TCP socket.
    pub const TCP: u8 = 8;
    /// A datagram socket.
    pub const DATAGRAM: u8 = 16;
    /// A socket had this number until it was closed: the tracer looks at reads and writes that name it.
    pub const CLOSED: u8 = 32;
}

/// What the library saw of a socket beside a call on it: a piece of the call's record, at no address of the program.
pub mod look {
    /// Address of the piece that was noted before the call.
    pub const BEFORE: u64 = u64::MAX - 0xFFFF;
    /// Address of the piece that was noted after the call.
    pub const AFTER: u64 = u64::MAX - 0x7FFF;
    /// Bytes of `struct tcp_info` that fit.
    pub const INFO: usize = 512;

    /// Its begin; the bytes of `struct tcp_info` follow, where it is a TCP socket.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    #[repr(C)]
    pub struct Noted {
        /// CLOCK_MONOTONIC.
        pub at_ns: i64,
        /// FIONREAD; negative: the kernel does not say.
        pub receive_queue: i64,
        /// TIOCOUTQ; negative: the kernel does not say.
        pub send_queue: i64,
        /// Of SO_MEMINFO; negative: the kernel does not say.
        pub drops: i64,
    }

    impl Noted {
        /// Bytes of it.
        pub const SIZE: usize = size_of::<Self>();

        /// A piece, and the bytes behind.
        pub fn parse(piece: &[u8]) -> Option<(Self, &[u8])> {
            let word = |index: usize| super::word(piece, index * 8).map(|word| word as i64);
            let noted = Self {
                at_ns: word(0)?,
                receive_queue: word(1)?,
                send_queue: word(2)?,
                drops: word(3)?,
            };
            Some((noted, piece.get(Self::SIZE..)?))
        }
    }
}

/// What the library must know of CPython to note where in the program a call is made; it stands in the table behind the numbers.
///
/// A record has the stack as pairs of words: a code object, by the number that the tracer gave it, and the address of the
/// instruction. The library takes a code object for a known one only if all of it that does not change, and the begin of its names
/// and of its location table, are as the tracer has read them. Where any is not known, the call is left to the tracer, which
/// learns what is new.
pub mod python {
    /// Address of the piece that is the stack: none of the program's memory.
    pub const STACK: u64 = 1;
    /// Frames of a stack; a call below more is left to the tracer.
    pub const FRAMES: usize = 64;
    /// Where the words of [`Words`] are in the table.
    pub const WORDS: usize = super::table::NUMBERS + 64;
    /// Where the known code objects are in the table.
    pub const CODES: usize = super::table::NUMBERS + 4096;
    /// How many there may be.
    pub const SLOTS: usize = 1024;
    /// Places that one may be at.
    pub const PROBES: usize = 4;
    /// Words of one: address, fingerprint of what it is, fingerprint of what it points to, number and in the low bit whether the
    /// tracer looks at no frame below it, then address and length of what it points to, three times.
    pub const SLOT_WORDS: usize = 10;
    /// Bytes of one.
    pub const SLOT: usize = SLOT_WORDS * 8;
    /// What a code object points to.
    pub const CONTENTS: usize = 3;
    /// Bytes of each that are compared.
    pub const CONTENT: usize = 64;

    /// Offsets in CPython's structures, each a word.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    #[repr(C)]
    pub struct Words {
        /// 0: it is no Python, or its lines are not wanted.
        pub enabled: u64,
        /// In a thread state: the innermost frame, or what points to it.
        pub thread_frame: u64,
        /// In what points to it; all bits: nothing is in between.
        pub indirect: u64,
        /// In a thread state.
        pub thread_native_id: u64,
        /// In a thread state.
        pub thread_interpreter: u64,
        /// In a frame.
        pub frame_code: u64,
        /// In a frame.
        pub frame_previous: u64,
        /// In a frame.
        pub frame_instruction: u64,
        /// In a frame, a byte.
        pub frame_owner: u64,
        /// Owners from which on a frame has no code.
        pub owner_c_from: u64,
        /// Bits of a pointer to a code object that are not part of it.
        pub code_tag: u64,
        /// In a code object: where what does not change begins, and ends.
        pub identity_from: u64,
        /// See `identity_from`.
        pub identity_to: u64,
        /// The word in between of which a part changes, and its bits that do not.
        pub masked_at: u64,
        /// See `masked_at`.
        pub mask: u64,
    }

    impl Words {
        /// All of them, in the order in which they stand.
        pub const fn all(&self) -> [u64; 15] {
            [
                self.enabled,
                self.thread_frame,
                self.indirect,
                self.thread_native_id,
                self.thread_interpreter,
                self.frame_code,
                self.frame_previous,
                self.frame_instruction,
                self.frame_owner,
                self.owner_c_from,
                self.code_tag,
                self.identity_from,
                self.identity_to,
                self.masked_at,
                self.mask,
            ]
        }
    }

    /// Adds a word to a fingerprint.
    pub const fn mix(fingerprint: u64, word: u64) -> u64 {
        (fingerprint ^ word)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .rotate_left(29)
    }

    /// Adds the begin of what a code object points to, as the library does.
    pub fn mix_content(mut fingerprint: u64, bytes: &[u8]) -> u64 {
        let bytes = &bytes[..bytes.len().min(CONTENT)];
        let (whole, rest) = bytes.as_chunks::<8>();
        for chunk in whole {
            fingerprint = mix(fingerprint, u64::from_ne_bytes(*chunk));
        }
        mix(
            fingerprint,
            rest.iter()
                .fold(0, |last, byte| last << 8 | u64::from(*byte)),
        )
    }

    /// The first place of a code object at `address`.
    pub const fn slot(address: u64) -> usize {
        ((address >> 4).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 54) as usize % SLOTS
    }
}

/// A ring: records of one thread, in one piece each.
pub mod ring {
    /// Bytes of records: some 3,000 calls. A call that stops waits until what all threads have in theirs is taken.
    pub const CAPACITY: u64 = 512 << 10;
    /// Where three words are that the tracer writes: the thread's state as Python has it, its interpreter, and its id there.
    pub const PYTHON: usize = 128;
    /// Where the records begin.
    pub const RECORDS: usize = 4096;
    /// Its size.
    pub const SIZE: usize = RECORDS + CAPACITY as usize;
    /// Where the word is that the library writes: where the next record goes, and in the low bits one of [`super::stage`].
    pub const PROGRESS: usize = 0;
    /// Where the word is that the tracer writes: where the first record stands that it has not taken.
    pub const TAKEN: usize = 64;
    /// No record is longer. Nearer to the end than this none begins.
    pub const RECORD: u64 = 32 << 10;
    /// Positions are multiples of this.
    pub const ALIGNMENT: u64 = 8;

    /// Where the record after one that ends at `end` begins.
    pub const fn next(end: u64) -> u64 {
        if CAPACITY - end % CAPACITY < RECORD {
            end.next_multiple_of(CAPACITY)
        } else {
            end
        }
    }
}

/// Low bits of [`ring::PROGRESS`].
pub mod stage {
    /// Between calls.
    pub const IDLE: u64 = 0;
    /// A call is about to begin: nothing of it can be read yet.
    pub const ENTERING: u64 = 1;
    /// In a call; its record is complete up to the pieces from its beginning.
    pub const IN_CALL: u64 = 2;
    /// All bits.
    pub const MASK: u64 = 7;
}

/// The head of a record, as it stands in memory.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Head {
    /// Bytes of the whole record.
    pub size: u32,
    /// Bytes of the head and of the pieces that were read at the beginning.
    pub entry_size: u32,
    /// Number of the call.
    pub number: u32,
    /// [`Head::LOOK`].
    pub flags: u32,
    /// CLOCK_MONOTONIC just before the call.
    pub entry_ns: i64,
    /// CLOCK_MONOTONIC just after the call.
    pub exit_ns: i64,
    /// What the kernel returned.
    pub result: i64,
    /// Its arguments.
    pub arguments: [u64; 6],
    /// Stack pointer.
    pub stack_pointer: u64,
    /// The address in the program that the call returns to.
    pub caller: u64,
}

impl Head {
    /// Bytes of it.
    pub const SIZE: usize = size_of::<Head>();
    /// The thread stops for the tracer right after this call.
    pub const LOOK: u32 = 1;
}

/// The head of a piece of the program's memory in a record: its bytes follow, up to the next multiple of 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct PieceHead {
    /// Where it stands in the program's memory.
    pub address: u64,
    /// Its length.
    pub length: u64,
}

/// A record that was copied out of shared memory.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Its head.
    pub head: Head,
    entry: &'a [u8],
    exit: &'a [u8],
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    bytes
        .get(at..at + 8)?
        .try_into()
        .ok()
        .map(u64::from_ne_bytes)
}

impl<'a> Record<'a> {
    /// The record in `bytes`; of one that has not ended, `in_call`, only what is written at its beginning. `None`: this is none.
    pub fn parse(bytes: &'a [u8], in_call: bool) -> Option<Self> {
        let sizes = word(bytes, 0)?;
        let call = word(bytes, 8)?;
        let mut arguments = [0; 6];
        for (index, argument) in arguments.iter_mut().enumerate() {
            *argument = word(bytes, 40 + index * 8)?;
        }
        let head = Head {
            size: sizes as u32,
            entry_size: (sizes >> 32) as u32,
            number: call as u32,
            flags: (call >> 32) as u32,
            entry_ns: word(bytes, 16)? as i64,
            exit_ns: word(bytes, 24)? as i64,
            result: word(bytes, 32)? as i64,
            arguments,
            stack_pointer: word(bytes, 88)?,
            caller: word(bytes, 96)?,
        };
        let entry = bytes.get(Head::SIZE..head.entry_size as usize)?;
        let exit = if in_call {
            &[]
        } else {
            bytes.get(head.entry_size as usize..head.size as usize)?
        };
        Some(Self { head, entry, exit })
    }

    /// The program's memory at the beginning of the call.
    pub fn at_entry(&self) -> Pieces<'a> {
        Pieces(self.entry)
    }

    /// The program's memory at its end.
    pub fn at_exit(&self) -> Pieces<'a> {
        Pieces(self.exit)
    }
}

/// Pieces of the program's memory.
#[derive(Clone, Copy, Debug)]
pub struct Pieces<'a>(&'a [u8]);

struct Each<'a>(&'a [u8]);

impl<'a> Iterator for Each<'a> {
    type Item = (u64, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        const HEAD: usize = size_of::<PieceHead>();
        let address = word(self.0, 0)?;
        let length = usize::try_from(word(self.0, 8)?).ok()?;
        let bytes = self.0.get(HEAD..HEAD.checked_add(length)?)?;
        self.0 = self
            .0
            .get(HEAD + length.checked_next_multiple_of(8)?..)
            .unwrap_or(&[]);
        Some((address, bytes))
    }
}

impl<'a> Pieces<'a> {
    /// Each of them: its address and its bytes.
    fn each(&self) -> Each<'a> {
        Each(self.0)
    }

    /// The bytes of the piece at `address`.
    pub fn find(&self, address: u64) -> Option<&'a [u8]> {
        self.each()
            .find(|(start, _)| *start == address)
            .map(|(_, bytes)| bytes)
    }

    /// Copies what is known of the memory at `address` into `into`, and returns how many bytes that are: as many as one piece
    /// has, and those that stand right behind it.
    pub fn read(&self, address: u64, into: &mut [u8]) -> usize {
        let mut done = 0;
        while done < into.len() {
            let wanted = address.wrapping_add(done as u64);
            let found = self.each().find_map(|(start, bytes)| {
                let skip = usize::try_from(wanted.checked_sub(start)?).ok()?;
                bytes.get(skip..).filter(|rest| !rest.is_empty())
            });
            let Some(bytes) = found else { break };
            let count = bytes.len().min(into.len() - done);
            into[done..done + count].copy_from_slice(&bytes[..count]);
            done += count;
        }
        done
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn piece(address: u64, bytes: &[u8]) -> Vec<u8> {
        let mut all = Vec::new();
        all.extend(address.to_ne_bytes());
        all.extend((bytes.len() as u64).to_ne_bytes());
        all.extend(bytes);
        all.resize(all.len().next_multiple_of(8), 0);
        all
    }

    fn record(entry: &[u8], exit: &[u8]) -> Vec<u8> {
        let mut all = Vec::new();
        let entry_size = Head::SIZE + entry.len();
        all.extend(((entry_size + exit.len()) as u32).to_ne_bytes());
        all.extend((entry_size as u32).to_ne_bytes());
        all.extend(44u32.to_ne_bytes());
        all.extend(Head::LOOK.to_ne_bytes());
        for word in [10, 20, 5, 1, 2, 3, 4, 5, 6, 7, 8u64] {
            all.extend(word.to_ne_bytes());
        }
        all.extend(entry);
        all.extend(exit);
        all
    }

    #[test]
    fn the_memory_in_a_record_can_be_read_by_address() {
        let mut exit = piece(0x1000, b"hello");
        exit.extend(piece(0x1005, b" world"));
        let bytes = record(&piece(0x2000, b"before"), &exit);
        let record = Record::parse(&bytes, false).expect("a record");
        assert_eq!(
            (record.head.number, record.head.flags, record.head.result),
            (44, Head::LOOK, 5)
        );
        assert_eq!(record.head.arguments, [1, 2, 3, 4, 5, 6]);
        assert_eq!((record.head.stack_pointer, record.head.caller), (7, 8));
        let mut into = [0; 11];
        assert_eq!(record.at_exit().read(0x1000, &mut into), 11);
        assert_eq!(&into, b"hello world");
        assert_eq!(record.at_exit().read(0x1002, &mut into[..4]), 4);
        assert_eq!(&into[..4], b"llo ");
        assert_eq!(record.at_exit().read(0x2000, &mut into), 0);
        assert_eq!(record.at_entry().read(0x2000, &mut into), 6);
        let begun = Record::parse(&bytes, true).expect("a record");
        assert_eq!(begun.at_exit().each().next(), None);
    }

    #[test]
    fn what_was_noted_of_a_socket_is_read() {
        let mut bytes = Vec::new();
        for number in [5i64, 1, -1, 3] {
            bytes.extend(number.to_ne_bytes());
        }
        assert_eq!(look::Noted::parse(&bytes[..31]), None);
        bytes.extend(b"info");
        let noted = look::Noted {
            at_ns: 5,
            receive_queue: 1,
            send_queue: -1,
            drops: 3,
        };
        assert_eq!(look::Noted::parse(&bytes), Some((noted, &b"info"[..])));
    }

    #[test]
    fn lengths_that_lie_are_harmless() {
        let good = record(&piece(1, b"x"), &piece(2, b"y"));
        for at in 0..good.len() {
            for value in [0, 1, 0x7F, 0x80, 0xFF] {
                let mut bytes = good.clone();
                bytes[at] = value;
                for in_call in [false, true] {
                    if let Some(record) = Record::parse(&bytes, in_call) {
                        let mut into = [0; 64];
                        record.at_entry().read(1, &mut into);
                        record.at_exit().read(u64::MAX - 3, &mut into);
                        assert!(record.at_exit().each().count() < 100);
                    }
                }
            }
        }
        for length in 0..good.len() {
            let _ = Record::parse(&good[..length], false);
        }
    }

    #[test]
    fn no_record_begins_where_it_might_not_fit() {
        assert_eq!(ring::next(0), 0);
        assert_eq!(
            ring::next(ring::CAPACITY - ring::RECORD),
            ring::CAPACITY - ring::RECORD
        );
        assert_eq!(
            ring::next(ring::CAPACITY - ring::RECORD + 8),
            ring::CAPACITY
        );
        assert_eq!(ring::next(ring::CAPACITY), ring::CAPACITY);
    }
}
