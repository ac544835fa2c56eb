//! The tracer: runs a program, follows its sockets, and sends what it saw as rows.
//!
//! [`guardian`] is the program that does it; `wallsocket._core` only decodes the [`rows`].

pub mod backlog;
pub mod calls;
pub mod capture;
pub mod clock;
pub mod confidential;
pub mod descriptors;
pub mod facts;
pub mod filter;
pub mod guardian;
pub mod ids;
pub mod inject;
pub mod interrupted;
pub mod lines;
pub mod memory;
pub mod namespace;
pub mod native;
pub mod networks;
pub mod places;
pub mod python;
pub mod rows;
pub mod sample;
pub mod sampler;
pub mod sink;
pub mod syscalls;
pub mod tally;
pub mod tracer;
pub mod unread;
