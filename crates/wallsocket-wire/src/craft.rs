//! Finishing frames that are built elsewhere: checksums, and sweeps of one frame over values of its fields.

use crate::decode::checksum::{Verdict, pseudo_header_of, sum};
use crate::decode::{Hints, LinkType, Network, Transport, decode};

/// Sets the checksums of the IPv4 header and of TCP, UDP, ICMP, ICMPv6 or IGMP, as far as the frame holds what they cover.
pub fn set_checksums(link_type: LinkType, bytes: &mut [u8]) {
    let mut writes: [Option<(usize, u16)>; 2] = [None; 2];
    {
        let frame = decode(link_type, bytes, bytes.len() as u32, Hints::default());
        if let Verdict::Bad { expected } = frame.checksums().network
            && let Network::Ipv4(ip) = &frame.network
        {
            writes[0] = Some((ip.offset as usize + 10, expected));
        }
        let (offset, field, pseudo) = match &frame.transport {
            Transport::Tcp(tcp) => (tcp.offset as usize, 16, true),
            Transport::Udp(udp) => (udp.offset as usize, 6, true),
            Transport::Icmp(icmp) => (icmp.offset as usize, 2, icmp.version == 6),
            Transport::Igmp(igmp) => (igmp.offset as usize, 2, false),
            Transport::None | Transport::Sctp(_) | Transport::Esp(_) => (0, 0, false),
        };
        let end = frame.payload_offset() as usize + frame.payload().len();
        if field > 0
            && frame.problem.is_none()
            && frame.fragment().is_none()
            && let Some(covered) = bytes.get(offset..end)
            && let (Some(before), Some(after)) = (covered.get(..field), covered.get(field + 2..))
        {
            let length = covered.len() as u32;
            let protocol = frame.protocol.unwrap_or(0);
            let start = if pseudo {
                pseudo_header_of(&frame, protocol, length)
            } else {
                Some(0)
            };
            // Addresses in a form that is not known leave the checksum as it is.
            writes[1] = start.map(|start| {
                let checksum = !sum(after, sum(before, start));
                // RFC 768: a computed 0 is sent as all ones, because 0 says that there is none.
                let none = checksum == 0 && protocol == 17;
                (offset + field, if none { 0xffff } else { checksum })
            });
        }
    }
    for (offset, value) in writes.into_iter().flatten() {
        if let Some(field) = bytes.get_mut(offset..offset + 2) {
            field.copy_from_slice(&value.to_be_bytes());
        }
    }
}

/// A field of a frame and the values it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// Where the field starts.
    pub offset: usize,
    /// Its length in bytes, 1 to 8.
    pub width: usize,
    /// Its values, big-endian on the wire.
    pub values: Vec<u64>,
}

/// A frame for each combination of the values of some fields; the last field changes fastest.
#[derive(Clone, Debug)]
pub struct Sweeps {
    template: Vec<u8>,
    link_type: LinkType,
    fields: Vec<Sweep>,
    checksums: bool,
    next: u64,
    total: u64,
}

impl Sweeps {
    /// Of `template`; with `checksums` they are set anew in each frame.
    ///
    /// # Errors
    /// A field outside of the frame, of an impossible width, or without values.
    pub fn new(
        template: Vec<u8>,
        link_type: LinkType,
        fields: Vec<Sweep>,
        checksums: bool,
    ) -> Result<Self, &'static str> {
        let mut total: u64 = 1;
        for field in &fields {
            if !(1..=8).contains(&field.width)
                || field.offset.saturating_add(field.width) > template.len()
            {
                return Err("a field of a sweep lies outside of the frame");
            }
            total = total
                .checked_mul(field.values.len() as u64)
                .ok_or("a sweep of more than 2^64 frames")?;
        }
        Ok(Self {
            template,
            link_type,
            fields,
            checksums,
            next: 0,
            total,
        })
    }

    /// Frames still to come.
    pub const fn left(&self) -> u64 {
        self.total - self.next
    }

    /// Writes the next frame into `frame`; false when there is none.
    pub fn write(&mut self, frame: &mut Vec<u8>) -> bool {
        if self.next == self.total {
            return false;
        }
        frame.clear();
        frame.extend_from_slice(&self.template);
        let mut rest = self.next;
        for field in self.fields.iter().rev() {
            let count = field.values.len() as u64;
            let value = field.values[(rest % count) as usize].to_be_bytes();
            rest /= count;
            frame[field.offset..field.offset + field.width]
                .copy_from_slice(&value[8 - field.width..]);
        }
        if self.checksums {
            set_checksums(self.link_type, frame);
        }
        self.next += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_gives_every_combination_with_right_checksums() {
        let mut template = vec![
            0x45, 0, 0, 30, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
        ];
        template.extend_from_slice(&[0x13, 0x88, 0, 0, 0, 10, 0, 0, 1, 2]);
        let fields = vec![
            Sweep {
                offset: 8,
                width: 1,
                values: vec![1, 2],
            },
            Sweep {
                offset: 22,
                width: 2,
                values: vec![53, 80, 65535],
            },
        ];
        let mut sweeps =
            Sweeps::new(template.clone(), LinkType::RAW, fields, true).expect("right fields");
        let mut seen = Vec::new();
        let mut bytes = Vec::new();
        while sweeps.write(&mut bytes) {
            let frame = decode(LinkType::RAW, &bytes, bytes.len() as u32, Hints::default());
            let found = frame.checksums();
            assert_eq!(
                (found.network, found.transport),
                (Verdict::Good, Verdict::Good)
            );
            seen.push((bytes[8], frame.ports().expect("UDP").1));
        }
        assert_eq!(
            seen,
            [(1, 53), (1, 80), (1, 65535), (2, 53), (2, 80), (2, 65535)]
        );
        let outside = vec![Sweep {
            offset: 29,
            width: 2,
            values: vec![1],
        }];
        assert!(Sweeps::new(template, LinkType::RAW, outside, true).is_err());
    }
}
