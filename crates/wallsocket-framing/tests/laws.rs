//! The laws of all codecs: any cutting gives the same messages, decoding undoes encoding, hostile bytes are survived.

use proptest::prelude::*;
use wallsocket_framing::{
    Codec, Decode, Decoder, Delimited, Fault, FixedLength, Header, LengthPrefixed, Order, Refusal,
    UntilClose,
};

/// What a whole stream gives: messages, then the end or a fault.
type Outcome = (Vec<Vec<u8>>, Option<Fault>);

fn decode(codec: impl Codec + Send + Sync, pieces: &[&[u8]]) -> Outcome {
    let mut decoder = Decoder::new(codec);
    let mut messages = Vec::new();
    for piece in pieces {
        if decoder
            .feed(piece, &mut |message| messages.push(message.to_vec()))
            .is_err()
        {
            break;
        }
    }
    let _ = decoder.end(&mut |message| messages.push(message.to_vec()));
    (messages, decoder.fault().cloned())
}

/// `stream` cut at `cuts` (taken modulo its length; equal cuts make empty pieces).
fn cut<'a>(stream: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
    places.sort_unstable();
    let mut pieces = Vec::new();
    let mut start = 0;
    for place in places {
        pieces.push(&stream[start..place]);
        start = place;
    }
    pieces.push(&stream[start..]);
    pieces
}

fn any_cutting_is_equal(
    codec: impl Codec + Send + Sync + Clone,
    stream: &[u8],
    cuts: &[usize],
) -> Result<(), TestCaseError> {
    let whole = decode(codec.clone(), &[stream]);
    prop_assert_eq!(&decode(codec.clone(), &cut(stream, cuts)), &whole);
    let single: Vec<&[u8]> = stream.chunks(1).collect();
    prop_assert_eq!(&decode(codec, &single), &whole);
    Ok(())
}

fn header() -> impl Strategy<Value = Header> {
    prop_oneof![
        Just(Header::Varint),
        (prop::sample::select(vec![1, 2, 4, 8]), any::<bool>()).prop_map(|(width, big)| {
            Header::Fixed(width, if big { Order::Big } else { Order::Little })
        }),
    ]
}

fn length_prefixed(limit: usize) -> impl Strategy<Value = LengthPrefixed> {
    (header(), any::<bool>(), 0..limit).prop_map(|(header, includes, limit)| {
        LengthPrefixed::new(header, includes, limit).expect("the widths are legal")
    })
}

/// A small alphabet, so that delimiters, their beginnings and escapes are met often.
fn letters(length: impl Into<prop::collection::SizeRange>) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(b"ab\\\n".to_vec()), length)
}

fn delimited(limit: usize) -> impl Strategy<Value = Delimited> {
    let delimiter = prop::collection::vec(prop::sample::select(b"ab\n".to_vec()), 1..4);
    (delimiter, any::<bool>(), any::<bool>(), 0..limit).prop_map(
        |(delimiter, escape, strict, limit)| {
            Delimited::new(&delimiter, escape.then_some(b'\\'), strict, limit)
                .expect("the escape is in no delimiter")
        },
    )
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(any::<usize>(), 0..6)
}

