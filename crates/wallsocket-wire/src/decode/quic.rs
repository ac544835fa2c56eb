//! QUIC's long headers, and what the first message of a client says: Initial packets are encrypted with keys that follow from
//! the connection identifier in their header (RFC 9001, 5.2), so that anybody on the way can read them.

use std::fmt;

use aes_gcm::aes::Aes128;
use aes_gcm::aes::cipher::BlockEncrypt;
use aes_gcm::{AeadInPlace, Aes128Gcm, KeyInit};
use hkdf::Hkdf;
use sha2::Sha256;

use super::application::{Tls, client_hello};
use super::header;

/// The first packet of a datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quic {
    /// Version of the protocol; 0 in a negotiation of versions.
    pub version: u32,
    /// What it is.
    pub kind: Kind,
    /// The client's first TLS message, as far as it is in this packet.
    pub hello: Option<Tls>,
}

/// Kind of a packet with a long header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A server names the versions it speaks.
    VersionNegotiation,
    /// The first packets of both sides.
    Initial,
    /// Data before the handshake is complete.
    ZeroRtt,
    /// The rest of the handshake.
    Handshake,
    /// A server wants the client to prove its address.
    Retry,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::VersionNegotiation => "version negotiation",
            Self::Initial => "initial",
            Self::ZeroRtt => "0-RTT",
            Self::Handshake => "handshake",
            Self::Retry => "retry",
        }
    }
}

const VERSION_1: u32 = 1;
/// RFC 9369.
const VERSION_2: u32 = 0x6b33_43cf;
/// Of the drafts, those whose Initial packets are as in version 1.
const DRAFTS: std::ops::RangeInclusive<u32> = 0xff00_0017..=0xff00_0022;

/// Longest connection identifier of these versions (RFC 9000, 17.2).
const IDENTIFIER_MAXIMUM: usize = 20;
const TAG: usize = 16;

fn salt(version: u32) -> Option<[u8; 20]> {
    Some(match version {
        // RFC 9001, 5.2.
        VERSION_1 | 0xff00_0021..=0xff00_0022 => {
            *b"\x38\x76\x2c\xf7\xf5\x59\x34\xb3\x4d\x17\x9a\xe6\xa4\xc8\x0c\xad\xcc\xbb\x7f\x0a"
        }
        // RFC 9369, 3.3.1.
        VERSION_2 => {
            *b"\x0d\xed\xe3\xde\xf7\x00\xa6\xdb\x81\x93\x81\xbe\x6e\x26\x9d\xcb\xf9\xbd\x2e\xd9"
        }
        // draft-ietf-quic-tls-29 and -23.
        0xff00_001d..=0xff00_0020 => {
            *b"\xaf\xbf\xec\x28\x99\x93\xd2\x4c\x9e\x97\x86\xf1\x9c\x61\x11\xe0\x43\x90\xa8\x99"
        }
        0xff00_0017..=0xff00_001c => {
            *b"\xc3\xee\xf7\x12\xc7\x2e\xbb\x5a\x11\xa7\xd2\x43\x2b\xb4\x63\x65\xbe\xf9\xf5\x02"
        }
        _ => return None,
    })
}

/// An integer of 1, 2, 4 or 8 bytes (RFC 9000, 16), and what follows.
fn variable(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let first = *bytes.first()?;
    let (number, rest) = bytes.split_at_checked(1 << (first >> 6))?;
    let value = number
        .iter()
        .fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    let bits = number.len() * 8 - 2;
    Some((value & ((1 << bits) - 1), rest))
}

/// A number of bytes before others.
fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = variable(bytes)?;
    rest.split_at_checked(usize::try_from(length).ok()?)
}

fn identifier(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first()?;
    (usize::from(*length) <= IDENTIFIER_MAXIMUM)
        .then(|| rest.split_at_checked(usize::from(*length)))?
}

