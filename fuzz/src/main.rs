//! One program for all targets: WALLSOCKET_FUZZ names the parser that gets the input. A panic, and more time or memory than the
//! command line allows, is a finding.
#![no_main]

use std::io::Cursor;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use nix::unistd::Pid;
use wallsocket_framing::{
    Codec, Decode, Decoder, Delimited, FixedLength, Header, LengthPrefixed, Order, UntilClose,
};
use wallsocket_kernel::{address, control, counters, diag, netlink, options};
use wallsocket_trace::calls::{self, Entry};
use wallsocket_trace::python::{Anchors, Interpreter, Range, ReadMemory, Unknown};
use wallsocket_trace::rows;
use wallsocket_wire::columns::{Batches, COLUMNS, Plan};
use wallsocket_wire::compress::decompressed;
use wallsocket_wire::craft;
use wallsocket_wire::decode::{Frame, Hints, LinkType, Vlan, application, decode};
use wallsocket_wire::file::{Chunk, Reader};
use wallsocket_wire::filter::{Filter, Instruction};

type Target = fn(&[u8]);

/// Name, and what gets the input.
const TARGETS: [(&str, Target); 7] = [
    ("frame", frame),
    ("file", file),
    ("filter", filter),
    ("framing", framing),
    ("kernel", kernel),
    ("calls", traced_calls),
    ("python", python),
];

static TARGET: OnceLock<Target> = OnceLock::new();

fuzz_target!(|data: &[u8]| {
    let target = TARGET.get_or_init(|| {
        let wanted = std::env::var("WALLSOCKET_FUZZ").unwrap_or_default();
        TARGETS
            .iter()
            .find(|(name, _)| *name == wanted)
            .unwrap_or_else(|| {
                panic!(
                    "WALLSOCKET_FUZZ={wanted}: one of {:?}",
                    TARGETS.map(|each| each.0)
                )
            })
            .1
    });
    target(data);
});

/// Every link type that is decoded, and one that is not.
const LINK_TYPES: [u32; 22] = [
    1, 0, 9, 12, 14, 50, 51, 101, 104, 105, 108, 113, 119, 127, 163, 192, 219, 227, 228, 229, 276,
    9999,
];

/// Everything that can be asked of a frame.
fn ask(frame: &Frame<'_>) {
    let _ = (
        frame.summary(),
        frame.checksums(),
        frame.payload(),
        frame.vlans(),
        frame.fragment(),
    );
    let _ = frame.problem.map(|problem| problem.to_string());
    let bounded = frame.bytes.len() + 2;
    assert!(frame.tcp_options().count() <= bounded);
    assert!(frame.ipv4_options().count() <= bounded);
    assert!(frame.extensions().count() <= bounded);
    assert!(frame.neighbor_options().count() <= bounded);
    let _ = frame.neighbor_target();
    assert!(frame.encapsulations().count() <= bounded);
    assert!(frame.sctp_chunks().count() <= bounded);
    let _ = (
        frame.wireless(),
        frame.radio(),
        frame.can(),
        frame.ipsec(),
        frame.pppoe(),
        frame.port_tag(),
        frame.headers(20),
    );
    if let Some(found) = application::recognise(frame) {
        assert!(!found.to_string().chars().any(char::is_control));
    }
}

fn frame(data: &[u8]) {
    let [link_type, hints, bytes @ ..] = data else {
        return;
    };
    let link_type = LinkType(LINK_TYPES[usize::from(*link_type) % LINK_TYPES.len()]);
    let hints_given = Hints {
        vlan: (hints & 1 != 0).then_some(Vlan {
            protocol: 0x8100,
            control: 7,
        }),
        checksum_not_ready: hints & 2 != 0,
        checksum_verified: hints & 4 != 0,
    };
    let length = bytes.len() as u32 + if hints & 8 == 0 { 0 } else { 1000 };
    let found = decode(link_type, bytes, length, hints_given);
    ask(&found);
    if let Some(quoted) = found.quoted() {
        ask(&quoted);
    }
    for (tunnel, inner) in found.tunnels() {
        let _ = tunnel.to_string();
        if let Some(inner) = inner {
            assert!(inner.bytes.len() < bytes.len());
            ask(&inner);
        }
    }
    let mut again = bytes.to_vec();
    craft::set_checksums(link_type, &mut again);
}

