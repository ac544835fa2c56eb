//! Running packet filters (classic BPF) on frames that are already here: on files, and on frames whose VLAN tag was put back.
//!
//! The instruction set is that of `include/uapi/linux/bpf_common.h` and the paper of McCanne and Jacobson (1993).

pub use wallsocket_sys::packet::{FILTER_MAXIMUM, Instruction};

use crate::decode::LinkType;

/// One filter as a program for each kind of frame: where a header stands depends on the link type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters {
    /// Sorted by link type.
    programs: Vec<(LinkType, Filter)>,
    other: Option<Filter>,
}

impl Filters {
    /// `programs` by link type; `other` is for every other link type. Frames without a program do not match.
    pub fn new(mut programs: Vec<(LinkType, Filter)>, other: Option<Filter>) -> Self {
        programs.sort_by_key(|(link_type, _)| link_type.0);
        Self { programs, other }
    }

    /// Whether a frame matches.
    #[inline]
    pub fn matches(&self, link_type: LinkType, bytes: &[u8], original_length: u32) -> bool {
        let found = self
            .programs
            .binary_search_by_key(&link_type.0, |(link_type, _)| link_type.0);
        match found {
            Ok(index) => self.programs[index].1.matches(bytes, original_length),
            Err(_) => self
                .other
                .as_ref()
                .is_some_and(|filter| filter.matches(bytes, original_length)),
        }
    }
}

/// Why a program is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("packet filter program: instruction {index}: {reason}")]
pub struct FilterError {
    /// Which instruction.
    pub index: usize,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// A program whose jumps stay inside and go forward, so that it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    program: Vec<Instruction>,
}

const MEMORY: usize = 16;

impl Filter {
    /// Checks a program.
    ///
    /// # Errors
    /// For an empty or too long program, a jump out of it, an unknown instruction, or one that does not end with a return.
    pub fn new(program: Vec<Instruction>) -> Result<Self, FilterError> {
        let length = program.len();
        let fault = |index, reason| Err(FilterError { index, reason });
        if length == 0 || length > FILTER_MAXIMUM {
            return fault(0, "a program has 1 to 4096 instructions");
        }
        for (index, instruction) in program.iter().enumerate() {
            let left = length - index - 1;
            match instruction.code & 7 {
                JUMP if instruction.code & 0xf0 == 0 && instruction.operand as usize >= left => {
                    return fault(index, "jumps out of the program");
                }
                JUMP if usize::from(instruction.jump_true.max(instruction.jump_false)) >= left => {
                    return fault(index, "jumps out of the program");
                }
                STORE | STORE_X if instruction.operand as usize >= MEMORY => {
                    return fault(index, "no such memory cell");
                }
                LOAD | LOAD_X
                    if instruction.code & 0xe0 == MODE_MEMORY
                        && instruction.operand as usize >= MEMORY =>
                {
                    return fault(index, "no such memory cell");
                }
                _ => {}
            }
        }
        if program[length - 1].code & 7 != RETURN {
            return fault(length - 1, "the program does not end with a return");
        }
        Ok(Self { program })
    }

    /// How many bytes of the frame to keep; 0: it does not match. A load beyond the bytes means no match, as in the kernel.
    #[inline]
    pub fn run(&self, bytes: &[u8], original_length: u32) -> u32 {
        self.execute(bytes, original_length).unwrap_or(0)
    }

    /// Whether the frame matches.
    pub fn matches(&self, bytes: &[u8], original_length: u32) -> bool {
        self.run(bytes, original_length) != 0
    }

    fn execute(&self, bytes: &[u8], original_length: u32) -> Option<u32> {
        let mut accumulator = 0_u32;
        let mut index = 0_u32;
        let mut memory = [0_u32; MEMORY];
        let mut counter = 0;
        loop {
            let instruction = self.program.get(counter)?;
            counter += 1;
            let operand = instruction.operand;
            match instruction.code & 7 {
                LOAD => {
                    accumulator = match instruction.code & 0xe0 {
                        0x00 => operand,
                        0x20 => load(bytes, operand, instruction.code & 0x18)?,
                        0x40 => load(bytes, index.checked_add(operand)?, instruction.code & 0x18)?,
                        MODE_MEMORY => memory[operand as usize % MEMORY],
                        0x80 => original_length,
                        _ => return None,
                    };
                }
                LOAD_X => {
                    index = match instruction.code & 0xe0 {
                        0x00 => operand,
                        MODE_MEMORY => memory[operand as usize % MEMORY],
                        0x80 => original_length,
                        0xa0 => u32::from(bytes.get(operand as usize)? & 15) * 4,
                        _ => return None,
                    };
                }
                STORE => memory[operand as usize % MEMORY] = accumulator,
                STORE_X => memory[operand as usize % MEMORY] = index,
                ARITHMETIC => {
                    let value = if instruction.code & 8 == 0 {
                        operand
                    } else {
                        index
                    };
                    accumulator = match instruction.code & 0xf0 {
                        0x00 => accumulator.wrapping_add(value),
                        0x10 => accumulator.wrapping_sub(value),
                        0x20 => accumulator.wrapping_mul(value),
                        0x30 => accumulator.checked_div(value)?,
                        0x40 => accumulator | value,
                        0x50 => accumulator & value,
                        0x60 => accumulator.checked_shl(value).unwrap_or(0),
                        0x70 => accumulator.checked_shr(value).unwrap_or(0),
                        0x80 => accumulator.wrapping_neg(),
                        0x90 => accumulator.checked_rem(value)?,
                        0xa0 => accumulator ^ value,
                        _ => return None,
                    };
                }
                JUMP => {
                    let value = if instruction.code & 8 == 0 {
                        operand
                    } else {
                        index
                    };
                    let holds = match instruction.code & 0xf0 {
                        0x00 => {
                            counter += operand as usize;
                            continue;
                        }
                        0x10 => accumulator == value,
                        0x20 => accumulator > value,
                        0x30 => accumulator >= value,
                        0x40 => accumulator & value != 0,
                        _ => return None,
                    };
                    counter += usize::from(if holds {
                        instruction.jump_true
                    } else {
                        instruction.jump_false
                    });
                }
                RETURN => {
                    return Some(if instruction.code & 0x18 == 0x10 {
                        accumulator
                    } else {
                        operand
                    });
                }
                _ => match instruction.code & 0xf8 {
                    0x00 => index = accumulator,
                    0x80 => accumulator = index,
                    _ => return None,
                },
            }
        }
    }
}