/// A datagram that begins with a packet with a long header, of a version that is known here.
pub fn quic(datagram: &[u8]) -> Option<Quic> {
    let &[first, v0, v1, v2, v3] = header::<5>(datagram, 0, datagram.len())?;
    if first & 0x80 == 0 {
        return None;
    }
    let version = u32::from_be_bytes([v0, v1, v2, v3]);
    let (destination, rest) = identifier(&datagram[5..])?;
    let (_, rest) = identifier(rest)?;
    let kind = match (version, first >> 4 & 3) {
        (0, _) => {
            let versions = rest.as_chunks::<4>();
            let known = versions.0.iter().any(|version| {
                let version = u32::from_be_bytes(*version);
                salt(version).is_some()
            });
            if !known || !versions.1.is_empty() {
                return None;
            }
            Kind::VersionNegotiation
        }
        (VERSION_1 | VERSION_2, _) if first & 0x40 == 0 => return None,
        (VERSION_2, kind) => match kind {
            0 => Kind::Retry,
            1 => Kind::Initial,
            2 => Kind::ZeroRtt,
            _ => Kind::Handshake,
        },
        (version, kind) if version == VERSION_1 || DRAFTS.contains(&version) => match kind {
            0 => Kind::Initial,
            1 => Kind::ZeroRtt,
            2 => Kind::Handshake,
            _ => Kind::Retry,
        },
        _ => return None,
    };
    let hello = if kind == Kind::Initial {
        client_message(datagram, version, destination, rest)
    } else {
        None
    };
    Some(Quic {
        version,
        kind,
        hello,
    })
}

/// `length` bytes that follow from a secret and a label (RFC 8446, 7.1, without context).
fn expand<const N: usize>(secret: &Hkdf<Sha256>, label: &str) -> Option<[u8; N]> {
    let mut information = vec![0, N as u8, 6 + label.len() as u8];
    information.extend(b"tls13 ");
    information.extend(label.as_bytes());
    information.push(0);
    let mut key = [0; N];
    secret.expand(&information, &mut key).ok()?;
    Some(key)
}

/// The TLS message of a client's Initial packet. `rest` is what follows the connection identifiers.
fn client_message(datagram: &[u8], version: u32, destination: &[u8], rest: &[u8]) -> Option<Tls> {
    let (_token, rest) = counted(rest)?;
    let (length, rest) = variable(rest)?;
    let length = usize::try_from(length).ok()?;
    let start = datagram.len() - rest.len();
    let sample = header::<16>(rest, 4, length.min(rest.len()))?;

    let (initial, _) = Hkdf::<Sha256>::extract(Some(&salt(version)?), destination);
    let initial = Hkdf::<Sha256>::from_prk(&initial).ok()?;
    let client = expand::<32>(&initial, "client in")?;
    let client = Hkdf::<Sha256>::from_prk(&client).ok()?;
    let labels = if version == VERSION_2 {
        ["quicv2 key", "quicv2 iv", "quicv2 hp"]
    } else {
        ["quic key", "quic iv", "quic hp"]
    };
    let key = expand::<16>(&client, labels[0])?;
    let mut nonce = expand::<12>(&client, labels[1])?;
    let protection = expand::<16>(&client, labels[2])?;

    // RFC 9001, 5.4: what hides the low bits of the first byte, and the packet number.
    let mut mask = (*sample).into();
    Aes128::new(&protection.into()).encrypt_block(&mut mask);
    let mut packet = datagram.get(..start + length)?.to_vec();
    *packet.first_mut()? ^= mask[0] & 0x0f;
    let number_length = usize::from(packet[0] & 3) + 1;
    for position in 0..number_length {
        let byte = packet.get_mut(start + position)?;
        *byte ^= mask[1 + position];
        nonce[12 - number_length + position] ^= *byte;
    }
    let (head, body) = packet.split_at_mut_checked(start + number_length)?;
    let (body, tag) = body.split_at_mut_checked(body.len().checked_sub(TAG)?)?;
    let tag: [u8; TAG] = *tag.first_chunk()?;
    Aes128Gcm::new(&key.into())
        .decrypt_in_place_detached(&nonce.into(), head, body, &tag.into())
        .ok()?;
    client_hello(&handshake(body)?)
}

