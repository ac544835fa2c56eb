//! The system calls that need unsafe code, each behind a safe function, and nothing else.
//!
//! What `nix` already offers safely (ptrace, `process_vm_readv`, waiting) is used from there and not wrapped again.

pub mod descriptor;
pub mod ptrace;
pub mod seccomp;
pub mod socket;
pub mod spawn;
