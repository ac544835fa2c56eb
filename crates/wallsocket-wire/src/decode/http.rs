//! Heads of HTTP/1 messages: what they announce of their bodies (RFC 9112, section 6). Of the fields only those that say
//! how a message is cut are looked at.

use super::application;

/// Messages of one piece of a stream that are looked at.
const MESSAGES_MAXIMUM: usize = 16;

/// The head of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Where it begins in the bytes.
    pub at: usize,
    /// Its length with the empty line; `None`: the bytes end before that.
    pub length: Option<usize>,
    /// Of a request.
    pub method: Option<String>,
    /// Of a response.
    pub status: Option<u16>,
    /// Content-Length, when it is one number.
    pub content_length: Option<u64>,
    /// The last transfer coding is `chunked`.
    pub chunked: bool,
    /// What it says of its body cannot be followed: a Content-Length that is no number, or several that differ (RFC 9112,
    /// section 6.3, rule 5); a request whose last transfer coding is another (rule 4).
    pub unclear: bool,
    /// `Expect: 100-continue`.
    pub expects_continue: bool,
    /// Bytes behind its end that begin no message; line ends do not count (RFC 9112, section 2.2).
    pub excess: usize,
}

impl Head {
    /// Bytes of the body that the head announces; `None`: its end is told otherwise.
    pub fn body(&self) -> Option<u64> {
        if self.chunked {
            return None;
        }
        match (self.status, self.content_length) {
            (Some(100..=199 | 204 | 304), _) => Some(0),
            _ if self.unclear => None,
            (None, None) => Some(0),
            (_, announced) => announced,
        }
    }
}

/// Whether bytes behind a message may be the beginning of the next head, cut in its first line: a read takes as little as it likes,
/// one byte in Go's `net/http`. `is_request`: the message before is a request.
pub fn may_begin(rest: &[u8], is_request: bool) -> bool {
    let line = rest.trim_ascii_start();
    if !is_request {
        return b"HTTP/1.".starts_with(&line[..line.len().min(7)]);
    }
    let method = line
        .iter()
        .take_while(|byte| byte.is_ascii_uppercase())
        .count();
    let behind = line.get(method..).unwrap_or_default();
    method > 0
        && (behind.is_empty()
            || behind.starts_with(b" ")
                && behind
                    .iter()
                    .all(|byte| matches!(byte, b' '..=b'~' | b'\r')))
}

/// The messages that begin in a piece of a stream, if it begins with one; a later one only where the one before it ends by
/// what its own head says.
pub fn heads(bytes: &[u8]) -> Vec<Head> {
    let mut found: Vec<Head> = Vec::new();
    let mut at = 0;
    while let Some(rest) = bytes.get(at..) {
        if application::protocol(rest) != Some("http") {
            if let Some(last) = found.last_mut()
                && !may_begin(rest, last.status.is_none())
            {
                last.excess = rest.trim_ascii().len();
            }
            break;
        }
        let mut head = head(rest);
        head.at = at;
        let length = head
            .length
            .zip(head.body())
            .and_then(|(length, body)| length.checked_add(usize::try_from(body).ok()?));
        found.push(head);
        match length.and_then(|length| at.checked_add(length)) {
            Some(next) if found.len() < MESSAGES_MAXIMUM => at = next,
            _ => break,
        }
    }
    found
}

fn head(bytes: &[u8]) -> Head {
    let mut head = Head::default();
    let mut offset = 0;
    for (number, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        if !line.ends_with(b"\n") {
            break;
        }
        offset += line.len();
        let line = line.trim_ascii_end();
        if line.is_empty() {
            head.length = Some(offset);
            break;
        }
        if number == 0 {
            start(line, &mut head);
        } else if let Some(colon) = line.iter().position(|byte| *byte == b':') {
            field(&line[..colon], line[colon + 1..].trim_ascii(), &mut head);
        }
    }
    head
}

