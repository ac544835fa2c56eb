use super::filter::{BPF_JUMP_EQUAL, BPF_RETURN, with_direction};
use super::*;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// The caller's right to packet sockets decides which half of a test runs; both halves check something.
fn ring(options: &RingOptions) -> Option<Ring> {
    match Ring::open(options) {
        Ok(ring) => Some(ring),
        Err(error) => {
            assert_eq!(error.error.raw_os_error(), Some(libc::EPERM), "{error}");
            None
        }
    }
}

/// Index of `lo`, which is 1 in every network namespace.
const LOOPBACK: u32 = 1;

fn small() -> RingOptions {
    RingOptions {
        interface: Some(LOOPBACK),
        block_size: 1 << 17,
        block_count: 4,
        ..RingOptions::default()
    }
}

/// Collects frames to `port` until `count` were seen.
fn collect(ring: &mut Ring, port: u16, count: usize) -> Vec<(Vec<u8>, FrameHeader)> {
    let end = Instant::now() + Duration::from_secs(10);
    let mut found = Vec::new();
    while found.len() < count && Instant::now() < end {
        if let Some(block) = ring
            .next_block(Some(Duration::from_millis(200)))
            .expect("a healthy ring")
        {
            found.extend(
                block
                    .frames()
                    .filter(|frame| frame.bytes.get(36..38) == Some(&port.to_be_bytes()))
                    .map(|frame| (frame.bytes.to_vec(), frame.header)),
            );
        }
    }
    found
}

#[test]
fn each_loopback_frame_is_seen_once_with_its_facts() {
    let Some(mut ring) = ring(&small()) else {
        return;
    };
    let receiver = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    let sender = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    let address = receiver.local_addr().expect("bound");
    for number in 0..50_u8 {
        sender.send_to(&[number; 100], address).expect("sent");
    }
    let frames = collect(&mut ring, address.port(), 50);
    let numbers: Vec<u8> = frames.iter().map(|(bytes, _)| bytes[42]).collect();
    assert_eq!(numbers, (0..50).collect::<Vec<u8>>());
    let (bytes, header) = &frames[0];
    assert_eq!(bytes.len(), 142);
    assert_eq!(header.original_length, 142);
    assert_eq!(header.interface, LOOPBACK);
    assert_eq!(header.hardware_type, HARDWARE_LOOPBACK);
    assert_eq!(header.packet_type, PacketType::Host);
    assert_eq!(header.protocol, 0x0800);
    assert!(header.vlan.is_none());
    assert!(
        frames
            .windows(2)
            .all(|pair| pair[0].1.timestamp_ns <= pair[1].1.timestamp_ns)
    );
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_nanos() as u64;
    assert!(now.abs_diff(header.timestamp_ns) < 60_000_000_000);
    assert_eq!(ring.statistics().expect("statistics").dropped, 0);
}

#[test]
fn raw_direction_shows_both_copies_and_snap_length_cuts() {
    let Some(mut ring) = ring(&RingOptions {
        direction: Direction::Raw,
        snap_length: 60,
        ..small()
    }) else {
        return;
    };
    let receiver = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    let address = receiver.local_addr().expect("bound");
    receiver.send_to(&[1; 500], address).expect("sent");
    let frames = collect(&mut ring, address.port(), 2);
    let types: Vec<PacketType> = frames
        .iter()
        .map(|(_, header)| header.packet_type)
        .collect();
    assert_eq!(types, [PacketType::Outgoing, PacketType::Host]);
    assert!(
        frames
            .iter()
            .all(|(bytes, header)| bytes.len() == 60 && header.original_length == 542)
    );
}

#[test]
fn a_full_ring_counts_what_it_loses() {
    let options = RingOptions {
        block_size: 4096,
        block_count: 2,
        ..small()
    };
    let Some(mut ring) = ring(&options) else {
        return;
    };
    let receiver = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    let address = receiver.local_addr().expect("bound");
    for _ in 0..200 {
        receiver.send_to(&[1; 500], address).expect("sent");
    }
    let statistics = ring.statistics().expect("statistics");
    assert!(
        statistics.dropped > 0 && statistics.dropped <= statistics.seen,
        "{statistics:?}"
    );
    // Numbers add up over calls although the kernel resets its own.
    let again = ring.statistics().expect("statistics");
    assert!(again.dropped >= statistics.dropped && again.seen >= statistics.seen);
}

