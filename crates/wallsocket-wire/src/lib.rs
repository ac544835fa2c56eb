//! Frames: decoding, capture, capture files.

pub mod decode;

pub use decode::{Frame, Hints, LinkType, decode};
