//! Capture files: what is written is read again, whatever the variant; what is damaged gives what stands before the damage.

use std::io::Cursor;

use proptest::prelude::*;

use crate::compress::{Compression, Sink, decompressed};
use crate::decode::{LinkType, Vlan};
use crate::file::{BLOCK_CUSTOM, Chunk, FileError, Format, Interface, Reader, Record, Tail};
use crate::file_write::{Details, Writer, copy};

#[derive(Clone, Debug, PartialEq)]
struct Seen {
    timestamp_ns: Option<i64>,
    bytes: Vec<u8>,
    original_length: u32,
    interface: u32,
    link_type: LinkType,
    comments: Vec<String>,
    process_id: Option<u32>,
    inbound: Option<bool>,
}

#[allow(clippy::type_complexity, reason = "used in this file only")]
fn read(bytes: Vec<u8>) -> Result<(Vec<Seen>, Vec<u32>, Option<Tail>), FileError> {
    let (source, _) = decompressed(Box::new(Cursor::new(bytes)))?;
    let mut reader = Reader::new(source)?;
    let mut chunk = Chunk::default();
    let (mut seen, mut kinds) = (Vec::new(), Vec::new());
    while reader.read_chunk(&mut chunk)? {
        for record in chunk.records() {
            seen.push(Seen {
                timestamp_ns: record.timestamp_ns,
                bytes: chunk.frame_bytes(record).to_vec(),
                original_length: record.original_length,
                interface: record.interface,
                link_type: record.link_type,
                comments: chunk.comments(record),
                process_id: chunk.process_id(record),
                inbound: chunk.inbound(record),
            });
        }
        kinds.extend(chunk.others().iter().map(|block| block.kind));
    }
    Ok((seen, kinds, reader.tail()))
}

/// A pcap file by hand: magic and records of (seconds, fraction, bytes).
fn pcap(big: bool, magic: u32, records: &[(u32, u32, &[u8])]) -> Vec<u8> {
    let word = |number: u32| {
        if big {
            number.to_be_bytes()
        } else {
            number.to_le_bytes()
        }
    };
    let half = |number: u16| {
        if big {
            number.to_be_bytes()
        } else {
            number.to_le_bytes()
        }
    };
    let mut file = word(magic).to_vec();
    file.extend_from_slice(&half(2));
    file.extend_from_slice(&half(4));
    file.extend_from_slice(&[0; 8]);
    file.extend_from_slice(&word(65535));
    file.extend_from_slice(&word(1));
    for (seconds, fraction, bytes) in records {
        for number in [
            *seconds,
            *fraction,
            bytes.len() as u32,
            bytes.len() as u32 + 3,
        ] {
            file.extend_from_slice(&word(number));
        }
        file.extend_from_slice(bytes);
    }
    file
}

#[test]
fn both_orders_and_both_resolutions() {
    for big in [false, true] {
        for (magic, expected) in [(0xa1b2_c3d4, 7_000_005_000), (0xa1b2_3c4d, 7_000_000_005)] {
            let (seen, _, tail) =
                read(pcap(big, magic, &[(7, 5, b"abc"), (8, 0, b"")])).expect("readable");
            assert_eq!(seen.len(), 2);
            assert_eq!(
                (
                    seen[0].timestamp_ns,
                    seen[0].bytes.as_slice(),
                    seen[0].original_length
                ),
                (Some(expected), &b"abc"[..], 6)
            );
            assert_eq!(tail, None);
        }
    }
}

#[test]
fn a_cut_tail_is_counted_wherever_it_is_cut() {
    let whole = pcap(
        false,
        0xa1b2_c3d4,
        &[(1, 0, b"0123456789"), (2, 0, b"abcdef")],
    );
    for length in 24..whole.len() {
        let (seen, _, tail) = read(whole[..length].to_vec()).expect("readable");
        let complete = usize::from(length >= 50);
        assert_eq!(seen.len(), complete);
        let left = length - 24 - complete * 26;
        assert_eq!(tail.map_or(0, |tail| tail.unusable_bytes), left as u64);
    }
}

