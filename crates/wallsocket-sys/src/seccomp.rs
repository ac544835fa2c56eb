//! Installing seccomp filters in this process (before exec), and the layout the kernel wants when a tracer has a target install one.

use std::io;

/// One instruction of classic BPF, `struct sock_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Instructions to skip when a comparison holds.
    pub jump_true: u8,
    /// Instructions to skip when it does not.
    pub jump_false: u8,
    /// Constant.
    pub k: u32,
}

/// `SECCOMP_SET_MODE_FILTER` of `seccomp(2)`.
pub const SET_MODE_FILTER: u64 = 1;
/// `SECCOMP_FILTER_FLAG_TSYNC`: all threads of the process get the filter.
pub const FLAG_TSYNC: u64 = 1;

/// Promises the kernel that this process gains no privileges by exec (`PR_SET_NO_NEW_PRIVS`), the condition for filters without root.
pub fn no_new_privileges() -> io::Result<()> {
    // SAFETY: prctl with integers only.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Installs `program` in the calling thread. It stays for ever and is inherited by children and across exec.
pub fn install(program: &[Instruction]) -> io::Result<()> {
    let header = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_ptr().cast::<libc::sock_filter>().cast_mut(),
    };
    // SAFETY: `header` describes `program`, which outlives the call; Instruction has the layout of sock_filter; the kernel only reads.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, 0, &raw const header) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// `program` as bytes to be placed at `address` in another process: a `struct sock_fprog` followed by the instructions it points to.
pub fn image(program: &[Instruction], address: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(16 + program.len() * 8);
    bytes.extend_from_slice(&(program.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&(address + 16).to_le_bytes());
    for instruction in program {
        bytes.extend_from_slice(&instruction.code.to_le_bytes());
        bytes.push(instruction.jump_true);
        bytes.push(instruction.jump_false);
        bytes.extend_from_slice(&instruction.k.to_le_bytes());
    }
    bytes
}
