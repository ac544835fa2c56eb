//! What a Go program says about its functions: how much of the stack each has taken at each instruction.
//!
//! The table is in every program that Go's linker makes, stripped or not. With it a stack is followed without the frame pointer, which
//! nobody tells of a thread that is not stopped, and through assembly that keeps none. Source: `internal/abi/symtab.go`,
//! `runtime/symtab.go` (`pcvalue`, `step`) and `runtime/asm_amd64.s` (`asmcgocall`) of Go 1.18 to 1.25.

use super::tables::Bytes;

/// Magic numbers of Go 1.18 and 1.20; the second has a line more in each function.
const GO_1_18: u32 = 0xFFFF_FFF0;
const GO_1_20: u32 = 0xFFFF_FFF1;
/// Numbers of a function's own instructions that are read, at most.
const STEPS_MAX: usize = 1 << 16;
/// Nothing is called from above: a goroutine or a thread begins here (`abi.FuncFlagTopFrame`).
const IS_TOP: u8 = 1;
/// It sets the stack pointer: to another stack (`abi.FuncFlagSPWrite`).
const SETS_STACK: u8 = 2;
/// `abi.FuncID_asmcgocall`.
const CALLS_C: u8 = 2;

/// A frame, as its function has it at one instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// So many bytes lie between the stack pointer and where the frame returns to.
    Sized(u64),
    /// C runs on the thread's own stack, and the goroutine's is another one.
    CallsC,
    /// The stack ends here, or goes on where nobody says.
    Last,
}

/// The functions of a program.
#[derive(Debug)]
pub(super) struct Functions {
    bytes: Bytes,
    /// Address of the first one.
    text: u64,
    count: usize,
    /// Where in the bytes the list of functions begins, and the numbers by instruction.
    list: usize,
    numbers: usize,
    /// Where in a function's own entry its kind stands.
    kind: usize,
}

impl Functions {
    /// Reads the section `.gopclntab`; `None`: of another version, or without the address of the first function.
    pub(super) fn read(bytes: Bytes) -> Option<Self> {
        let kind = match word32(&bytes, 0)? {
            GO_1_18 => 36,
            GO_1_20 => 40,
            _ => return None,
        };
        // The smallest instruction, and the size of a pointer.
        if bytes.get(6..8)? != [1, 8] {
            return None;
        }
        let place = |at| usize::try_from(word64(&bytes, at)?).ok();
        let text = word64(&bytes, 24)?;
        let (count, numbers, list) = (place(8)?, place(56)?, place(64)?);
        // A program that may lie anywhere gets the address when it is loaded.
        (text != 0).then_some(Self {
            bytes,
            text,
            count,
            list,
            numbers,
            kind,
        })
    }

    /// Bytes that are held.
    pub(super) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The frame of the function whose instruction is at `address`; `None`: it is not of Go.
    pub(super) fn frame(&self, address: u64) -> Option<Frame> {
        let offset = u32::try_from(address.checked_sub(self.text)?).ok()?;
        let (begin, entry) = self.entry(offset)?;
        let own = self.bytes.get(entry..)?;
        let flags = *own.get(self.kind + 1)?;
        if flags & IS_TOP != 0 {
            return Some(Frame::Last);
        }
        if flags & SETS_STACK != 0 {
            return Some(if *own.get(self.kind)? == CALLS_C {
                Frame::CallsC
            } else {
                Frame::Last
            });
        }
        let numbers = self.numbers.checked_add(word32(own, 16)? as usize)?;
        let taken = value(self.bytes.get(numbers..)?, begin, offset)?;
        u64::try_from(taken).ok().map(Frame::Sized)
    }

    /// The function that an offset lies in: where it begins, and its entry.
    fn entry(&self, offset: u32) -> Option<(u32, usize)> {
        let at = |index: usize| index.checked_mul(8)?.checked_add(self.list);
        let begin = |index: usize| word32(&self.bytes, at(index)?);
        // Behind the last one stands where it ends.
        if offset < begin(0)? || offset >= begin(self.count)? {
            return None;
        }
        let (mut low, mut high) = (0, self.count);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if begin(middle)? <= offset {
                low = middle;
            } else {
                high = middle;
            }
        }
        let place = word32(&self.bytes, at(low)?.checked_add(4)?)? as usize;
        Some((begin(low)?, self.list.checked_add(place)?))
    }
}

/// The number that holds at `wanted`, of a list that begins at `at`: pairs of what is added to the number and for how many bytes of code it
/// then holds.
fn value(mut list: &[u8], mut at: u32, wanted: u32) -> Option<i64> {
    let mut number = -1;
    for step in 0..STEPS_MAX {
        let change = varint(&mut list)?;
        if change == 0 && step > 0 {
            return None;
        }
        // The lowest bit is the sign.
        number += i64::from(change >> 1) ^ -i64::from(change & 1);
        at = at.checked_add(varint(&mut list)?)?;
        if wanted < at {
            return Some(number);
        }
    }
    None
}

fn varint(list: &mut &[u8]) -> Option<u32> {
    let mut found = 0;
    for shift in [0, 7, 14, 21, 28] {
        let (byte, rest) = list.split_first()?;
        *list = rest;
        found |= u32::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(found);
        }
    }
    None
}

