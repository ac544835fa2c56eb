//! Options of TCP and IPv4 headers, and the chain of IPv6 extension headers: read when asked for.

use super::{Frame, Network};

/// One TCP option (<https://www.iana.org/assignments/tcp-parameters>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpOption<'a> {
    /// 0: the end of the list.
    End,
    /// 1: padding.
    NoOperation,
    /// 2: largest segment the sender takes.
    MaximumSegmentSize(u16),
    /// 3: shift count of the window.
    WindowScale(u8),
    /// 4: selective acknowledgements are understood.
    SackPermitted,
    /// 5: pairs of left and right edges, 8 bytes each.
    Sack(&'a [u8]),
    /// 8: RFC 7323.
    Timestamps {
        /// Clock of the sender.
        value: u32,
        /// Last value received from the peer.
        echo: u32,
    },
    /// 19: MD5 signature (RFC 2385).
    Md5(&'a [u8]),
    /// 28: user timeout (RFC 5482) as it travels: granularity bit and 15 bits.
    UserTimeout(u16),
    /// 29: authentication (RFC 5925): key, next key, code.
    Authentication(&'a [u8]),
    /// 30: multipath (RFC 8684).
    Multipath(&'a [u8]),
    /// 34: fast open cookie (RFC 7413), empty in a request.
    FastOpen(&'a [u8]),
    /// 69: encryption negotiation (RFC 8547).
    EncryptionNegotiation(&'a [u8]),
    /// 172 and 174: accurate ECN counters (RFC 9768).
    AccurateEcn(u8, &'a [u8]),
    /// Any other, or a known one of an impossible length: kind and data.
    Other(u8, &'a [u8]),
    /// A length that is below 2 or reaches beyond the header; the list ends here.
    Malformed(u8),
}

/// Iterator over TCP options.
#[derive(Clone, Debug)]
pub struct TcpOptions<'a> {
    bytes: &'a [u8],
}

impl<'a> TcpOptions<'a> {
    /// Over the bytes between the fixed header and the data.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }
}

impl<'a> Iterator for TcpOptions<'a> {
    type Item = TcpOption<'a>;

    fn next(&mut self) -> Option<TcpOption<'a>> {
        let (&kind, rest) = self.bytes.split_first()?;
        match kind {
            0 => {
                self.bytes = &[];
                return Some(TcpOption::End);
            }
            1 => {
                self.bytes = rest;
                return Some(TcpOption::NoOperation);
            }
            _ => {}
        }
        let Some(data) = rest
            .first()
            .and_then(|&length| {
                self.bytes
                    .get(2..usize::from(length))
                    .map(|data| (length, data))
            })
            .map(|(length, data)| {
                self.bytes = self.bytes.get(usize::from(length)..).unwrap_or(&[]);
                data
            })
        else {
            self.bytes = &[];
            return Some(TcpOption::Malformed(kind));
        };
        Some(match (kind, data) {
            (2, [high, low]) => TcpOption::MaximumSegmentSize(u16::from_be_bytes([*high, *low])),
            (3, [shift]) => TcpOption::WindowScale(*shift),
            (4, []) => TcpOption::SackPermitted,
            (5, edges) if edges.len() % 8 == 0 && !edges.is_empty() => TcpOption::Sack(edges),
            (8, [value @ .., e0, e1, e2, e3]) if value.len() == 4 => TcpOption::Timestamps {
                value: u32::from_be_bytes(*value.first_chunk()?),
                echo: u32::from_be_bytes([*e0, *e1, *e2, *e3]),
            },
            (19, digest) if digest.len() == 16 => TcpOption::Md5(digest),
            (28, [high, low]) => TcpOption::UserTimeout(u16::from_be_bytes([*high, *low])),
            (29, data) if data.len() >= 2 => TcpOption::Authentication(data),
            (30, data) if !data.is_empty() => TcpOption::Multipath(data),
            (34, cookie) => TcpOption::FastOpen(cookie),
            (69, data) => TcpOption::EncryptionNegotiation(data),
            (172 | 174, data) => TcpOption::AccurateEcn(kind, data),
            (kind, data) => TcpOption::Other(kind, data),
        })
    }
}

/// Edges of a selective acknowledgement option, as pairs of sequence numbers.
pub fn sack_edges(edges: &[u8]) -> impl Iterator<Item = (u32, u32)> + '_ {
    edges.chunks_exact(8).filter_map(|pair| {
        let left = u32::from_be_bytes(*pair.first_chunk()?);
        let right = u32::from_be_bytes(*pair.last_chunk()?);
        Some((left, right))
    })
}

/// One IPv4 option: number and data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4Option<'a> {
    /// Copied flag, class and number as they travel: 0 end, 1 no operation, 7 record route, 68 timestamp, 148 router alert, …
    pub kind: u8,
    /// Data; `None` where the length is below 2 or reaches beyond the header, which ends the list.
    pub data: Option<&'a [u8]>,
}

/// Iterator over IPv4 options.
#[derive(Clone, Debug)]
pub struct Ipv4Options<'a> {
    bytes: &'a [u8],
}

impl<'a> Iterator for Ipv4Options<'a> {
    type Item = Ipv4Option<'a>;

    fn next(&mut self) -> Option<Ipv4Option<'a>> {
        let (&kind, rest) = self.bytes.split_first()?;
        if kind <= 1 {
            self.bytes = if kind == 0 { &[] } else { rest };
            return Some(Ipv4Option {
                kind,
                data: Some(&[]),
            });
        }
        let length = usize::from(rest.first().copied().unwrap_or(0));
        let data = self.bytes.get(2..length);
        self.bytes = if data.is_some() {
            self.bytes.get(length..).unwrap_or(&[])
        } else {
            &[]
        };
        Some(Ipv4Option { kind, data })
    }
}

/// One IPv6 extension header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension<'a> {
    /// Its protocol number.
    pub number: u8,
    /// The whole header.
    pub bytes: &'a [u8],
}

