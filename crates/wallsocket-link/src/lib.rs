//! A lab's hosts and the links between them: namespaces held by a small process, and a seeded forwarder of frames.

pub mod alter;
pub mod fate;
pub mod flow;
pub mod forwarder;
pub mod holder;
pub mod lab;
mod protocol;