const LOAD: u16 = 0;
const LOAD_X: u16 = 1;
const STORE: u16 = 2;
const STORE_X: u16 = 3;
const ARITHMETIC: u16 = 4;
const JUMP: u16 = 5;
const RETURN: u16 = 6;
const MODE_MEMORY: u16 = 0x60;

fn load(bytes: &[u8], offset: u32, size: u16) -> Option<u32> {
    let rest = bytes.get(offset as usize..)?;
    match size {
        0x00 => rest.first_chunk().map(|word| u32::from_be_bytes(*word)),
        0x08 => rest
            .first_chunk()
            .map(|half| u16::from_be_bytes(*half).into()),
        0x10 => rest.first().map(|byte| (*byte).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn udp_port_53() {
        // tcpdump -d "udp dst port 53" on Ethernet, IPv4 part.
        let program = vec![
            Instruction::new(0x28, 12),
            Instruction::jump(0x15, 0x800, 0, 8),
            Instruction::new(0x30, 23),
            Instruction::jump(0x15, 17, 0, 6),
            Instruction::new(0x28, 20),
            Instruction::jump(0x45, 0x1fff, 4, 0),
            Instruction::new(0xb1, 14),
            Instruction::new(0x48, 16),
            Instruction::jump(0x15, 53, 0, 1),
            Instruction::new(0x06, 0x4_0000),
            Instruction::new(0x06, 0),
        ];
        let filter = Filter::new(program).expect("a right program");
        let mut frame = vec![0; 60];
        frame[12..14].copy_from_slice(&[8, 0]);
        frame[14] = 0x45;
        frame[23] = 17;
        frame[36..38].copy_from_slice(&[0, 53]);
        assert_eq!(filter.run(&frame, 60), 0x4_0000);
        frame[37] = 54;
        assert!(!filter.matches(&frame, 60));
        assert!(!filter.matches(&frame[..20], 60));
    }

    #[test]
    fn each_link_type_has_its_program() {
        let all = Filter::new(vec![Instruction::new(6, 1)]).expect("a right program");
        let none = Filter::new(vec![Instruction::new(6, 0)]).expect("a right program");
        let filters = Filters::new(
            vec![(LinkType(276), all.clone()), (LinkType(1), none.clone())],
            None,
        );
        assert!(filters.matches(LinkType(276), b"", 0));
        assert!(!filters.matches(LinkType(1), b"", 0));
        assert!(!filters.matches(LinkType(101), b"", 0));
        assert!(Filters::new(vec![], Some(all)).matches(LinkType(101), b"", 0));
        assert!(!Filters::new(vec![], Some(none)).matches(LinkType(101), b"", 0));
    }

    #[test]
    fn wrong_programs_are_refused() {
        assert_eq!(Filter::new(vec![]).expect_err("empty").index, 0);
        let jump = vec![Instruction::jump(0x15, 1, 1, 0), Instruction::new(6, 0)];
        assert_eq!(
            Filter::new(jump).expect_err("out").reason,
            "jumps out of the program"
        );
        assert_eq!(
            Filter::new(vec![Instruction::new(0x28, 0)])
                .expect_err("no end")
                .index,
            0
        );
    }

    proptest! {
        #[test]
        fn any_accepted_program_ends(
            raw in prop::collection::vec((0..0x100_u16, 0..4_u8, 0..4_u8, 0..40_u32), 1..30),
            bytes in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let mut program: Vec<Instruction> = raw
                .into_iter()
                .map(|(code, jump_true, jump_false, operand)| Instruction { code, jump_true, jump_false, operand })
                .collect();
            program.extend(std::iter::repeat_n(Instruction::new(6, 7), 41));
            if let Ok(filter) = Filter::new(program) {
                let _ = filter.run(&bytes, bytes.len() as u32);
            }
        }
    }
}