fn file(data: &[u8]) {
    let open = || {
        let (source, _) = decompressed(Box::new(Cursor::new(data.to_vec()))).ok()?;
        Reader::new(source).ok()
    };
    let Some(mut reader) = open() else {
        return;
    };
    let mut chunk = Chunk::default();
    while let Ok(true) = reader.read_chunk(&mut chunk) {
        for record in chunk.records() {
            let _ = (
                chunk.comments(record),
                chunk.process_id(record),
                chunk.inbound(record),
            );
            let _ = (
                chunk.record_bytes(record).len(),
                chunk.decode(record).summary(),
            );
        }
        for block in chunk.others() {
            let _ = chunk.block_bytes(block);
        }
    }
    let _ = reader.tail();
    let Some(reader) = open() else {
        return;
    };
    let plan = Plan {
        columns: COLUMNS
            .iter()
            .map(|column| column.name.to_owned())
            .collect(),
        batch_rows: 1000,
        ..Plan::default()
    };
    let batches = Batches::new(reader, Chunk::default(), 0, plan).expect("every column is known");
    // A small input can claim to hold much once it is decompressed.
    for batch in batches.take(20) {
        let _ = batch;
    }
}

fn filter(data: &[u8]) {
    let count = usize::from(data.first().copied().unwrap_or(0)) % 32;
    let (program, bytes) = data
        .get(1..)
        .unwrap_or(&[])
        .split_at_checked(count * 8)
        .unwrap_or((&[], &[]));
    let program = program
        .as_chunks::<8>()
        .0
        .iter()
        .map(|[c0, c1, t, f, k @ ..]| Instruction {
            code: u16::from_le_bytes([*c0, *c1]),
            jump_true: *t,
            jump_false: *f,
            operand: u32::from_le_bytes(*k),
        })
        .collect();
    if let Ok(filter) = Filter::new(program) {
        let _ = filter.run(bytes, bytes.len() as u32);
    }
}

/// The messages of a stream that arrives in pieces of `step` bytes.
fn messages(codec: impl Codec + Send + Sync, stream: &[u8], step: usize) -> (Vec<Vec<u8>>, bool) {
    let mut decoder = Decoder::new(codec);
    let mut found = Vec::new();
    for piece in stream.chunks(step.max(1)) {
        if decoder
            .feed(piece, &mut |message| found.push(message.to_vec()))
            .is_err()
        {
            break;
        }
    }
    let _ = decoder.end(&mut |message| found.push(message.to_vec()));
    (found, decoder.fault().is_some())
}

fn framing(data: &[u8]) {
    let [kind, parameter, step, stream @ ..] = data else {
        return;
    };
    let (parameter, step) = (usize::from(*parameter), usize::from(*step));
    fn same(codec: impl Codec + Send + Sync + Clone, stream: &[u8], step: usize) {
        assert_eq!(
            messages(codec.clone(), stream, step),
            messages(codec, stream, stream.len())
        );
    }
    let order = if parameter & 1 == 0 {
        Order::Big
    } else {
        Order::Little
    };
    match kind % 5 {
        0 => {
            if let Ok(codec) = FixedLength::new(parameter) {
                same(codec, stream, step);
            }
        }
        1 => same(UntilClose::new(parameter * 16), stream, step),
        2 => {
            let delimiter: &[u8] = if parameter & 1 == 0 { b"\n" } else { b"ab" };
            let escape = (parameter & 2 != 0).then_some(b'\\');
            if let Ok(codec) = Delimited::new(delimiter, escape, parameter & 4 != 0, parameter) {
                same(codec, stream, step);
            }
        }
        3 => {
            let header = Header::Fixed([1, 2, 4, 8][parameter / 2 % 4], order);
            if let Ok(codec) = LengthPrefixed::new(header, parameter & 8 != 0, 1000) {
                same(codec, stream, step);
            }
        }
        _ => {
            if let Ok(codec) = LengthPrefixed::new(Header::Varint, parameter & 8 != 0, 1000) {
                same(codec, stream, step);
            }
        }
    }
}

