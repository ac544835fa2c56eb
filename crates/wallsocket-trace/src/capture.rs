//! The wire layer: frames of the network namespace, each once, on the recording's clock.
//!
//! In a private namespace every frame is the program's. On the host the frames of others pass too: there a frame is kept
//! only when one of its ports belongs to a followed socket. A port is learned a moment after its first frame has
//! travelled, so frames wait [`UNDECIDED`] before they are dropped.

use std::collections::{HashMap, HashSet, VecDeque};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_bytes::ByteBuf;
use wallsocket_kernel::address::Address;
use wallsocket_sys::packet::{self, Direction, PacketError, Ring, RingOptions};
use wallsocket_wire::{Frame, Hints, LinkType, decode};

use crate::clock::Clock;
use crate::networks::OWN;
use crate::rows::{self, Row};
use crate::sink::{Layer, Sink};

/// Headers of one frame at most: Ethernet with two tags, the longest IPv4 and TCP headers.
const HEADERS: usize = 14 + 8 + 60 + 60;
/// Bytes that are looked at, though not kept, to know what of a short frame is no header: its checksum.
const LOOKED_AT: usize = 512;
/// Frames are not larger (a segment before it is cut by the card, with its headers).
const LARGEST: usize = 0x4_0000;
/// How long the kernel may hold frames back.
const LATENCY: Duration = Duration::from_millis(10);
/// How long a frame waits for a socket that owns it, on the host.
const UNDECIDED: i64 = 200_000_000;
/// Frames that may wait; older ones are dropped first.
const UNDECIDED_FRAMES: usize = 20_000;
/// And their bytes.
const UNDECIDED_BYTES: usize = 16 << 20;

/// The ports of followed sockets.
#[derive(Debug, Default)]
pub struct Ports {
    ports: Mutex<HashSet<u16>>,
}

impl Ports {
    /// Follows the port of a raw socket address, if it has one.
    pub fn add(&self, address: Option<&ByteBuf>) {
        let port = address
            .and_then(|address| Address::decode(address).port())
            .unwrap_or(0);
        if port != 0
            && let Ok(port) = u16::try_from(port)
        {
            self.ports
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(port);
        }
    }

    fn has(&self, pair: (u16, u16)) -> bool {
        let ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        ports.contains(&pair.0) || ports.contains(&pair.1)
    }
}

/// The capturing thread; [`Capture::finish`] waits until it has sent what had travelled by then.
pub struct Capture {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// How frames are kept, and where they go.
pub struct Capturing {
    sink: Sink,
    clock: Clock,
    ports: Arc<Ports>,
    payload: usize,
}

impl Capturing {
    /// Keeps `payload` bytes of what each frame carries.
    pub fn new(sink: Sink, clock: Clock, ports: Arc<Ports>, payload: usize) -> Self {
        Self {
            sink,
            clock,
            ports,
            payload,
        }
    }

    fn kept(&self) -> usize {
        HEADERS.saturating_add(self.payload).min(LARGEST)
    }

    fn options(&self) -> RingOptions {
        RingOptions {
            direction: Direction::Both,
            block_timeout: LATENCY,
            snap_length: u32::try_from(self.kept().max(LOOKED_AT)).unwrap_or(u32::MAX),
            ..RingOptions::default()
        }
    }

    /// Starts to capture in the network namespace of the caller. `private`: every frame is the program's.
    pub fn here(&self, private: bool) -> Result<Capture, PacketError> {
        let naming = packet::packet_socket().ok();
        self.start(Ring::open(&self.options())?, naming, OWN, private)
    }

    /// Starts to capture in the network namespace that a packet socket was made in.
    pub fn on(&self, network: u32, socket: OwnedFd) -> Result<Capture, PacketError> {
        let naming = socket.try_clone().ok();
        self.start(Ring::on(socket, &self.options())?, naming, network, false)
    }

    fn start(
        &self,
        mut ring: Ring,
        naming: Option<OwnedFd>,
        network: u32,
        private: bool,
    ) -> Result<Capture, PacketError> {
        self.sink.send(&Row::Meta(rows::Meta {
            key: "snap_length".into(),
            value: self.kept().to_string(),
        }));
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let failed = |error| PacketError {
            call: "thread",
            error,
        };
        let (sink, clock, payload) = (self.sink.clone(), self.clock, self.payload);
        let ports = Arc::clone(&self.ports);
        let thread = std::thread::Builder::new()
            .name("capture".into())
            .spawn(move || {
                let mut reader = Reader {
                    sink: &sink,
                    clock,
                    private,
                    payload,
                    network,
                    naming,
                    undecided: VecDeque::new(),
                    undecided_bytes: 0,
                    interfaces: HashMap::new(),
                };
                reader.run(&mut ring, &ports, &stopped);
            })
            .map_err(failed)?;
        Ok(Capture { stop, thread })
    }
}

impl Capture {
    /// Ends it.
    pub fn finish(self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.join();
    }
}

struct Reader<'a> {
    sink: &'a Sink,
    clock: Clock,
    private: bool,
    network: u32,
    /// A socket of the namespace, to ask for the names of interfaces.
    naming: Option<OwnedFd>,
    /// Bytes to keep behind the headers.
    payload: usize,
    undecided: VecDeque<(Pair, rows::Packet)>,
    undecided_bytes: usize,
    interfaces: HashMap<u32, Option<String>>,
}