proptest! {
    #[test]
    fn delimited_cutting(codec in delimited(12), stream in letters(0..60), cuts in cuts()) {
        any_cutting_is_equal(codec, &stream, &cuts)?;
    }

    #[test]
    fn length_prefixed_cutting(codec in length_prefixed(40), stream in prop::collection::vec(0_u8..20, 0..80), cuts in cuts()) {
        any_cutting_is_equal(codec, &stream, &cuts)?;
    }

    #[test]
    fn length_prefixed_hostile(codec in length_prefixed(40), stream in prop::collection::vec(any::<u8>(), 0..80), cuts in cuts()) {
        any_cutting_is_equal(codec, &stream, &cuts)?;
    }

    #[test]
    fn fixed_length_cutting(length in 1_usize..9, stream in prop::collection::vec(any::<u8>(), 0..60), cuts in cuts()) {
        any_cutting_is_equal(FixedLength::new(length).expect("at least 1"), &stream, &cuts)?;
    }

    #[test]
    fn until_close_cutting(limit in 0_usize..70, stream in prop::collection::vec(any::<u8>(), 0..60), cuts in cuts()) {
        any_cutting_is_equal(UntilClose::new(limit), &stream, &cuts)?;
    }

    #[test]
    fn length_prefixed_identity(header in header(), includes: bool, messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..6)) {
        let codec = LengthPrefixed::new(header, includes, 300).expect("the widths are legal");
        let mut stream = Vec::new();
        let mut sent = Vec::new();
        for message in messages {
            match codec.encode(&message, &mut stream) {
                Ok(()) => sent.push(message),
                Err(refusal) => {
                    let expected = matches!(refusal, Refusal::TooLong { .. }) && matches!(header, Header::Fixed(1, _));
                    prop_assert!(expected && message.len() > 254);
                }
            }
        }
        prop_assert_eq!(decode(codec, &[&stream]), (sent, None));
    }

    #[test]
    fn delimited_identity(codec in delimited(30), messages in prop::collection::vec(letters(0..30), 0..6)) {
        let mut stream = Vec::new();
        let mut sent = Vec::new();
        for message in messages {
            let before = stream.clone();
            match codec.encode(&message, &mut stream) {
                Ok(()) => sent.push(message),
                Err(Refusal::TooLong { length, .. }) => {
                    prop_assert!(length > codec.max_message());
                    prop_assert_eq!(&before, &stream);
                }
                Err(Refusal::HoldsDelimiter { at }) => {
                    prop_assert_eq!(codec.escape(), None);
                    prop_assert_eq!(&before, &stream);
                    let wire = [message.as_slice(), codec.delimiter()].concat();
                    prop_assert!(at < message.len() && wire[at..].starts_with(codec.delimiter()));
                }
                Err(other) => prop_assert!(false, "{other}"),
            }
        }
        prop_assert_eq!(decode(codec, &[&stream]), (sent, None));
    }

    #[test]
    fn at_most_one_message_is_kept(codec in delimited(12), stream in letters(0..200)) {
        let (limit, delimiter) = (codec.max_message(), codec.delimiter().len());
        let mut decoder = Decoder::new(codec);
        for byte in &stream {
            let _ = decoder.feed(&[*byte], &mut |_| ());
            // Escaped bytes take two.
            prop_assert!(decoder.buffered() <= 2 * limit + delimiter + 1);
        }
    }
}

fn feed_all(codec: impl Codec + Send + Sync, stream: &[u8]) -> Result<usize, Fault> {
    let mut decoder = Decoder::new(codec);
    let mut count = decoder.feed(stream, &mut |_| ())?;
    count += decoder.end(&mut |_| ())?;
    Ok(count)
}

#[test]
fn the_end_says_what_was_missing() {
    let prefixed = LengthPrefixed::new(Header::Fixed(4, Order::Big), false, 100).expect("legal");
    let cut = |received, missing, exact| {
        Err(Fault::Cut {
            at: 0,
            received,
            missing,
            exact,
        })
    };
    assert_eq!(feed_all(prefixed, b"\0\0\0\x08hello"), cut(9, 3, true));
    assert_eq!(feed_all(prefixed, b"\0\0"), cut(2, 2, false));
    assert_eq!(
        feed_all(FixedLength::new(8).expect("legal"), b"hello"),
        cut(5, 3, true)
    );
    let lines = Delimited::new(b"\r\n", None, true, 100).expect("legal");
    assert_eq!(feed_all(lines.clone(), b"hello"), cut(5, 2, false));
    assert_eq!(feed_all(lines, b"hello\r"), cut(6, 1, false));
}

#[test]
fn an_announced_length_costs_no_memory() {
    let prefixed = LengthPrefixed::new(Header::Fixed(8, Order::Big), false, 1000).expect("legal");
    let fault = feed_all(prefixed, &[0xff; 8]);
    assert_eq!(
        fault,
        Err(Fault::TooLong {
            at: 0,
            length: u64::MAX,
            exact: true,
            limit: 1000
        })
    );
}

#[test]
fn messages_before_a_fault_are_delivered_first() {
    let prefixed = LengthPrefixed::new(Header::Fixed(1, Order::Big), false, 10).expect("legal");
    let mut decoder = Decoder::new(prefixed);
    let mut messages = Vec::new();
    assert_eq!(
        decoder.feed(b"\x02hi\xff", &mut |message| messages
            .push(message.to_vec())),
        Ok(1)
    );
    assert_eq!(messages, [b"hi"]);
    let fault = decoder
        .fault()
        .cloned()
        .expect("the fault is known at once");
    assert_eq!(
        fault,
        Fault::TooLong {
            at: 3,
            length: 255,
            exact: true,
            limit: 10
        }
    );
    assert_eq!(decoder.feed(b"", &mut |_| ()), Err(fault));
}