fn kernel(data: &[u8]) {
    let [kind, level, number, bytes @ ..] = data else {
        return;
    };
    match kind % 5 {
        0 => {
            for message in netlink::messages(bytes) {
                let _ = diag::parse_inet(message.payload, *level);
                for (_, value) in netlink::attributes(message.payload) {
                    let _ = netlink::attributes(value).count();
                }
            }
        }
        1 => {
            let _ = diag::parse_inet(bytes, *level);
        }
        2 => {
            assert!(!control::parse(bytes).to_string().is_empty());
            let _ = control::decode((*level).into(), (*number).into(), bytes).to_string();
        }
        3 => {
            let _ = options::decode((*level).into(), (*number).into(), bytes);
            for option in options::OPTIONS {
                let value = option.decode(bytes);
                assert!(option.render(&value).len() < 100 * (bytes.len() + 80));
            }
        }
        _ => {
            assert!(!address::Address::decode(bytes).to_string().is_empty());
            if let Ok(text) = std::str::from_utf8(bytes) {
                let _ = address::Address::parse(text);
                counters::parse(text, &mut counters::Counters::default());
            }
        }
    }
}

/// System calls whose arguments point into the input: the target's memory says anything at all.
fn traced_calls(data: &[u8]) {
    /// Calls that read memory, in x86-64's numbering.
    const NUMBERS: [i64; 24] = [
        libc::SYS_read,
        libc::SYS_write,
        libc::SYS_poll,
        libc::SYS_readv,
        libc::SYS_writev,
        libc::SYS_select,
        libc::SYS_socketpair,
        libc::SYS_connect,
        libc::SYS_bind,
        libc::SYS_accept4,
        libc::SYS_getsockname,
        libc::SYS_sendto,
        libc::SYS_recvfrom,
        libc::SYS_sendmsg,
        libc::SYS_recvmsg,
        libc::SYS_sendmmsg,
        libc::SYS_recvmmsg,
        libc::SYS_setsockopt,
        libc::SYS_getsockopt,
        libc::SYS_ppoll,
        libc::SYS_pselect6,
        libc::SYS_epoll_wait,
        libc::SYS_epoll_ctl,
        libc::SYS_ioctl,
    ];
    let [number, result, limit, shapes @ ..] = data else {
        return;
    };
    let Some((shapes, memory)) = shapes.split_at_checked(12) else {
        return;
    };
    let base = memory.as_ptr() as u64;
    let mut arguments = [0; 6];
    for (argument, shape) in arguments.iter_mut().zip(shapes.as_chunks::<2>().0) {
        *argument = match shape[0] % 4 {
            0 => shape[1].into(),
            // A pointer into the input, to its end, or anywhere.
            1 | 2 => base.wrapping_add(u64::from(shape[1])),
            _ => u64::MAX - u64::from(shape[1]),
        };
    }
    let entry = Entry {
        number: NUMBERS[usize::from(*number) % NUMBERS.len()],
        arguments,
    };
    let mut call = rows::Call::default();
    let this = Pid::this();
    let watched = calls::watched(&this, &entry);
    calls::begin(&this, &entry, &watched, &mut call);
    let result = i64::from(*result as i8) * if limit & 1 == 0 { 1 } else { 1000 };
    calls::finish(&this, &entry, result, (*limit).into(), &watched, &mut call);
    let _ = calls::passed_descriptors(memory);
}

/// Memory of a Python process that says anything at all: the input, over and over.
struct Memory(Vec<u8>);

impl ReadMemory for Memory {
    fn read_ranges(&self, ranges: &[Range], buffer: &mut [u8]) -> Result<usize, Unknown> {
        let mut done = 0;
        for range in ranges {
            for offset in 0..range.length {
                let address = range.address.wrapping_add(offset as u64);
                // The lowest page is never there.
                if address < 4096 {
                    return Ok(done);
                }
                let Some(slot) = buffer.get_mut(done) else {
                    return Ok(done);
                };
                *slot = self.0[(address % self.0.len() as u64) as usize];
                done += 1;
            }
        }
        Ok(done)
    }
}

fn python(data: &[u8]) {
    let [version, rest @ ..] = data else {
        return;
    };
    if rest.len() < 64 {
        return;
    }
    let anchors = Anchors {
        runtime: 0x10000,
        version: [0x030b_07f0, 0x030c_03f0, 0x030d_01f0, 0x030e_00f0][usize::from(*version) % 4],
        code_type: 0x2_0000,
        object: "/usr/lib/libpython3.so".into(),
    };
    if let Ok(mut interpreter) = Interpreter::new(Memory(rest.to_vec()), None, anchors) {
        let _ = (
            interpreter.frames(1),
            interpreter.top_user_frame(1),
            interpreter.threads(),
            interpreter.tasks(),
        );
    }
}