/// Source and destination port.
type Pair = (u16, u16);

impl Reader<'_> {
    fn run(&mut self, ring: &mut Ring, ports: &Ports, stop: &AtomicBool) {
        loop {
            if self.sink.is_gone() {
                return;
            }
            let last = stop.load(Ordering::Relaxed);
            match self.block(ring) {
                Ok(some) => {
                    self.decide(ports, last);
                    if last && !some {
                        break;
                    }
                }
                Err(error) if error.raw_os_error() == Some(libc::EINTR) => {}
                Err(error) => {
                    self.sink.gap(
                        self.clock.now(),
                        Layer::Wire,
                        &format!("the capture ended: {error}"),
                    );
                    return;
                }
            }
        }
        if let Ok(statistics) = ring.statistics()
            && statistics.dropped > 0
        {
            self.sink.send(&Row::Mark(rows::Mark {
                at_ns: self.clock.now(),
                process: None,
                tid: None,
                kind: "lost".into(),
                text: format!(
                    "{} frames were lost: the capture did not keep up",
                    statistics.dropped
                ),
            }));
        }
    }

    /// Takes the next block of frames; false when none came.
    fn block(&mut self, ring: &mut Ring) -> std::io::Result<bool> {
        let offset = self.clock.from_realtime_offset();
        let naming = self.naming.as_ref().map(AsFd::as_fd);
        let Some(block) = ring.next_block(Some(LATENCY * 2))? else {
            return Ok(false);
        };
        for frame in block.frames() {
            let link_type = LinkType::from_hardware_type(frame.header.hardware_type)
                .unwrap_or(LinkType::ETHERNET);
            let decoded = decode(
                link_type,
                frame.bytes,
                frame.header.original_length,
                Hints::from(&frame.header),
            );
            let ports = ports_within(&decoded);
            if !self.private && ports.is_none() {
                continue;
            }
            let kept = if self.payload >= LARGEST {
                frame.bytes.to_vec()
            } else {
                decoded.headers(self.payload)
            };
            let packet = rows::Packet {
                at_ns: frame.header.timestamp_ns as i64 + offset,
                interface: name(&mut self.interfaces, naming, frame.header.interface),
                link_type: link_type.0 as u16,
                length: frame.header.original_length,
                frame: ByteBuf::from(kept),
                network: Some(self.network),
            };
            match ports {
                Some(pair) if !self.private => {
                    self.undecided_bytes += packet.frame.len();
                    self.undecided.push_back((pair, packet));
                }
                _ => self.sink.send(&Row::Packet(packet)),
            }
        }
        Ok(true)
    }

    /// Sends or drops the frames that have waited long enough.
    fn decide(&mut self, ports: &Ports, last: bool) {
        let now = self.clock.now();
        while let Some((_, packet)) = self.undecided.front() {
            let few =
                self.undecided.len() <= UNDECIDED_FRAMES && self.undecided_bytes <= UNDECIDED_BYTES;
            if !last && now - packet.at_ns <= UNDECIDED && few {
                return;
            }
            if let Some((pair, packet)) = self.undecided.pop_front() {
                self.undecided_bytes -= packet.frame.len();
                if ports.has(pair) {
                    self.sink.send(&Row::Packet(packet));
                }
            }
        }
    }
}

fn name(
    known: &mut HashMap<u32, Option<String>>,
    socket: Option<BorrowedFd<'_>>,
    index: u32,
) -> Option<String> {
    known
        .entry(index)
        .or_insert_with(|| {
            let name = wallsocket_sys::socket::interface_name(socket?, index).ok()?;
            String::from_utf8(name).ok()
        })
        .clone()
}

/// The ports of a frame, or of the packet that an ICMP error in it quotes.
fn ports_within(frame: &Frame<'_>) -> Option<Pair> {
    frame
        .ports()
        .or_else(|| frame.quoted().and_then(|quoted| quoted.ports()))
}