/// Where the goroutine's stack goes on, by what `asmcgocall` does when C has returned, and by the stack that C was called on.
///
/// It loads the goroutine from its frame, and takes the depth that stands beside it from the end of that one's stack; where in the frame
/// they stand differs between versions, so its instructions are asked. `word` reads the thread's stack, `anywhere` the process.
pub(super) fn goroutine_stack(
    code: &[u8],
    stack: u64,
    mut word: impl FnMut(u64) -> Option<u64>,
    anywhere: impl Fn(u64) -> Option<u64>,
) -> Option<u64> {
    /// `mov N(%rsp), %rdi` and `sub N(%rsp), %rsi`; without N where that is 0.
    const LOADS: [u8; 4] = [0x48, 0x8B, 0x7C, 0x24];
    const TAKES: [u8; 4] = [0x48, 0x2B, 0x74, 0x24];
    const TAKES_FIRST: [u8; 4] = [0x48, 0x2B, 0x34, 0x24];
    /// Of `g.stack.hi`.
    const END: u64 = 8;

    let find = |wanted: &[u8]| code.windows(wanted.len()).position(|found| found == wanted);
    let at = |wanted: &[u8]| Some(u64::from(*code.get(find(wanted)? + wanted.len())?));
    let goroutine = word(stack.checked_add(at(&LOADS)?)?)?;
    let depth = at(&TAKES).or_else(|| find(&TAKES_FIRST).map(|_| 0))?;
    let depth = word(stack.checked_add(depth)?)?;
    // Without a goroutine it was on this stack already.
    (goroutine != 0)
        .then(|| anywhere(goroutine.checked_add(END)?)?.checked_sub(depth))
        .flatten()
}

fn word32(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

fn word64(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A table of two functions: one that takes 24 bytes after its first four, and one where a goroutine begins.
    fn table() -> Vec<u8> {
        let mut bytes = vec![0; 72];
        bytes[..4].copy_from_slice(&GO_1_20.to_le_bytes());
        bytes[6..8].copy_from_slice(&[1, 8]);
        for (at, value) in [(8, 2_u64), (24, 0x40_0000), (56, 72), (64, 80)] {
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        // At 72: nothing taken for 4 bytes, 24 for 60 more, the end.
        bytes.extend([2, 4, 48, 60, 0, 0, 0, 0]);
        // At 80: begins and entries, and the end of the last.
        for number in [0_u32, 24, 64, 72, 96] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.resize(80 + 24, 0);
        for flags in [0, IS_TOP] {
            let entry = bytes.len();
            bytes.resize(entry + 48, 0);
            bytes[entry + 41] = flags;
        }
        bytes
    }

    fn read(bytes: Vec<u8>) -> Option<Functions> {
        Functions::read(Bytes::from(bytes))
    }

    #[test]
    fn a_frame_is_as_large_as_its_instruction_has_made_it() {
        let functions = read(table()).expect("a table");
        for (address, frame) in [
            (0x3F_FFFF, None),
            (0x40_0000, Some(Frame::Sized(0))),
            (0x40_0003, Some(Frame::Sized(0))),
            (0x40_0004, Some(Frame::Sized(24))),
            (0x40_003F, Some(Frame::Sized(24))),
            (0x40_0040, Some(Frame::Last)),
            (0x40_0060, None),
        ] {
            assert_eq!(functions.frame(address), frame, "{address:#x}");
        }
    }

    #[test]
    fn the_goroutines_stack_is_where_asmcgocall_goes_back_to() {
        // Of Go 1.19, which keeps them at 48 and 40; and of a later one, at 8 and 0.
        let older = [
            0x64, 0x48, 0x8B, 0x0C, 0x25, 0xF8, 0xFF, 0xFF, 0xFF, 0x48, 0x8B, 0x7C, 0x24, 0x30,
            0x48, 0x8B, 0x77, 0x08, 0x48, 0x2B, 0x74, 0x24, 0x28,
        ];
        let newer = [
            0x48, 0x8B, 0x7C, 0x24, 0x08, 0x48, 0x8B, 0x77, 0x08, 0x48, 0x2B, 0x34, 0x24,
        ];
        for (code, goroutine, depth) in [(&older[..], 48, 40), (&newer[..], 8, 0)] {
            let word = |at| match at {
                at if at == 0x1000 + goroutine => Some(0xC000),
                at if at == 0x1000 + depth => Some(0x180),
                _ => None,
            };
            let anywhere = |at| (at == 0xC008).then_some(0xD000);
            assert_eq!(goroutine_stack(code, 0x1000, word, anywhere), Some(0xCE80));
        }
        let none = |_| Some(0);
        assert_eq!(goroutine_stack(&newer, 0x1000, none, none), None);
    }

    proptest! {
        #[test]
        fn damaged_tables_harm_nobody(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
            cut in any::<prop::sample::Index>(),
            address in 0x40_0000_u64..0x40_0100,
        ) {
            let mut bytes = table();
            for (place, value) in &changes {
                let at = place.index(bytes.len());
                bytes[at] = *value;
            }
            bytes.truncate(cut.index(bytes.len() + 1));
            if let Some(functions) = read(bytes) {
                let _ = functions.frame(address);
            }
        }
    }
}
