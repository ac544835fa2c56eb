//! Frames: decoding, packet filters, capture files, Arrow columns.

#[cfg(feature = "columns")]
pub mod columns;
#[cfg(feature = "files")]
pub mod compress;
pub mod craft;
pub mod decode;
#[cfg(feature = "files")]
pub mod file;
#[cfg(feature = "files")]
pub mod file_write;
pub mod filter;
pub mod lines;
#[cfg(feature = "columns")]
pub mod live;

pub use decode::{Frame, Hints, LinkType, decode};

#[cfg(all(test, feature = "files"))]
mod file_tests;
