//! The system calls that need unsafe code, each behind a safe function, and nothing else.

pub mod packet;
