//! The system calls that need unsafe code, each behind a safe function, and nothing else.
//!
//! What `nix` already offers safely (waiting for descriptors, credentials, clocks) is used from there and not wrapped again.

pub mod batch;
pub mod descriptor;
pub mod link;
pub mod memory;
pub mod namespace;
pub mod packet;
pub mod ptrace;
pub mod region;
pub mod seccomp;
pub mod shared;
pub mod socket;
pub mod spawn;
pub mod transmit;
