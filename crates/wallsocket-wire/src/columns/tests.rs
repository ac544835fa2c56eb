//! However a file is divided among threads, what comes out is what one thread gives.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use arrow_array::BinaryArray;
use arrow_array::cast::AsArray;
use arrow_array::types::{TimestampNanosecondType, UInt32Type, UInt64Type};
use proptest::prelude::*;

use super::*;
use crate::decode::LinkType;
use crate::file::{Reader, Tail};
use crate::file_write::{Details, Writer};

const NAMES: [&str; 5] = [
    "number",
    "time",
    "captured_length",
    "payload_length",
    "frame",
];

/// Number, time, length and bytes of every row, and how the file ended.
type Read = (Vec<(u64, i64, u32, Vec<u8>)>, Option<Tail>);

fn file_of(bytes: &[u8]) -> File {
    let mut path = std::env::temp_dir();
    path.push(format!(
        "wallsocket-columns-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    File::create(&path)
        .expect("a file of the test")
        .write_all(bytes)
        .expect("a file of the test");
    let file = File::open(&path).expect("a file of the test");
    std::fs::remove_file(&path).expect("a file of the test");
    file
}

/// Decodes a file; by one thread when `part` is `None`, else in parts of so many bytes by two.
fn decoded(bytes: &[u8], part: Option<u64>, first: usize) -> Read {
    let file = file_of(bytes);
    let mut reader = Reader::new(Box::new(file.try_clone().expect("a file of the test")))
        .expect("a file of the test");
    reader.set_file(Arc::new(file));
    let mut chunk = Chunk::default();
    if first > 0 {
        assert!(reader.read_chunk(&mut chunk).expect("a file of the test"));
    }
    let plan = Plan {
        columns: NAMES.map(str::to_owned).to_vec(),
        batch_rows: 100,
        part_bytes: part,
        ..Plan::default()
    };
    let batches: Vec<_> = if part.is_some() {
        ParallelBatches::new(reader, chunk, first, &plan, 2)
            .expect("a file of the test")
            .collect()
    } else {
        Batches::new(reader, chunk, first, plan.clone())
            .expect("a file of the test")
            .collect()
    };
    let mut rows = Vec::new();
    for batch in batches {
        let batch = batch.expect("a file of the test");
        let bytes: &BinaryArray = batch.column(4).as_binary();
        for row in 0..batch.num_rows() {
            rows.push((
                batch.column(0).as_primitive::<UInt64Type>().value(row),
                batch
                    .column(1)
                    .as_primitive::<TimestampNanosecondType>()
                    .value(row),
                batch.column(2).as_primitive::<UInt32Type>().value(row),
                bytes.value(row).to_vec(),
            ));
        }
    }
    let tail = plan.report.lock().expect("a file of the test").clone();
    (rows, tail)
}

/// A file with these frames; `pcapng` or pcap with nanoseconds.
fn written(pcapng: bool, frames: &[Vec<u8>], described: &[usize]) -> Vec<u8> {
    let mut writer = if pcapng {
        Writer::pcapng(Vec::new(), "test", None).expect("a file of the test")
    } else {
        Writer::pcap(Vec::new(), Some(LinkType::ETHERNET), 0, true).expect("a file of the test")
    };
    let mut interface = writer
        .interface(&crate::file::Interface::new(LinkType::ETHERNET))
        .expect("a file of the test");
    for (number, frame) in frames.iter().enumerate() {
        if pcapng && described.contains(&number) {
            interface = writer
                .interface(&crate::file::Interface::new(LinkType::RAW))
                .expect("a file of the test");
        }
        writer
            .frame(
                interface,
                Some(1_700_000_000_000_000_000 + number as i64),
                frame,
                frame.len() as u32,
                &Details::default(),
            )
            .expect("a file of the test");
    }
    writer.into_output()
}

fn assert_same(bytes: &[u8], part: u64) {
    let alone = decoded(bytes, None, 0);
    let divided = decoded(bytes, Some(part), 0);
    assert!(
        alone == divided,
        "{part} bytes a part: {:?} and {:?}",
        alone.1,
        divided.1
    );
}

#[test]
fn records_inside_of_payloads_are_not_taken_for_records_of_the_file() {
    for pcapng in [false, true] {
        // Frames that hold whole capture files, so that most places that look like a record are none.
        let small: Vec<Vec<u8>> = (0..200).map(|number| vec![number as u8; number]).collect();
        let inner = written(pcapng, &small, &[]);
        let frames: Vec<Vec<u8>> = (0..60).map(|_| inner[24..].to_vec()).collect();
        let bytes = written(pcapng, &frames, &[]);
        assert!(bytes.len() > 1 << 20);
        for part in [5_000, 70_001, 300_000] {
            assert_same(&bytes, part);
        }
    }
}

#[test]
fn an_interface_described_on_the_way_counts_for_what_follows() {
    let frames: Vec<Vec<u8>> = (0..4000).map(|number| vec![0x45; number % 300]).collect();
    let bytes = written(true, &frames, &[2500, 3500]);
    assert_same(&bytes, 50_000);
}

#[test]
fn damage_ends_the_file_for_all_threads() {
    for pcapng in [false, true] {
        let frames: Vec<Vec<u8>> = (0..6000).map(|number| vec![9; number % 200]).collect();
        let mut bytes = written(pcapng, &frames, &[]);
        let whole = decoded(&bytes, None, 0).0.len();
        assert_eq!(whole, 6000);
        // Cut within a record.
        assert_same(&bytes[..bytes.len() - 3], 20_000);
        // A length that no record has, far in.
        let (mut at, mut record) = (bytes.len() * 3 / 4, vec![0xff; 16]);
        record.truncate(bytes.len() - at);
        while at < bytes.len() - 16 && bytes[at..at + 4] != 1_700_000_000_u32.to_le_bytes() {
            at += 1;
        }
        if !pcapng {
            bytes[at + 8..at + 12].copy_from_slice(&u32::MAX.to_le_bytes());
            assert_same(&bytes, 20_000);
            assert!(decoded(&bytes, Some(20_000), 0).1.is_some());
        }
    }
}

#[test]
fn records_that_were_read_but_not_used_come_first() {
    let frames: Vec<Vec<u8>> = (0..5000).map(|number| vec![1; number % 100]).collect();
    let bytes = written(false, &frames, &[]);
    for part in [None, Some(30_000)] {
        let (rows, _) = decoded(&bytes, part, 7);
        assert_eq!(rows.len(), 4993);
        let numbers: Vec<u64> = rows.iter().map(|row| row.0).collect();
        assert_eq!(numbers, (8..=5000).collect::<Vec<u64>>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_division_gives_the_same(
        sizes in prop::collection::vec(0_usize..2000, 300..900),
        part in 1_000_u64..400_000,
        pcapng: bool,
        cut in 0_usize..3000,
    ) {
        let frames: Vec<Vec<u8>> = sizes.iter().enumerate().map(|(number, size)| vec![number as u8; *size]).collect();
        let bytes = written(pcapng, &frames, &[]);
        assert_same(&bytes[..bytes.len() - cut.min(bytes.len() / 2)], part);
    }
}
