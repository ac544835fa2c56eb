//! Calls that the preloaded library recorded, from whose records nobody has read yet what the program's memory held.
//!
//! Reading it costs more than taking the record does. So the tracer adds only what it alone knows – which socket, which line, which
//! place in the stream – and passes the record on. The rest is made in the recorder, when there is time.

use wallsocket_ring::Record;
use wallsocket_wire::decode::{application, http};

use crate::calls::{self, Entry};
use crate::memory::{Memory, Recorded};
use crate::rows;

/// Whether a call may be read later: nothing that its memory holds changes what the tracer knows.
pub fn may_wait(entry: &Entry) -> bool {
    match entry.number {
        libc::SYS_read
        | libc::SYS_write
        | libc::SYS_readv
        | libc::SYS_writev
        | libc::SYS_sendfile
        | libc::SYS_epoll_wait
        | libc::SYS_epoll_pwait
        | libc::SYS_epoll_pwait2 => true,
        // Addresses are followed.
        libc::SYS_sendto | libc::SYS_recvfrom => entry.arguments[4] == 0,
        _ => false,
    }
}

/// The rows of a call, the fact before the call.
pub fn read(unread: rows::Unread) -> (Option<rows::Fact>, rows::Call) {
    let mut call = unread.call;
    let Some(record) = Record::parse(&unread.record, false) else {
        return (None, call);
    };
    let entry = Entry {
        number: i64::from(record.head.number),
        arguments: record.head.arguments,
    };
    let at_entry = Recorded {
        first: record.at_entry(),
        then: record.at_exit(),
    };
    let at_exit = Recorded {
        first: record.at_exit(),
        then: record.at_entry(),
    };
    calls::begin(&at_entry, &entry, &[], &mut call);
    calls::finish(
        &at_exit,
        &entry,
        record.head.result,
        unread.payload,
        &[],
        &mut call,
    );
    (said(&at_exit, &entry, &call), call)
}

/// What a call that has ended says that its payload may be too short for.
pub fn said(memory: &impl Memory, entry: &Entry, call: &rows::Call) -> Option<rows::Fact> {
    let (kind, value) = announced(memory, entry, call)
        .map(|value| ("http", value))
        .or_else(|| {
            let cut = cut_character(memory, entry, call)?;
            Some(("text", serde_json::json!({ "cut": cut }).to_string()))
        })?;
    Some(rows::Fact {
        at_ns: call.entry_ns + call.took_ns.unwrap_or(0),
        call: Some(call.id),
        kind: kind.into(),
        value,
        occasion: Some("message".into()),
        socket: call.socket,
        ..rows::Fact::default()
    })
}

/// Bytes of a call in which heads of HTTP messages are looked for.
const HEADS: usize = 16 * 1024;

/// What the heads of the HTTP messages in a call announce, as JSON; no other field of them.
///
/// The recorded payload ends long before a head does, and rules ask where a message ends. Nothing without payload.
fn announced(memory: &impl Memory, entry: &Entry, call: &rows::Call) -> Option<String> {
    let payload = call.payload.as_ref()?;
    if application::protocol(payload) != Some("http") {
        return None;
    }
    let bytes = calls::begin_of_payload(memory, entry, call.result?, HEADS);
    let heads: Vec<serde_json::Value> = http::heads(&bytes)
        .iter()
        .map(|head| {
            serde_json::json!({
                "at": head.at,
                "head": head.length,
                "method": head.method,
                "status": head.status,
                "body": head.body(),
                "chunked": head.chunked,
                "expects_continue": head.expects_continue,
                "excess": head.excess,
            })
        })
        .collect();
    (!heads.is_empty()).then(|| serde_json::Value::Array(heads).to_string())
}

