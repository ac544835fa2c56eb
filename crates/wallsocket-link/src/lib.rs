//! A lab's hosts and the links between them: namespaces held by a small process, rtnetlink set-up, a seeded forwarder of frames.

pub mod holder;
pub mod lab;
mod protocol;