#[test]
fn damage_in_the_middle_counts_the_rest() {
    let mut file = pcap(
        false,
        0xa1b2_c3d4,
        &[(1, 0, b"0123"), (2, 0, b"abcd"), (3, 0, b"efgh")],
    );
    file[24 + 20 + 8..24 + 20 + 12].copy_from_slice(&u32::MAX.to_le_bytes());
    let (seen, _, tail) = read(file).expect("readable");
    assert_eq!(seen.len(), 1);
    let tail = tail.expect("a tail");
    assert_eq!((tail.unusable_bytes, tail.offset), (40, 44));
    assert_eq!(tail.reason, "the record at byte 44 claims 4294967295 bytes");
}

#[test]
fn other_files_are_named() {
    for (bytes, expected) in [
        (&b""[..], "not a capture file: it is empty"),
        (
            b"\x1f\x9d123",
            "not a capture file: compressed with compress(1)",
        ),
        (
            b"hello world, this is text",
            "not a capture file: it starts with 68 65 6c 6c",
        ),
        (
            b"\xd4\xc3\xb2\xa1\x02",
            "not a capture file: a pcap header cut after 5 bytes",
        ),
    ] {
        assert_eq!(
            read(bytes.to_vec()).expect_err("refused").to_string(),
            expected
        );
    }
}

fn sample_pcapng() -> (Vec<u8>, Vec<Seen>) {
    let mut writer = Writer::pcapng(Vec::new(), "test", Some("of the section")).expect("memory");
    let first = Interface {
        name: Some("eth0".into()),
        filter: Some("udp".into()),
        ..Interface::new(LinkType::ETHERNET)
    };
    writer.interface(&first).expect("memory");
    writer
        .interface(&Interface::new(LinkType::RAW))
        .expect("memory");
    writer.custom(32473, b"anything").expect("memory");
    let details = Details {
        comments: vec!["öffnet".into(), "schließt".into()],
        process_id: Some(42),
        inbound: Some(false),
        vlan: None,
    };
    let now = 1_700_000_000_123_456_789;
    writer
        .frame(
            0,
            Some(now),
            b"0123456789abcdef",
            20,
            &Details {
                vlan: Some(Vlan {
                    protocol: 0x8100,
                    control: 5,
                }),
                ..Details::default()
            },
        )
        .expect("memory");
    writer
        .frame(1, Some(now + 1), b"E", 1, &details)
        .expect("memory");
    writer.statistics(0, now, 10, 3).expect("memory");
    let plain = Seen {
        timestamp_ns: Some(now),
        bytes: b"0123456789ab\x81\0\0\x05cdef".to_vec(),
        original_length: 24,
        interface: 0,
        link_type: LinkType::ETHERNET,
        comments: vec![],
        process_id: None,
        inbound: None,
    };
    let detailed = Seen {
        timestamp_ns: Some(now + 1),
        bytes: b"E".to_vec(),
        original_length: 1,
        interface: 1,
        link_type: LinkType::RAW,
        comments: vec!["öffnet".into(), "schließt".into()],
        process_id: Some(42),
        inbound: Some(false),
    };
    (writer.into_output(), vec![plain, detailed])
}

#[test]
fn pcapng_keeps_interfaces_details_and_other_blocks() {
    let (file, expected) = sample_pcapng();
    let (seen, kinds, tail) = read(file.clone()).expect("readable");
    assert_eq!(seen, expected);
    assert_eq!(kinds, [0x0a0d_0d0a, 1, 1, BLOCK_CUSTOM, 5]);
    assert_eq!(tail, None);
    let mut reader = Reader::new(Box::new(Cursor::new(file))).expect("readable");
    let mut chunk = Chunk::default();
    assert!(reader.read_chunk(&mut chunk).expect("memory"));
    assert_eq!(reader.format(), Format::Pcapng);
    assert_eq!(reader.interfaces()[0].name.as_deref(), Some("eth0"));
    assert_eq!(reader.interfaces()[0].filter.as_deref(), Some("udp"));
}

