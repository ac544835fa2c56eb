//! The packet filter: a program of the kernel's machine (classic BPF), run on each frame before it is copied.

use std::io;
use std::os::fd::BorrowedFd;

use super::{HARDWARE_LOOPBACK, set_option};

/// One instruction of the kernel's packet filter (classic BPF), as in `struct sock_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Instructions to skip when a condition holds.
    pub jump_true: u8,
    /// Instructions to skip when it does not.
    pub jump_false: u8,
    /// The operand.
    pub operand: u32,
}

impl Instruction {
    /// An instruction without jumps.
    pub const fn new(code: u16, operand: u32) -> Self {
        Self {
            code,
            jump_true: 0,
            jump_false: 0,
            operand,
        }
    }

    /// A conditional jump.
    pub const fn jump(code: u16, operand: u32, jump_true: u8, jump_false: u8) -> Self {
        Self {
            code,
            jump_true,
            jump_false,
            operand,
        }
    }
}

/// `BPF_MAXINSNS` of `include/uapi/linux/bpf_common.h`: the longest program the kernel takes.
pub const FILTER_MAXIMUM: usize = 4096;

const BPF_LOAD_WORD_ABSOLUTE: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
pub(super) const BPF_JUMP_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
pub(super) const BPF_RETURN: u16 = 0x06; // BPF_RET | BPF_K
// Ancillary loads of `include/uapi/linux/filter.h`: SKF_AD_OFF + SKF_AD_PKTTYPE, + SKF_AD_HATYPE.
const ANCILLARY_PACKET_TYPE: u32 = (-0x1000_i32 + 4) as u32;
const ANCILLARY_HARDWARE_TYPE: u32 = (-0x1000_i32 + 28) as u32;

/// Which frames to capture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Received and sent; on loopback, where the kernel shows each frame twice, the received copy only.
    #[default]
    Both,
    /// Received only.
    In,
    /// Sent only.
    Out,
    /// Everything the kernel shows, on loopback each frame twice.
    Raw,
}

/// Attaches a packet filter to any socket; it replaces the one before.
///
/// # Errors
/// EINVAL when the kernel's checker refuses the program (empty, too long, a jump out of it).
pub fn attach_filter(socket: BorrowedFd<'_>, program: &[Instruction]) -> io::Result<()> {
    if program.is_empty() || program.len() > FILTER_MAXIMUM {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let mut raw: Vec<libc::sock_filter> = program
        .iter()
        .map(|instruction| libc::sock_filter {
            code: instruction.code,
            jt: instruction.jump_true,
            jf: instruction.jump_false,
            k: instruction.operand,
        })
        .collect();
    let descriptor = libc::sock_fprog {
        len: raw.len() as u16,
        filter: raw.as_mut_ptr(),
    };
    // `raw` lives until the call returns; the kernel copies it.
    set_option(
        socket,
        libc::SOL_SOCKET,
        libc::SO_ATTACH_FILTER,
        &descriptor,
    )
}

/// Puts the choice of direction before the caller's program, so unwanted frames take no room in the ring.
pub(super) fn with_direction(
    direction: Direction,
    filter: &[Instruction],
    snap_length: u32,
) -> Vec<Instruction> {
    let outgoing = u32::from(libc::PACKET_OUTGOING);
    let mut program = match direction {
        Direction::Raw => vec![],
        Direction::Both => vec![
            Instruction::new(BPF_LOAD_WORD_ABSOLUTE, ANCILLARY_PACKET_TYPE),
            Instruction::jump(BPF_JUMP_EQUAL, outgoing, 0, 3),
            Instruction::new(BPF_LOAD_WORD_ABSOLUTE, ANCILLARY_HARDWARE_TYPE),
            Instruction::jump(BPF_JUMP_EQUAL, u32::from(HARDWARE_LOOPBACK), 0, 1),
            Instruction::new(BPF_RETURN, 0),
        ],
        Direction::In => vec![
            Instruction::new(BPF_LOAD_WORD_ABSOLUTE, ANCILLARY_PACKET_TYPE),
            Instruction::jump(BPF_JUMP_EQUAL, outgoing, 0, 1),
            Instruction::new(BPF_RETURN, 0),
        ],
        Direction::Out => vec![
            Instruction::new(BPF_LOAD_WORD_ABSOLUTE, ANCILLARY_PACKET_TYPE),
            Instruction::jump(BPF_JUMP_EQUAL, outgoing, 1, 0),
            Instruction::new(BPF_RETURN, 0),
        ],
    };
    if filter.is_empty() {
        program.push(Instruction::new(BPF_RETURN, snap_length));
    } else {
        program.extend_from_slice(filter);
    }
    program
}
