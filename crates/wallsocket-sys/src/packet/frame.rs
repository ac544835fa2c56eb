//! The frames of a filled block: bytes in the ring's memory, and what the kernel says about each.

/// `ARPHRD_LOOPBACK`: hardware type of `lo`.
pub const HARDWARE_LOOPBACK: u16 = 772;

/// Where a frame was going, as the kernel saw it (`sll_pkttype`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketType {
    /// To this host.
    Host,
    /// To everyone on the link.
    Broadcast,
    /// To a group.
    Multicast,
    /// To another host; seen in promiscuous mode.
    OtherHost,
    /// Sent by this host.
    Outgoing,
    /// A number this program does not know.
    Unknown(u8),
}

impl PacketType {
    /// From the number in `sll_pkttype`.
    pub const fn from_number(number: u8) -> Self {
        match number {
            libc::PACKET_HOST => Self::Host,
            libc::PACKET_BROADCAST => Self::Broadcast,
            libc::PACKET_MULTICAST => Self::Multicast,
            libc::PACKET_OTHERHOST => Self::OtherHost,
            libc::PACKET_OUTGOING => Self::Outgoing,
            other => Self::Unknown(other),
        }
    }

    /// The number in `sll_pkttype`.
    pub const fn number(self) -> u8 {
        match self {
            Self::Host => libc::PACKET_HOST,
            Self::Broadcast => libc::PACKET_BROADCAST,
            Self::Multicast => libc::PACKET_MULTICAST,
            Self::OtherHost => libc::PACKET_OTHERHOST,
            Self::Outgoing => libc::PACKET_OUTGOING,
            Self::Unknown(number) => number,
        }
    }
}

/// A VLAN tag that the kernel took out of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vlan {
    /// Tag protocol: 0x8100 or 0x88a8.
    pub protocol: u16,
    /// Priority, drop eligibility and identifier.
    pub control: u16,
}

/// What the kernel says about a frame, beside its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// CLOCK_REALTIME, nanoseconds since 1970.
    pub timestamp_ns: u64,
    /// Bytes the frame had; more than were captured when it was cut.
    pub original_length: u32,
    /// Index of the interface in the socket's namespace.
    pub interface: u32,
    /// Hardware type (`ARPHRD_*`): says which link-layer header the bytes start with.
    pub hardware_type: u16,
    /// Where it was going.
    pub packet_type: PacketType,
    /// EtherType (or `ETH_P_*`) in host byte order.
    pub protocol: u16,
    /// Link-layer address of the sender, and how many of its bytes count.
    pub sender: [u8; 8],
    /// See `sender`.
    pub sender_length: u8,
    /// Tag that the kernel took out.
    pub vlan: Option<Vlan>,
    /// `TP_STATUS_*` bits.
    pub status: u32,
}

impl FrameHeader {
    /// The transport checksum is to be filled in by hardware that has not run (the sender is on this machine).
    pub const fn checksum_not_ready(&self) -> bool {
        self.status & libc::TP_STATUS_CSUMNOTREADY != 0
    }

    /// The kernel or the network card has found the transport checksum right.
    pub const fn checksum_verified(&self) -> bool {
        self.status & libc::TP_STATUS_CSUM_VALID != 0
    }
}

/// A captured frame: bytes in the ring's memory, and what the kernel says about them.
#[derive(Clone, Copy, Debug)]
pub struct RingFrame<'block> {
    /// The captured bytes, from the link-layer header on.
    pub bytes: &'block [u8],
    /// What the kernel says.
    pub header: FrameHeader,
}

// Offsets in `struct tpacket_block_desc`.
pub(super) const BLOCK_STATUS: usize = 8;
const BLOCK_FRAMES: usize = 12;
const BLOCK_FIRST: usize = 16;
const BLOCK_HEADER: usize = 48;
// `struct tpacket3_hdr`, followed (at TPACKET_ALIGN of its size) by `struct sockaddr_ll`.
const FRAME_HEADER: usize = 48;
const ADDRESS: usize = 20;

const _: () = assert!(size_of::<libc::tpacket_block_desc>() == BLOCK_HEADER);
const _: () = assert!(size_of::<libc::tpacket3_hdr>() == FRAME_HEADER);
const _: () = assert!(size_of::<libc::sockaddr_ll>() == ADDRESS);

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes
        .get(offset..)?
        .first_chunk()
        .map(|chunk| u16::from_ne_bytes(*chunk))
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes
        .get(offset..)?
        .first_chunk()
        .map(|chunk| u32::from_ne_bytes(*chunk))
}

/// Iterator over the frames of a [`Block`](super::Block).
#[derive(Clone, Debug)]
pub struct Frames<'block> {
    bytes: &'block [u8],
    offset: usize,
    left: usize,
}

impl<'block> Frames<'block> {
    /// The frames of a block that is filled.
    pub(super) fn of(block: &'block [u8]) -> Self {
        Self {
            bytes: block,
            offset: u32_at(block, BLOCK_FIRST).unwrap_or(0) as usize,
            left: u32_at(block, BLOCK_FRAMES).unwrap_or(0) as usize,
        }
    }

    /// How many are left.
    pub(super) const fn left(&self) -> usize {
        self.left
    }
}

impl<'block> Iterator for Frames<'block> {
    type Item = RingFrame<'block>;

    fn next(&mut self) -> Option<RingFrame<'block>> {
        if self.left == 0 {
            return None;
        }
        let record = self.bytes.get(self.offset..)?;
        let frame = parse_record(record)?;
        self.left -= 1;
        self.offset += u32_at(record, 0)? as usize;
        Some(frame)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left))
    }
}

/// One `struct tpacket3_hdr` with its address and bytes. `None` where the kernel's numbers do not fit the block.
#[inline]
fn parse_record(record: &[u8]) -> Option<RingFrame<'_>> {
    let fixed: &[u8; FRAME_HEADER + ADDRESS] = record.first_chunk()?;
    let word = |offset: usize| {
        u32::from_ne_bytes([
            fixed[offset],
            fixed[offset + 1],
            fixed[offset + 2],
            fixed[offset + 3],
        ])
    };
    let half = |offset: usize| u16::from_ne_bytes([fixed[offset], fixed[offset + 1]]);
    let status = word(20);
    let start = half(24) as usize;
    let bytes = record.get(start..start + word(12) as usize)?;
    let mut sender = [0; 8];
    sender.copy_from_slice(&fixed[FRAME_HEADER + 12..FRAME_HEADER + 20]);
    let vlan = (status & libc::TP_STATUS_VLAN_VALID != 0).then(|| Vlan {
        protocol: if status & libc::TP_STATUS_VLAN_TPID_VALID != 0 {
            half(36)
        } else {
            0x8100
        },
        control: word(32) as u16,
    });
    Some(RingFrame {
        bytes,
        header: FrameHeader {
            timestamp_ns: u64::from(word(4)) * 1_000_000_000 + u64::from(word(8)),
            original_length: word(16),
            interface: word(FRAME_HEADER + 4),
            hardware_type: half(FRAME_HEADER + 8),
            packet_type: PacketType::from_number(fixed[FRAME_HEADER + 10]),
            protocol: u16_at(fixed, FRAME_HEADER + 2).map_or(0, u16::from_be),
            sender,
            sender_length: fixed[FRAME_HEADER + 11],
            vlan,
            status,
        },
    })
}