/// Iterator over IPv6 extension headers.
#[derive(Clone, Debug)]
pub struct Extensions<'a> {
    number: u8,
    bytes: &'a [u8],
}

impl<'a> Iterator for Extensions<'a> {
    type Item = Extension<'a>;

    fn next(&mut self) -> Option<Extension<'a>> {
        if !super::is_extension(self.number) {
            return None;
        }
        let (&next, &size) = (self.bytes.first()?, self.bytes.get(1)?);
        let length = match self.number {
            super::EXTENSION_FRAGMENT => 8,
            super::EXTENSION_AUTHENTICATION => (usize::from(size) + 2) * 4,
            _ => (usize::from(size) + 1) * 8,
        };
        let (this, rest) = self.bytes.split_at_checked(length)?;
        let number = std::mem::replace(&mut self.number, next);
        self.bytes = rest;
        Some(Extension {
            number,
            bytes: this,
        })
    }
}

impl<'a> Frame<'a> {
    /// Options of the TCP header; empty without one.
    pub fn tcp_options(&self) -> TcpOptions<'a> {
        let bytes = self.tcp().filter(|tcp| tcp.is_complete()).and_then(|tcp| {
            let start = tcp.offset as usize + 20;
            let end = (tcp.offset as usize + usize::from(tcp.header_length))
                .min(self.payload_end as usize);
            self.bytes.get(start..end)
        });
        TcpOptions {
            bytes: bytes.unwrap_or(&[]),
        }
    }

    /// Options of the IPv4 header; empty without one.
    pub fn ipv4_options(&self) -> Ipv4Options<'a> {
        let bytes = match &self.network {
            Network::Ipv4(ip) => {
                let start = ip.offset as usize;
                let end = (start + usize::from(ip.header_length)).min(self.bytes.len());
                self.bytes.get(start + 20..end)
            }
            _ => None,
        };
        Ipv4Options {
            bytes: bytes.unwrap_or(&[]),
        }
    }

    /// Extension headers of IPv6; empty without any.
    pub fn extensions(&self) -> Extensions<'a> {
        match &self.network {
            Network::Ipv6(ip) => Extensions {
                number: ip.next_header,
                bytes: self
                    .bytes
                    .get(ip.offset as usize + 40..ip.upper_offset as usize)
                    .unwrap_or(&[]),
            },
            _ => Extensions {
                number: 59,
                bytes: &[],
            },
        }
    }
}
