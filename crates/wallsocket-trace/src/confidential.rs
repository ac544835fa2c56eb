//! What of control messages and socket options must not be kept: keys never, and bytes that a program or its peer chooses not
//! when no payload is to be kept.
//!
//! Lengths stay, contents become zero.

/// Bytes of a control message's header: length, level, type (`struct cmsghdr`, linux/socket.h).
const CONTROL_HEADER: usize = 16;
/// Control messages begin at multiples of this (`CMSG_ALIGN`).
const CONTROL_ALIGNMENT: usize = 8;

const SOL_UDP: i32 = 17;
const SOL_ALG: i32 = 279;
const SOL_TLS: i32 = 282;
const TCP_MD5SIG: i32 = 14; // linux/tcp.h, as the next ones
const TCP_FASTOPEN_KEY: i32 = 33;
const TCP_MD5SIG_EXT: i32 = 32;
const TCP_AO_ADD_KEY: i32 = 38;
const ALG_SET_KEY: i32 = 1; // linux/if_alg.h
const UDP_GRO: i32 = 104; // linux/udp.h
const UDP_SEGMENT: i32 = 103;
const TCP_CM_INQ: i32 = 36; // linux/tcp.h
const IP_OPTIONS: i32 = 4; // linux/in.h
const IPV6_2292PKTOPTIONS: i32 = 6; // linux/in6.h
const IPV6_2292HOPOPTS: i32 = 3;
const IPV6_2292DSTOPTS: i32 = 4;
const IPV6_2292RTHDR: i32 = 5;
const IPV6_HOPOPTS: i32 = 54;
const IPV6_RTHDRDSTOPTS: i32 = 55;
const IPV6_RTHDR: i32 = 57;
const IPV6_DSTOPTS: i32 = 59;

/// Blanks the contents of control messages, but for those that the kernel defines: descriptors, credentials, times,
/// addresses, counters, errors.
pub fn blank_control(bytes: &mut [u8]) {
    let mut at = 0;
    while let Some(header) = bytes
        .get(at..at + CONTROL_HEADER)
        .and_then(<[u8]>::first_chunk::<CONTROL_HEADER>)
    {
        let [
            l0,
            l1,
            l2,
            l3,
            l4,
            l5,
            l6,
            l7,
            v0,
            v1,
            v2,
            v3,
            t0,
            t1,
            t2,
            t3,
        ] = *header;
        let length = u64::from_ne_bytes([l0, l1, l2, l3, l4, l5, l6, l7]);
        let level = i32::from_ne_bytes([v0, v1, v2, v3]);
        let kind = i32::from_ne_bytes([t0, t1, t2, t3]);
        let Some(length) = usize::try_from(length).ok().filter(|length| {
            *length >= CONTROL_HEADER && at.saturating_add(*length) <= bytes.len()
        }) else {
            break;
        };
        let next = (at + length.next_multiple_of(CONTROL_ALIGNMENT)).min(bytes.len());
        let kept = if is_kernels(level, kind) {
            length
        } else {
            CONTROL_HEADER
        };
        bytes[at + kept..next].fill(0);
        at = next;
    }
    // What follows the last message, or cannot be read as one, is nobody's.
    bytes[at..].fill(0);
}

/// Whether a control message's content has a form that the kernel defines.
const fn is_kernels(level: i32, kind: i32) -> bool {
    match level {
        // SCM_RIGHTS, SCM_CREDENTIALS, SCM_PIDFD, SO_TIMESTAMP and its successors, SO_MARK, SO_RXQ_OVFL, SCM_TXTIME
        // (asm-generic/socket.h, linux/socket.h).
        libc::SOL_SOCKET => matches!(kind, 1 | 2 | 4 | 29 | 35 | 36 | 37 | 40 | 61 | 63 | 64 | 65),
        libc::IPPROTO_IP => matches!(
            kind,
            libc::IP_TOS
                | libc::IP_TTL
                | libc::IP_PKTINFO
                | libc::IP_RECVERR
                | libc::IP_ORIGDSTADDR
                | 13 // IP_RECVTOS
                | 23 // IP_CHECKSUM
        ),
        libc::IPPROTO_IPV6 => matches!(
            kind,
            libc::IPV6_PKTINFO
                | libc::IPV6_HOPLIMIT
                | libc::IPV6_TCLASS
                | libc::IPV6_RECVERR
                | 2 // IPV6_2292PKTINFO
                | 8 // IPV6_2292HOPLIMIT
                | 11 // IPV6_FLOWINFO
                | 61 // IPV6_PATHMTU
                | 74 // IPV6_ORIGDSTADDR
        ),
        SOL_UDP => matches!(kind, UDP_GRO | UDP_SEGMENT),
        libc::IPPROTO_TCP => kind == TCP_CM_INQ,
        // The type of a record, one byte.
        SOL_TLS => matches!(kind, 1 | 2),
        _ => false,
    }
}