#[test]
fn a_copy_loses_nothing() {
    for file in [
        sample_pcapng().0,
        pcap(true, 0xa1b2_3c4d, &[(7, 5, b"abc"), (8, 0, b"")]),
    ] {
        let mut reader = Reader::new(Box::new(Cursor::new(file.clone()))).expect("readable");
        let mut output = Vec::new();
        let mut kept = 0;
        let stop = |_: &mut Vec<u8>, _| Ok(false);
        copy(&mut reader, &mut output, |_, _| true, None, &mut kept, stop).expect("memory");
        assert_eq!((kept, output), (2, file));
    }
    let mut reader = Reader::new(Box::new(Cursor::new(sample_pcapng().0))).expect("readable");
    let mut output = Vec::new();
    let second = |_: &Chunk, record: &Record| record.interface == 1;
    let stop = |_: &mut Vec<u8>, _| Ok(false);
    copy(&mut reader, &mut output, second, None, &mut 0, stop).expect("memory");
    let (seen, kinds, _) = read(output).expect("readable");
    assert_eq!((seen.len(), kinds.len()), (1, 5));
}

#[test]
fn a_copy_goes_on_while_the_file_grows_and_ends_at_its_limit() {
    let file = pcap(
        true,
        0xa1b2_3c4d,
        &[(7, 5, b"abc"), (8, 0, b""), (9, 0, b"d")],
    );
    let mut reader = Reader::new(Box::new(Cursor::new(file))).expect("readable");
    let (mut output, mut kept, mut asked) = (Vec::new(), 0, 0);
    let step = |_: &mut Vec<u8>, ended| {
        asked += u32::from(ended);
        Ok(asked < 3)
    };
    copy(&mut reader, &mut output, |_, _| true, None, &mut kept, step).expect("memory");
    assert_eq!((kept, asked), (3, 3));
    let mut reader = Reader::new(Box::new(Cursor::new(output))).expect("readable");
    let (mut output, mut kept) = (Vec::new(), 0);
    let end = |_: &mut Vec<u8>, _| Ok(false);
    copy(
        &mut reader,
        &mut output,
        |_, _| true,
        Some(2),
        &mut kept,
        end,
    )
    .expect("memory");
    let (seen, _, tail) = read(output).expect("readable");
    assert_eq!((kept, seen.len(), tail), (2, 2, None));
}

#[test]
fn a_section_that_is_thinned_out_does_not_claim_its_old_length() {
    let mut file = Vec::new();
    for word in [0x0a0d_0d0a_u32, 28, 0x1a2b_3c4d, 1, 20, 0, 28] {
        file.extend_from_slice(&word.to_ne_bytes());
    }
    for word in [1_u32, 20, 1, 0, 20] {
        file.extend_from_slice(&word.to_ne_bytes());
    }
    let mut reader = Reader::new(Box::new(Cursor::new(file))).expect("readable");
    let mut output = Vec::new();
    let stop = |_: &mut Vec<u8>, _| Ok(false);
    copy(&mut reader, &mut output, |_, _| true, None, &mut 0, stop).expect("memory");
    assert_eq!(output[16..24], [0xff; 8]);
    assert_eq!(output.len(), 48);
}