fn start(line: &[u8], head: &mut Head) {
    let mut words = line.split(|byte| *byte == b' ');
    let first = words.next().unwrap_or(&[]);
    if first.starts_with(b"HTTP/") {
        head.status = words.next().and_then(|word| number(word)?.try_into().ok());
    } else {
        head.method = Some(String::from_utf8_lossy(first).into_owned());
    }
}

fn field(name: &[u8], value: &[u8], head: &mut Head) {
    if name.eq_ignore_ascii_case(b"content-length") {
        let length = number(value);
        head.unclear |= length.is_none()
            || head
                .content_length
                .is_some_and(|known| Some(known) != length);
        head.content_length = length;
    } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
        let last = value.rsplit(|byte| *byte == b',').next().unwrap_or(&[]);
        head.chunked = last.trim_ascii().eq_ignore_ascii_case(b"chunked");
        head.unclear |= !head.chunked && head.method.is_some();
    } else if name.eq_ignore_ascii_case(b"expect") {
        head.expects_continue = value.eq_ignore_ascii_case(b"100-continue");
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    (!digits.is_empty() && digits.iter().all(u8::is_ascii_digit))
        .then(|| std::str::from_utf8(digits).ok()?.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_says_how_its_body_ends() {
        let request = b"POST /a HTTP/1.1\r\nHost: b\r\ncontent-length: 5\r\nExpect: 100-continue\r\n\r\nhello";
        let found = heads(request);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].method.as_deref(), Some("POST"));
        assert_eq!(found[0].length, Some(request.len() - 5));
        assert_eq!(found[0].body(), Some(5));
        assert!(found[0].expects_continue);
        let chunked = heads(b"HTTP/1.1 200 OK\nTransfer-Encoding: gzip, Chunked\n\n5\r\nhello");
        assert_eq!((chunked[0].status, chunked[0].body()), (Some(200), None));
        assert!(chunked[0].chunked);
    }

    #[test]
    fn a_head_that_contradicts_itself_announces_nothing() {
        for fields in [
            "Content-Length: 5,\u{a0}5",
            "Content-Length: -1",
            "Content-Length: 5\r\nContent-Length: 6",
            "Transfer-Encoding: gzip",
        ] {
            let found = heads(format!("POST / HTTP/1.1\r\n{fields}\r\n\r\nhello").as_bytes());
            assert_eq!((found[0].body(), found[0].excess), (None, 0), "{fields}");
        }
        let twice =
            heads(b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello");
        assert_eq!(twice[0].body(), Some(5));
    }

    #[test]
    fn messages_that_follow_are_found_where_the_one_before_ends() {
        let two =
            b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd";
        let found = heads(two);
        assert_eq!(
            found.iter().map(|head| head.at).collect::<Vec<_>>(),
            [0, 27]
        );
        assert_eq!(found[1].excess, 1);
        assert!(heads(b"hello").is_empty());
        assert_eq!(heads(b"GET / HTTP/1.1\r\nHost: a\r\n")[0].length, None);
    }

    #[test]
    fn a_next_head_that_is_cut_is_no_excess() {
        for (first, rests) in [
            (
                "GET / HTTP/1.1\r\n\r\n",
                ["G", "GET /b", "GET / HTTP/1.1\r"],
            ),
            (
                "HTTP/1.1 204 No Content\r\n\r\n",
                ["H", "HTTP/1", "\r\nHTT"],
            ),
        ] {
            for rest in rests {
                assert_eq!(
                    heads(format!("{first}{rest}").as_bytes())[0].excess,
                    0,
                    "{rest}"
                );
            }
            assert_eq!(heads(format!("{first}}}").as_bytes())[0].excess, 1);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(tail in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let mut bytes = b"GET / HTTP/1.1\r\nContent-Length: ".to_vec();
            bytes.extend(tail);
            for head in heads(&bytes) {
                proptest::prop_assert!(head.at + head.length.unwrap_or(0) <= bytes.len());
            }
        }
    }
}
