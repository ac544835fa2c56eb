//! Frames of the kernel's ring: as records, as columns, into a file; with the VLAN tag that the kernel put aside where it was.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::io::{self, Write};

use arrow_schema::ArrowError;
use wallsocket_sys::packet::{Block, FrameHeader, PacketType, RingFrame};

use crate::columns::{Builder, Group, Meta};
use crate::decode::{Hints, LinkType, Vlan};
use crate::file_write::{Details, Writer};
use crate::filter::Filters;

/// A captured frame with what is known beside its bytes.
#[derive(Clone, Debug)]
pub struct Captured<'a> {
    /// As they were on the wire: a tag that the kernel put aside is back.
    pub bytes: Cow<'a, [u8]>,
    /// Kind of the frame.
    pub link_type: LinkType,
    /// Bytes it had on the wire.
    pub original_length: u32,
    /// Of the checksum; no tag.
    pub hints: Hints,
    /// Number, time, interface, direction.
    pub meta: Meta,
}

/// The link type of a frame, and what is known beside it. Unknown hardware is taken for Ethernet.
pub fn describe(header: &FrameHeader, number: u64) -> (LinkType, Meta, Hints) {
    let link_type =
        LinkType::from_hardware_type(header.hardware_type).unwrap_or(LinkType::ETHERNET);
    let meta = Meta {
        number,
        timestamp_ns: i64::try_from(header.timestamp_ns).ok(),
        interface: header.interface,
        inbound: Some(header.packet_type != PacketType::Outgoing),
    };
    (link_type, meta, Hints::from(header))
}

/// The bytes with a tag after the two addresses; as they are when there is no tag, or no room for one.
pub fn with_tag(bytes: &[u8], tag: Option<Vlan>) -> Cow<'_, [u8]> {
    let (Some(tag), Some((addresses, rest))) = (tag, bytes.split_at_checked(12)) else {
        return Cow::Borrowed(bytes);
    };
    let mut whole = Vec::with_capacity(bytes.len() + 4);
    whole.extend_from_slice(addresses);
    whole.extend_from_slice(&tag.protocol.to_be_bytes());
    whole.extend_from_slice(&tag.control.to_be_bytes());
    whole.extend_from_slice(rest);
    Cow::Owned(whole)
}

/// Whether a frame passes a filter that looks at it as it was on the wire.
fn passes(filters: Option<&Filters>, frame: &RingFrame<'_>) -> bool {
    filters.is_none_or(|filters| {
        let (link_type, _, hints) = describe(&frame.header, 0);
        let bytes = with_tag(frame.bytes, hints.vlan);
        let added = (bytes.len() - frame.bytes.len()) as u32;
        filters.matches(link_type, &bytes, frame.header.original_length + added)
    })
}

/// The frames of a block that pass, each with its number.
pub fn frames<'a>(
    block: &'a Block<'_>,
    filters: Option<&'a Filters>,
    number: &'a mut u64,
) -> impl Iterator<Item = Captured<'a>> {
    block
        .frames()
        .filter(move |frame| passes(filters, frame))
        .map(move |frame| {
            *number += 1;
            let (link_type, meta, mut hints) = describe(&frame.header, *number);
            let bytes = with_tag(frame.bytes, hints.vlan.take());
            let added = (bytes.len() - frame.bytes.len()) as u32;
            Captured {
                bytes,
                link_type,
                original_length: frame.header.original_length + added,
                hints,
                meta,
            }
        })
}

/// Decodes the frames of a block into `builder` where they lie, `left` of them at most.
///
/// # Errors
/// No memory.
pub fn decode_block(
    block: &Block<'_>,
    filters: Option<&Filters>,
    number: &mut u64,
    builder: &mut Builder,
    left: &mut u64,
) -> Result<(), ArrowError> {
    let mut group = Group::new(builder);
    for frame in block {
        if *left == 0 {
            break;
        }
        if !passes(filters, &frame) {
            continue;
        }
        *left -= 1;
        *number += 1;
        let (link_type, meta, hints) = describe(&frame.header, *number);
        let length = frame.header.original_length;
        group.add(builder, link_type, frame.bytes, length, hints, meta, None)?;
    }
    group.end(builder)
}

/// The first frame of a block whose interface is not among these: its index and hardware type.
pub fn unknown_interface<S: BuildHasher>(
    block: &Block<'_>,
    interfaces: &HashMap<u32, u32, S>,
) -> Option<(u32, u16)> {
    block
        .frames()
        .find(|frame| !interfaces.contains_key(&frame.header.interface))
        .map(|frame| (frame.header.interface, frame.header.hardware_type))
}

/// Writes the frames of a block to a file, `left` of them at most; gives how many.
///
/// `interfaces`: the number in the file of each interface index; frames of others are left out.
///
/// # Errors
/// Those of the file.
pub fn write_block<W: Write, S: BuildHasher>(
    block: &Block<'_>,
    filters: Option<&Filters>,
    number: &mut u64,
    file: &mut Writer<W>,
    interfaces: &HashMap<u32, u32, S>,
    left: u64,
) -> io::Result<u64> {
    let mut written = 0;
    for frame in block {
        if written == left {
            break;
        }
        let header = &frame.header;
        let Some(interface) = interfaces.get(&header.interface) else {
            continue;
        };
        if !passes(filters, &frame) {
            continue;
        }
        *number += 1;
        let details = Details {
            comments: Vec::new(),
            process_id: None,
            inbound: Some(header.packet_type != PacketType::Outgoing),
            vlan: Hints::from(header).vlan,
        };
        file.frame(
            *interface,
            Some(header.timestamp_ns.cast_signed()),
            frame.bytes,
            header.original_length,
            &details,
        )?;
        written += 1;
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_stands_after_the_addresses() {
        let frame = [1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 0x08, 0x00, 0x45];
        let tag = Vlan {
            protocol: 0x88a8,
            control: 0x2127,
        };
        let whole = with_tag(&frame, Some(tag));
        assert_eq!(whole[..12], frame[..12]);
        assert_eq!(whole[12..16], [0x88, 0xa8, 0x21, 0x27]);
        assert_eq!(whole[16..], frame[12..]);
        assert_eq!(*with_tag(&frame[..11], Some(tag)), frame[..11]);
        assert_eq!(*with_tag(&frame, None), frame);
    }
}