#[test]
fn frames_without_a_time_stay_without_one() {
    let mut writer = Writer::pcapng(Vec::new(), "test", None).expect("memory");
    let plain = Details::default();
    for link_type in [LinkType::ETHERNET, LinkType::RAW] {
        writer
            .interface(&Interface::new(link_type))
            .expect("memory");
    }
    let written: [(u32, Option<i64>, &[u8], u32); 7] = [
        (0, None, b"first", 5),
        (1, None, b"other", 5),
        (0, Some(7), b"timed", 5),
        (0, None, b"cut", 30),
        (0, None, b"cut", 40),
        (1, Some(8), b"last", 4),
        (0, None, b"longer than it was cut before", 29),
    ];
    for (interface, time, bytes, length) in written {
        writer
            .frame(interface, time, bytes, length, &plain)
            .expect("memory");
    }
    let details = Details {
        process_id: Some(1),
        ..Details::default()
    };
    assert!(writer.frame(0, None, b"", 0, &details).is_err());
    let (seen, _, tail) = read(writer.into_output()).expect("readable");
    assert_eq!(tail, None);
    let got: Vec<_> = seen
        .iter()
        .map(|one| {
            (
                one.link_type.0,
                one.timestamp_ns,
                &one.bytes[..],
                one.original_length,
            )
        })
        .collect();
    let want: Vec<_> = written
        .iter()
        .map(|(interface, time, bytes, length)| {
            ([1, 101][*interface as usize], *time, *bytes, *length)
        })
        .collect();
    assert_eq!(got, want);
}

#[test]
fn a_pcap_file_takes_the_link_type_of_its_first_frame() {
    let mut writer = Writer::pcap(Vec::new(), None, 0, true).expect("memory");
    let raw = Interface::new(LinkType::RAW);
    assert_eq!(writer.interface(&raw).expect("the first"), 0);
    let error = writer
        .interface(&Interface::new(LinkType::ETHERNET))
        .expect_err("another");
    assert!(error.to_string().contains("this one 101; 1 is another"));
    writer
        .frame(0, None, b"E", 1, &Details::default())
        .expect("memory");
    let (seen, _, _) = read(writer.into_output()).expect("readable");
    assert_eq!(
        (seen[0].link_type, seen[0].timestamp_ns),
        (LinkType::RAW, Some(0))
    );
    let mut empty = Writer::pcap(Vec::new(), None, 0, true).expect("memory");
    empty.finish().expect("memory");
    assert!(read(empty.into_output()).expect("readable").0.is_empty());
}

#[test]
fn two_link_types_do_not_fit_pcap() {
    let mut writer = Writer::pcap(Vec::new(), Some(LinkType::ETHERNET), 0, true).expect("memory");
    assert_eq!(
        writer
            .interface(&Interface::new(LinkType::ETHERNET))
            .expect("the same"),
        0
    );
    assert!(writer.interface(&Interface::new(LinkType::RAW)).is_err());
    assert!(
        writer
            .frame(0, Some(i64::MAX), b"", 0, &Details::default())
            .is_err()
    );
    assert!(
        writer
            .frame(3, Some(0), b"", 0, &Details::default())
            .is_err()
    );
}

/// What a sink wrote, shared so that it can be read after the sink is done.
#[derive(Clone, Default)]
struct Shared(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("one thread").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn compressed_files_read_as_plain_ones_and_may_be_cut() {
    let (file, expected) = sample_pcapng();
    for compression in [Compression::Gzip, Compression::Zstandard] {
        let output = Shared::default();
        let mut sink = Sink::new(Box::new(output.clone()), compression);
        std::io::Write::write_all(&mut sink, &file).expect("memory");
        std::io::Write::flush(&mut sink).expect("memory");
        sink.finish().expect("memory");
        let packed = output.0.lock().expect("one thread").clone();
        assert_eq!(Compression::from_magic(&packed), compression);
        assert_eq!(read(packed.clone()).expect("readable").0, expected);
        let twice: Vec<u8> = [packed.clone(), packed.clone()].concat();
        assert_eq!(
            read(twice).expect("readable").0.len(),
            4,
            "several members make one stream"
        );
        match read(packed[..packed.len() - 12].to_vec()) {
            Ok((_, _, tail)) => assert!(
                tail.is_some_and(|tail| tail.reason.contains("damaged or cut")),
                "{compression:?}"
            ),
            // The only frame of the stream is cut, so not even the header can be read.
            Err(error) => assert!(error.to_string().contains("damaged or cut"), "{error}"),
        }
    }
}

/// A source that gives a part and then ends, and more the next time.
struct Growing(std::collections::VecDeque<Vec<u8>>);

impl std::io::Read for Growing {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let Some(part) = self.0.pop_front() else {
            return Ok(0);
        };
        buffer[..part.len()].copy_from_slice(&part);
        Ok(part.len())
    }
}

