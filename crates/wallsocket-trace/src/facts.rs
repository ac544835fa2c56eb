//! What the kernel says about the host when a call has failed.

use serde_bytes::ByteBuf;

use crate::sink::Sink;

/// Asks and sends facts, not too often.
#[derive(Debug, Default)]
pub struct Facts {}

impl Facts {
    /// Called after each failed call.
    #[allow(clippy::too_many_arguments, reason = "all of one failed call")]
    pub fn after_error(
        &mut self,
        _sink: &Sink,
        _now_ns: i64,
        _call: u64,
        _number: i64,
        _errno: i32,
        _family: i32,
        _address: Option<ByteBuf>,
        _local: Option<ByteBuf>,
    ) {
    }
}