#[test]
fn a_filter_decides_before_the_copy() {
    let drop_all = vec![Instruction::new(BPF_RETURN, 0)];
    let Some(mut ring) = ring(&RingOptions {
        filter: drop_all,
        ..small()
    }) else {
        return;
    };
    let receiver = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    let address = receiver.local_addr().expect("bound");
    receiver.send_to(&[1; 500], address).expect("sent");
    assert_eq!(ring.statistics().expect("statistics").seen, 0);
    attach_filter(ring.as_fd(), &with_direction(Direction::Both, &[], 1 << 18))
        .expect("a valid filter");
    receiver.send_to(&[2; 500], address).expect("sent");
    let frames = collect(&mut ring, address.port(), 1);
    assert_eq!(frames[0].0[42], 2);
}

#[test]
fn a_program_that_jumps_out_is_refused() {
    let Some(ring) = ring(&small()) else { return };
    let error = attach_filter(
        ring.as_fd(),
        &[Instruction::jump(BPF_JUMP_EQUAL, 1, 200, 200)],
    )
    .expect_err("refused");
    assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
}

#[test]
fn a_missing_interface_is_named_by_the_call() {
    if ring(&small()).is_none() {
        return;
    }
    let error = Ring::open(&RingOptions {
        interface: Some(999_999),
        ..small()
    })
    .expect_err("no such interface");
    assert_eq!(error.error.raw_os_error(), Some(libc::ENODEV));
    assert_eq!(error.call, "bind of the packet socket");
}

#[test]
fn frames_are_sent_whole() {
    let Some(mut ring) = ring(&small()) else {
        return;
    };
    let sender = Sender::on(packet_socket().expect("as the ring"), LOOPBACK, false).expect("lo");
    // An unassigned EtherType, so no protocol of this host takes them; bytes 36..38 are the mark that `collect` looks for.
    let frames: Vec<Vec<u8>> = (0..600_u32)
        .map(|number| {
            let mut frame = vec![0_u8; 60];
            frame[12..14].copy_from_slice(&[0x88, 0xb5]);
            frame[36..38].copy_from_slice(&[0xab, 0xcd]);
            frame[40..44].copy_from_slice(&number.to_be_bytes());
            frame
        })
        .collect();
    assert_eq!(sender.send(&frames).expect("sent"), 600);
    let seen = collect(&mut ring, 0xabcd, 600);
    assert_eq!(
        seen.into_iter().map(|(bytes, _)| bytes).collect::<Vec<_>>(),
        frames
    );
    let error = sender.send(&[vec![0_u8; 3]]).expect_err("too short");
    assert_eq!(error.raw_os_error(), Some(libc::EINVAL));

    // The same through the ring, where 600 are more than it has slots.
    sender.prepare_ring(packet_socket().expect("as the ring"));
    let end = Instant::now() + Duration::from_secs(20);
    while !sender.has_ring() {
        assert!(Instant::now() < end, "this kernel gives no ring");
        std::thread::sleep(Duration::from_millis(1));
    }
    let mut sent = 0;
    while sent < frames.len() {
        match sender.send(&frames[sent..]) {
            Ok(count) => sent += count,
            Err(error) => assert!(is_queue_full(&error), "{error}"),
        }
    }
    let seen = collect(&mut ring, 0xabcd, 600);
    assert_eq!(
        seen.into_iter().map(|(bytes, _)| bytes).collect::<Vec<_>>(),
        frames
    );
    // Eight are enough for the ring: the third meets the error, those before it are sent, those behind it are not.
    let mut wrong = frames[..8].to_vec();
    wrong[2].truncate(3);
    assert_eq!(sender.send(&wrong).expect("two"), 2);
    wrong.rotate_left(2);
    let error = sender.send(&wrong).expect_err("too short");
    assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
    assert_eq!(sender.send(&frames[8..16]).expect("eight"), 8);
    let expected: Vec<_> = frames[..2].iter().chain(&frames[8..16]).cloned().collect();
    let seen = collect(&mut ring, 0xabcd, 10);
    assert_eq!(
        seen.into_iter().map(|(bytes, _)| bytes).collect::<Vec<_>>(),
        expected
    );
}