/// Blanks the value of an option that holds a key, and when `payload` is 0 those that travel in the headers of packets.
pub fn blank_option(level: i32, name: i32, payload: usize, value: &mut [u8]) {
    let key = match level {
        libc::IPPROTO_TCP => {
            matches!(
                name,
                TCP_MD5SIG | TCP_MD5SIG_EXT | TCP_FASTOPEN_KEY | TCP_AO_ADD_KEY
            )
        }
        SOL_ALG => name == ALG_SET_KEY,
        SOL_TLS => true,
        _ => false,
    };
    let chosen = match level {
        libc::IPPROTO_IP => name == IP_OPTIONS,
        libc::IPPROTO_IPV6 => matches!(
            name,
            IPV6_2292PKTOPTIONS
                | IPV6_2292HOPOPTS
                | IPV6_2292DSTOPTS
                | IPV6_2292RTHDR
                | IPV6_HOPOPTS
                | IPV6_RTHDRDSTOPTS
                | IPV6_RTHDR
                | IPV6_DSTOPTS
        ),
        libc::SOL_SOCKET | libc::IPPROTO_TCP | SOL_UDP => false,
        // Of protocols that are not known here anything may be chosen.
        _ => value.len() > size_of::<u64>(),
    };
    if key || (chosen && payload == 0) {
        value.fill(0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(level: i32, kind: i32, data: &[u8]) -> Vec<u8> {
        let mut bytes = ((CONTROL_HEADER + data.len()) as u64)
            .to_ne_bytes()
            .to_vec();
        bytes.extend_from_slice(&level.to_ne_bytes());
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(data);
        bytes.resize(bytes.len().next_multiple_of(CONTROL_ALIGNMENT), b'p');
        bytes
    }

    #[test]
    fn the_kernels_own_messages_stay_and_others_are_blank() {
        let rights = message(libc::SOL_SOCKET, 1, &3_i32.to_ne_bytes());
        let options = message(libc::IPPROTO_IP, 6, b"secret-secret");
        let mut bytes = [&rights[..], &options, &rights, b"tail of no message"].concat();
        let length = bytes.len();
        blank_control(&mut bytes);
        assert_eq!(bytes.len(), length);
        assert_eq!(bytes[..20], rights[..20]);
        assert_eq!(bytes[20..24], [0; 4]);
        assert_eq!(bytes[24..40], options[..16]);
        assert!(bytes[40..56].iter().all(|byte| *byte == 0));
        assert_eq!(bytes[56..76], rights[..20]);
        assert!(bytes[76..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn keys_are_never_kept_and_chosen_bytes_not_without_payload() {
        let after = |level, name, payload| {
            let mut value = *b"secret-secret";
            blank_option(level, name, payload, &mut value);
            value != [0; 13]
        };
        assert!(!after(libc::IPPROTO_TCP, TCP_MD5SIG, 64));
        assert!(!after(SOL_TLS, 1, 64));
        assert!(after(libc::IPPROTO_IP, IP_OPTIONS, 64));
        assert!(!after(libc::IPPROTO_IP, IP_OPTIONS, 0));
        assert!(!after(999, 1, 0));
        assert!(after(libc::SOL_SOCKET, libc::SO_BINDTODEVICE, 0));
        assert!(after(libc::IPPROTO_TCP, libc::TCP_CONGESTION, 0));
    }

    proptest! {
        #[test]
        fn any_bytes_keep_their_length(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let length = bytes.len();
            blank_control(&mut bytes);
            prop_assert_eq!(bytes.len(), length);
        }
    }
}