/// The beginning of the handshake stream that CRYPTO frames carry, in whatever order they stand.
fn handshake(mut frames: &[u8]) -> Option<Vec<u8>> {
    let room = frames.len();
    let mut stream = vec![0_u8; room];
    let mut pieces: Vec<(usize, usize)> = Vec::new();
    while let Some((kind, rest)) = frames.split_first() {
        frames = match kind {
            // PADDING, PING.
            0 | 1 => rest,
            // ACK, with counts of congestion marks or without (RFC 9000, 19.3).
            2 | 3 => {
                let (_, rest) = variable(rest)?;
                let (_, rest) = variable(rest)?;
                let (ranges, rest) = variable(rest)?;
                let count = 1 + 2 * ranges + if *kind == 3 { 3 } else { 0 };
                let mut rest = rest;
                for _ in 0..count {
                    (_, rest) = variable(rest)?;
                }
                rest
            }
            6 => {
                let (offset, rest) = variable(rest)?;
                let (data, rest) = counted(rest)?;
                let start = usize::try_from(offset).ok()?;
                // The rest of a message that is longer than this packet is of no use without its beginning.
                if let Some(place) = stream.get_mut(start..start.saturating_add(data.len())) {
                    place.copy_from_slice(data);
                    pieces.push((start, start + data.len()));
                }
                rest
            }
            _ => break,
        };
    }
    pieces.sort_unstable();
    let end = pieces.iter().fold(
        0,
        |end, &(start, after)| {
            if start <= end { end.max(after) } else { end }
        },
    );
    stream.truncate(end);
    // A ClientHello.
    (stream.first() == Some(&1)).then_some(stream)
}

impl fmt::Display for Quic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            0 => formatter.write_str("QUIC")?,
            VERSION_1 => formatter.write_str("QUIC version 1")?,
            VERSION_2 => formatter.write_str("QUIC version 2")?,
            draft => write!(formatter, "QUIC draft {}", draft & 0xff)?,
        }
        write!(formatter, " {}", self.kind.name())?;
        if let Some(Tls::ClientHello {
            server_name,
            protocols,
            ..
        }) = &self.hello
        {
            if let Some(name) = server_name {
                write!(formatter, ", server name {name}")?;
            }
            if !protocols.is_empty() {
                write!(formatter, ", ALPN {}", protocols.join(" "))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_the_appendix() {
        // RFC 9001, A.1.
        let destination = *b"\x83\x94\xc8\xf0\x3e\x51\x57\x08";
        let (initial, _) =
            Hkdf::<Sha256>::extract(salt(VERSION_1).as_ref().map(|salt| &salt[..]), &destination);
        let initial = Hkdf::<Sha256>::from_prk(&initial).expect("32 bytes");
        let client = expand::<32>(&initial, "client in").expect("short");
        let client = Hkdf::<Sha256>::from_prk(&client).expect("32 bytes");
        let key = expand::<16>(&client, "quic key").expect("short");
        assert_eq!(key[..4], *b"\x1f\x36\x96\x13");
        let protection = expand::<16>(&client, "quic hp").expect("short");
        assert_eq!(protection[..4], *b"\x9f\x50\x44\x9e");
    }

    #[test]
    fn crypto_frames_come_in_any_order() {
        let frames = [
            &[0, 6, 3, 2, 8, 9][..],
            &[1, 6, 0, 3, 1, 2, 3],
            &[6, 40, 1, 7],
        ]
        .concat();
        assert_eq!(handshake(&frames), Some(vec![1, 2, 3, 8, 9]));
        assert_eq!(handshake(&[6, 1, 1, 1]), None);
        assert_eq!(handshake(&[6, 0, 63, 1]), None);
    }

    proptest::proptest! {
        #[test]
        fn any_datagram_is_read(mut bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..1300)) {
            let _ = quic(&bytes);
            if bytes.len() > 6 {
                bytes[..6].copy_from_slice(&[0xc3, 0, 0, 0, 1, 8]);
                let _ = quic(&bytes).map(|found| found.to_string());
            }
            let _ = handshake(&bytes);
        }
    }
}