/// How many bytes of a character of UTF-8 a read of text ends with whose rest has not come; `None`: no text, or whole.
fn cut_character(memory: &impl Memory, entry: &Entry, call: &rows::Call) -> Option<usize> {
    let payload = call.payload.as_ref()?;
    let valid = match std::str::from_utf8(payload) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&payload[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    if valid.is_empty()
        || valid
            .chars()
            .any(|one| one.is_control() && !one.is_whitespace())
    {
        return None;
    }
    cut_at_end(&calls::end_of_payload(memory, entry, call.result?, 3))
}

/// The length of an incomplete character at the end of bytes (RFC 3629).
fn cut_at_end(bytes: &[u8]) -> Option<usize> {
    let (back, lead) = bytes
        .iter()
        .rev()
        .take(3)
        .enumerate()
        .find(|(_, byte)| **byte & 0xc0 != 0x80)?;
    let length = match lead {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return None,
    };
    (back + 1 < length).then_some(back + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::Moved;
    use wallsocket_ring::Head;

    const BUFFER: u64 = 0x5000;

    /// A record of a call with pieces of memory from its end, as the library writes it.
    fn record(number: i64, arguments: [u64; 6], result: i64, pieces: &[(u64, &[u8])]) -> Vec<u8> {
        let mut exit = Vec::new();
        for (address, bytes) in pieces {
            exit.extend(address.to_ne_bytes());
            exit.extend((bytes.len() as u64).to_ne_bytes());
            exit.extend(*bytes);
            exit.resize(exit.len().next_multiple_of(8), 0);
        }
        let sizes = [Head::SIZE + exit.len(), Head::SIZE, number as usize, 0];
        let mut bytes: Vec<u8> = sizes
            .iter()
            .flat_map(|size| (*size as u32).to_ne_bytes())
            .collect();
        let words = [1000, 3000, result as u64].into_iter().chain(arguments);
        bytes.extend(words.chain([0, 0]).flat_map(u64::to_ne_bytes));
        assert_eq!(bytes.len(), Head::SIZE);
        bytes.extend(exit);
        bytes
    }

    fn passed_on(record: Vec<u8>, result: i64) -> (Option<rows::Fact>, rows::Call) {
        read(rows::Unread {
            call: rows::Call {
                id: 7,
                entry_ns: 1000,
                took_ns: Some(2000),
                result: Some(result),
                socket: Some(3),
                offset: Some(50),
                ..rows::Call::default()
            },
            payload: 8,
            record: record.into(),
        })
    }

    #[test]
    fn what_the_tracer_knows_stays_and_the_rest_is_read() {
        let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let length = request.len() as i64;
        let arguments = [4, BUFFER, 4096, 0, 0, 0];
        let pieces: [(u64, &[u8]); 1] = [(BUFFER, request)];
        let (fact, call) = passed_on(
            record(libc::SYS_recvfrom, arguments, length, &pieces),
            length,
        );
        assert_eq!((call.id, call.socket, call.offset), (7, Some(3), Some(50)));
        assert_eq!((call.length, call.a), (Some(4096), Some(0)));
        assert_eq!(call.payload.as_deref(), Some(&request[..8].to_vec()));
        let fact = fact.expect("of the head");
        assert_eq!(
            (fact.at_ns, fact.call, fact.socket),
            (3000, Some(7), Some(3))
        );
        assert_eq!(fact.kind, "http");
        assert!(fact.value.contains("\"GET\""), "{}", fact.value);
    }

    #[test]
    fn a_character_that_is_cut_is_found_later_too() {
        let text = &"für".as_bytes()[..2];
        let pieces: [(u64, &[u8]); 1] = [(BUFFER, text)];
        let (fact, _) = passed_on(
            record(libc::SYS_read, [4, BUFFER, 2, 0, 0, 0], 2, &pieces),
            2,
        );
        assert_eq!(fact.map(|fact| fact.value).as_deref(), Some("{\"cut\":1}"));
    }

    #[test]
    fn what_moves_a_stream_is_known_without_the_memory() {
        let entry = |number, flags: i32| Entry {
            number,
            arguments: [4, BUFFER, 10, flags as u64, 0, 0],
        };
        for (number, flags, result, moved) in [
            (libc::SYS_read, 0, 5, Moved::Received(5)),
            (libc::SYS_readv, 0, 0, Moved::No),
            (libc::SYS_recvfrom, libc::MSG_PEEK, 5, Moved::No),
            (libc::SYS_recvfrom, libc::MSG_WAITALL, 5, Moved::Received(5)),
            (libc::SYS_sendto, 0, -11, Moved::Sent(0)),
            (libc::SYS_writev, 0, 9, Moved::Sent(9)),
            (libc::SYS_epoll_wait, 0, 2, Moved::No),
        ] {
            let entry = entry(number, flags);
            assert!(may_wait(&entry));
            assert_eq!(calls::moved(&entry, result), moved);
        }
        let mut named = entry(libc::SYS_recvfrom, 0);
        named.arguments[4] = BUFFER;
        assert!(!may_wait(&named));
        assert!(!may_wait(&entry(libc::SYS_recvmsg, 0)));
    }

    #[test]
    fn a_character_that_is_cut() {
        for (bytes, cut) in [
            (&b"abc"[..], None),
            ("ü".as_bytes(), None),
            (&"ü".as_bytes()[..1], Some(1)),
            (&"€".as_bytes()[..2], Some(2)),
            (&"𝄞".as_bytes()[..3], Some(3)),
            (b"\xa4\x9f\x91", None),
            (b"", None),
        ] {
            assert_eq!(cut_at_end(bytes), cut, "{bytes:?}");
        }
    }
}
