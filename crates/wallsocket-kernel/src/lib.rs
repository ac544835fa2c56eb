//! What the kernel says about sockets: names, options, addresses, TCP_INFO, sock_diag, rtnetlink. Safe code; asks through `wallsocket-sys`.

pub mod address;
pub mod control;
pub mod counters;
pub mod diag;
pub mod memory;
pub mod names;
pub mod netlink;
pub mod options;
pub mod program;
pub mod route;
pub mod syscalls;
pub mod tcp_info;
mod words;
