//! `SO_MEMINFO`: the memory one socket holds, and what it dropped (linux/sock_diag.h).

use crate::words::uint32;

/// Nine numbers; a kernel that knows fewer leaves the rest at `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SocketMemory {
    /// Bytes charged to the receive queue, with the kernel's overhead per packet.
    pub receive_allocated: Option<u32>,
    /// Limit of the receive queue: `SO_RCVBUF` in force.
    pub receive_buffer: Option<u32>,
    /// Bytes of packets on their way out.
    pub send_allocated: Option<u32>,
    /// Limit of the send queue: `SO_SNDBUF` in force.
    pub send_buffer: Option<u32>,
    /// Bytes set aside for packets to come.
    pub forward_allocated: Option<u32>,
    /// Bytes queued for sending, overhead included.
    pub send_queued: Option<u32>,
    /// Bytes of options and control messages.
    pub option_memory: Option<u32>,
    /// Bytes in the backlog: arrived while a program held the socket.
    pub backlog: Option<u32>,
    /// Packets dropped at this socket because it had no room, or for a bad checksum.
    pub drops: Option<u32>,
}

impl SocketMemory {
    /// Takes the bytes of `getsockopt(SO_MEMINFO)` or of sock_diag's `SKMEMINFO`.
    pub fn parse(bytes: &[u8]) -> Self {
        let word = |index: usize| uint32(bytes, 4 * index);
        Self {
            receive_allocated: word(0),
            receive_buffer: word(1),
            send_allocated: word(2),
            send_buffer: word(3),
            forward_allocated: word(4),
            send_queued: word(5),
            option_memory: word(6),
            backlog: word(7),
            drops: word(8),
        }
    }

    /// As the kernel gave them.
    pub fn bytes(&self) -> Vec<u8> {
        self.fields()
            .flat_map(|(_, value)| value.to_ne_bytes())
            .collect()
    }

    /// The numbers by name, as far as they are there.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, u32)> {
        [
            ("receive_allocated", self.receive_allocated),
            ("receive_buffer", self.receive_buffer),
            ("send_allocated", self.send_allocated),
            ("send_buffer", self.send_buffer),
            ("forward_allocated", self.forward_allocated),
            ("send_queued", self.send_queued),
            ("option_memory", self.option_memory),
            ("backlog", self.backlog),
            ("drops", self.drops),
        ]
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| (name, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_in_the_kernels_order() {
        let bytes: Vec<u8> = (1_u32..=9).flat_map(u32::to_ne_bytes).collect();
        let memory = SocketMemory::parse(&bytes);
        let values: Vec<u32> = memory.fields().map(|field| field.1).collect();
        assert_eq!(values, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(memory.drops, Some(9));
        assert_eq!(memory.bytes(), bytes);
        assert_eq!(SocketMemory::parse(&bytes[..33]).drops, None);
        assert_eq!(SocketMemory::parse(&[]), SocketMemory::default());
    }
}