#[test]
fn a_growing_file_is_read_as_it_grows() {
    let whole = pcap(
        false,
        0xa1b2_c3d4,
        &[(1, 0, b"0123456789"), (2, 0, b"abcdef")],
    );
    let parts = [
        &whole[..24],
        &whole[24..40],
        &[],
        &whole[40..60],
        &[],
        &whole[60..],
    ];
    let mut reader = Reader::new(Box::new(Growing(
        parts.iter().map(|part| part.to_vec()).collect(),
    )))
    .expect("readable");
    let mut chunk = Chunk::default();
    assert!(!reader.read_chunk(&mut chunk).expect("memory"));
    assert_eq!(reader.tail().map(|tail| tail.unusable_bytes), Some(16));
    assert!(reader.read_chunk(&mut chunk).expect("memory"));
    assert_eq!((chunk.records().len(), chunk.first_number()), (1, 1));
    assert!(!reader.read_chunk(&mut chunk).expect("memory"));
    assert!(reader.read_chunk(&mut chunk).expect("memory"));
    assert_eq!((chunk.records().len(), chunk.first_number()), (1, 2));
    assert_eq!(reader.tail(), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), start in 0..5_usize) {
        let magics: [&[u8]; 5] = [
            &[], &[0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0], &[0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0],
            &[0x1f, 0x8b, 8, 0], &[0x28, 0xb5, 0x2f, 0xfd],
        ];
        let mut file = magics[start].to_vec();
        file.extend_from_slice(&bytes);
        let _ = read(file);
    }

    #[test]
    fn damaged_pcapng_does_not_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8), keep: prop::sample::Index) {
        let (mut file, _) = sample_pcapng();
        for (index, value) in changes {
            let position = index.index(file.len());
            file[position] = value;
        }
        file.truncate(keep.index(file.len()) + 1);
        let length = file.len() as u64;
        if let Ok((_, _, Some(tail))) = read(file) {
            prop_assert!(tail.unusable_bytes <= length);
        }
    }

    #[test]
    fn frames_written_are_read(
        frames in prop::collection::vec((0..4_000_000_000_000_000_000_i64, prop::collection::vec(any::<u8>(), 0..3000), 0..100_u32), 0..200),
        ng: bool,
    ) {
        let mut writer = if ng {
            let mut writer = Writer::pcapng(Vec::new(), "test", None).expect("memory");
            writer.interface(&Interface::new(LinkType::ETHERNET)).expect("memory");
            writer
        } else {
            Writer::pcap(Vec::new(), Some(LinkType::ETHERNET), 0, true).expect("memory")
        };
        for (time, bytes, more) in &frames {
            writer.frame(0, Some(*time), bytes, bytes.len() as u32 + more, &Details::default()).expect("memory");
        }
        let (seen, _, tail) = read(writer.into_output()).expect("readable");
        prop_assert_eq!(tail, None);
        let got: Vec<_> = seen.into_iter().map(|seen| (seen.timestamp_ns, seen.bytes, seen.original_length)).collect();
        let want: Vec<_> = frames.into_iter().map(|(time, bytes, more)| { let length = bytes.len() as u32 + more; (Some(time), bytes, length) }).collect();
        prop_assert_eq!(got, want);
    }
}
