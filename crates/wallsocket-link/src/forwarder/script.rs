//! What is done to connections as a whole: refused, reset, swallowed.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use wallsocket_wire::decode::{Frame, tcp_flag};

use super::Orders;
use crate::alter;
use crate::flow::{Flow, Name, Verdict};

/// What a script does to connections.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Action {
    /// Resets a connection for both ends once one direction has carried this many bytes; the byte after them never arrives.
    ResetAfter(u32),
    /// Answers the first so many connection attempts with a reset.
    Refuse(u32),
    /// Swallows everything of a connection this long after its first frame.
    BlackHoleAfter(Duration),
    /// Swallows everything of a connection once one direction has carried this many bytes.
    BlackHoleAfterBytes(u32),
}

/// A rule for connections, by service port or for all.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Script {
    /// What it does.
    pub action: Action,
    /// To connections to this port only.
    pub port: Option<u16>,
}

/// What goes on in place of a frame, and what back to its sender, when a script takes it.
pub(super) type Taken = (Vec<Vec<u8>>, Vec<Vec<u8>>);

/// Applies the scripts to a TCP segment (black holes: to any flow).
pub(super) fn script(
    orders: &Orders,
    flow: &mut Flow,
    frame: &Frame<'_>,
    direction: usize,
    now: Instant,
) -> Option<Taken> {
    if flow.verdict == Verdict::Open && orders.scripts.is_empty() {
        return None;
    }
    let Name::Ip { service, .. } = flow.name else {
        return None;
    };
    let tcp = frame.tcp().filter(|tcp| tcp.is_complete());
    let length = frame.payload().len() as u32;
    let mut fits = length;
    if let (Some(tcp), Verdict::Open) = (tcp, flow.verdict) {
        if tcp.flags & tcp_flag::SYN != 0 {
            flow.first_byte[direction] = Some(tcp.sequence_number.wrapping_add(1));
        }
        let first = *flow.first_byte[direction].get_or_insert(tcp.sequence_number);
        let begin = tcp.sequence_number.wrapping_sub(first);
        let end = begin.wrapping_add(length);
        // Offsets of half the sequence space and more are from before the first byte: repeated SYNs, keep-alives.
        let sound = begin < 1 << 31 && end < 1 << 31;
        let opening = tcp.flags & (tcp_flag::SYN | tcp_flag::ACK) == tcp_flag::SYN;
        for (script, count) in &orders.scripts {
            if script.port.is_some_and(|port| port != service) {
                continue;
            }
            match script.action {
                // Under the lock of the flows: nobody else counts meanwhile.
                Action::Refuse(most)
                    if opening && !flow.counted && count.load(Ordering::Relaxed) < most =>
                {
                    count.fetch_add(1, Ordering::Relaxed);
                    flow.verdict = Verdict::Refused;
                }
                Action::ResetAfter(limit) if sound && length > 0 && end > limit => {
                    fits = limit.saturating_sub(begin);
                    flow.verdict = Verdict::Reset;
                }
                Action::BlackHoleAfterBytes(limit) if sound && length > 0 && end > limit => {
                    fits = limit.saturating_sub(begin);
                    flow.verdict = Verdict::Swallowed;
                }
                _ => {}
            }
        }
        flow.counted |= opening;
        if sound {
            flow.carried[direction] = flow.carried[direction].max(begin + fits);
        }
    }
    for (script, _) in &orders.scripts {
        if let Action::BlackHoleAfter(after) = script.action
            && script.port.is_none_or(|port| port == service)
            && now.duration_since(flow.started) >= after
        {
            flow.verdict = Verdict::Swallowed;
            fits = 0;
        }
    }
    let first_part = || {
        (fits > 0 && fits < length)
            .then(|| alter::shorten(frame, fits as usize))
            .flatten()
    };
    match (flow.verdict, tcp) {
        (Verdict::Open, _) | (Verdict::Refused | Verdict::Reset, None) => None,
        (Verdict::Swallowed, _) => Some((first_part().into_iter().collect(), vec![])),
        (Verdict::Refused | Verdict::Reset, Some(tcp)) => {
            if tcp.flags & tcp_flag::RST != 0 {
                // A reset is not answered (RFC 9293, section 3.10.7.1).
                return Some((vec![], vec![]));
            }
            let syn = u32::from(tcp.flags & tcp_flag::SYN != 0);
            let end = tcp.sequence_number.wrapping_add(length + syn);
            let back = alter::reset(frame, true, tcp.acknowledgement_number, end);
            let mut forth: Vec<Vec<u8>> = first_part().into_iter().collect();
            if flow.verdict == Verdict::Reset && fits < length {
                let after = tcp.sequence_number.wrapping_add(fits);
                forth.extend(alter::reset(
                    frame,
                    false,
                    after,
                    tcp.acknowledgement_number,
                ));
            }
            Some((forth, back.into_iter().collect()))
        }
    }
}
