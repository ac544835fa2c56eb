//! Looking at the followed sockets now and then, from a thread of its own: states between calls, final values at death,
//! and the counters of the network namespace.

use std::collections::HashMap;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_bytes::ByteBuf;
use wallsocket_kernel::diag::{DestroyMonitor, DiagSocket, InetQuery, InetSocket};

use crate::clock::Clock;
use crate::networks::OWN;
use crate::places::Places;
use crate::rows::{self, Row};
use crate::sink::{Layer, Sink};
use crate::tally::Tally;

/// How often sockets are looked at, at most.
const INTERVAL: Duration = Duration::from_millis(50);
/// Looking may take this share of a processor: listing the sockets of a busy host is slow. Waiting for one does not count, or a
/// loaded machine would be blind.
const SHARE: u32 = 20;
/// How often counters are compared.
const COUNTERS_EVERY: u32 = 4;

/// The sockets that are followed, by cookie.
#[derive(Debug, Default)]
pub struct Watched {
    sockets: Mutex<HashMap<u64, Followed>>,
}

/// A followed socket.
#[derive(Clone, Copy, Debug)]
struct Followed {
    socket: u32,
    network: u32,
}

impl Watched {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Followed>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows the socket with this cookie, in this network namespace, until it dies.
    pub fn add(&self, cookie: u64, socket: u32, network: u32) {
        self.lock().insert(cookie, Followed { socket, network });
    }
}

/// The thread; [`Sampler::finish`] takes a last look. It ends by itself when nobody takes rows any more.
pub struct Sampler {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

/// What is compared to see whether a socket has changed.
type Picture = (u8, u32, u32, Option<u32>);

struct State {
    sink: Sink,
    clock: Clock,
    watched: Arc<Watched>,
    diag: Option<DiagSocket>,
    deaths: Option<DestroyMonitor>,
    places: Arc<Places>,
    tally: Arc<Tally>,
    seen: HashMap<u64, Picture>,
    samples: bool,
}

impl Sampler {
    /// Starts it, in the network namespace of the caller. With `samples` false only counters are read.
    pub fn start(
        sink: Sink,
        clock: Clock,
        watched: Arc<Watched>,
        places: Arc<Places>,
        tally: Arc<Tally>,
        samples: bool,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let mut state = State {
            sink,
            clock,
            watched,
            diag: None,
            deaths: None,
            places,
            tally,
            seen: HashMap::new(),
            samples,
        };
        if samples {
            state.diag = state.opened(DiagSocket::open());
            state.deaths = state.opened(DestroyMonitor::open());
        }
        // Before the program runs, so that everything it causes is a difference.
        state.tally.count_own();
        let thread = std::thread::Builder::new()
            .name("sampler".into())
            .spawn(move || {
                let mut rest = INTERVAL;
                for round in 0u32.. {
                    let last =
                        !matches!(stopped.recv_timeout(rest), Err(RecvTimeoutError::Timeout));
                    if state.sink.is_gone() {
                        // The recorder was killed, or recording has ended: the program may run on for days.
                        return;
                    }
                    let began = Clock::worked();
                    state.look();
                    if last || round % COUNTERS_EVERY == 0 {
                        state.tally.count_all();
                    }
                    if last {
                        return;
                    }
                    rest = INTERVAL.max(Clock::worked().saturating_sub(began) * SHARE);
                }
            })?;
        Ok(Self { stop, thread })
    }

    /// Looks once more and ends.
    pub fn finish(self) {
        let _ = self.stop.send(());
        let _ = self.thread.join();
    }
}

impl State {
    /// What was opened; refused, it is a gap from the beginning.
    fn opened<T>(&self, result: std::io::Result<T>) -> Option<T> {
        result
            .map_err(|error| {
                self.refused(
                    "the kernel's list of sockets (sock_diag) is refused",
                    &error,
                );
            })
            .ok()
    }

    fn refused(&self, what: &str, error: &std::io::Error) {
        self.sink
            .gap(self.clock.now(), Layer::Kernel, &format!("{what}: {error}"));
    }

    fn look(&mut self) {
        if !self.samples {
            return;
        }
        let watched = self.watched.lock().clone();
        let (mut diag, mut deaths) = (self.diag.take(), self.deaths.take());
        self.look_at(OWN, &watched, diag.as_mut(), deaths.as_mut());
        (self.diag, self.deaths) = (diag, deaths);
        let places = Arc::clone(&self.places);
        places.look(|network, place| {
            self.look_at(
                network,
                &watched,
                Some(&mut place.diag),
                place.deaths.as_mut(),
            )
        });
    }

    /// Looks at one namespace. True: a followed socket is there.
    fn look_at(
        &mut self,
        network: u32,
        watched: &HashMap<u64, Followed>,
        diag: Option<&mut DiagSocket>,
        deaths: Option<&mut DestroyMonitor>,
    ) -> bool {
        let occupied = watched.values().any(|followed| followed.network == network);
        if occupied && let Some(diag) = diag {
            for query in InetQuery::all() {
                // The moment of asking: by the time the answer is here, a call may have changed what it says.
                let asked_ns = self.clock.now();
                let found = match diag.inet(&query) {
                    Ok(found) => found,
                    // IPv6 and the module for UDP may be missing; that for TCP is where there are sockets at all.
                    Err(_) if query.inet6 || query.protocol != 6 => continue,
                    Err(error) => {
                        let reason =
                            format!("the kernel's list of sockets (sock_diag) failed: {error}");
                        self.sink.gap(asked_ns, Layer::Kernel, &reason);
                        continue;
                    }
                };
                for found in found {
                    let Some(followed) = watched.get(&found.cookie) else {
                        continue;
                    };
                    let drops = found.memory.as_ref().and_then(|memory| memory.drops);
                    let picture = (found.state, found.receive_queue, found.send_queue, drops);
                    if self.seen.insert(found.cookie, picture) != Some(picture) {
                        self.sink.send(&row(&found, followed.socket, asked_ns, 2));
                    }
                }
            }
        }
        if let Some(deaths) = deaths {
            let (watched, seen, sink, clock) =
                (&self.watched, &mut self.seen, &self.sink, self.clock);
            let lost = deaths.lost();
            let _ = deaths.poll(|found| {
                if let Some(followed) = watched.lock().remove(&found.cookie) {
                    seen.remove(&found.cookie);
                    sink.send(&row(&found, followed.socket, clock.now(), 3));
                }
            });
            if deaths.lost() != lost {
                self.sink.send(&Row::Mark(rows::Mark {
                    at_ns: self.clock.now(),
                    process: None,
                    tid: None,
                    kind: "lost".into(),
                    text: "the kernel dropped reports of dying sockets: final values are missing"
                        .into(),
                }));
            }
        }
        occupied
    }
}

fn row(found: &InetSocket, socket: u32, at_ns: i64, moment: u8) -> Row {
    Row::State(rows::State {
        socket,
        at_ns,
        moment,
        call: None,
        state: Some(found.state),
        receive_queue: Some(i64::from(found.receive_queue)),
        send_queue: Some(i64::from(found.send_queue)),
        drops: found
            .memory
            .as_ref()
            .and_then(|memory| memory.drops)
            .map(i64::from),
        // What a listener has in place of TCP_INFO is in the queues already.
        tcp_info: found
            .info
            .as_ref()
            .filter(|info| !info.is_listening())
            .map(|info| ByteBuf::from(info.bytes().to_vec())),
        timer: Some(found.timer),
        timer_ms: (found.timer != 0).then_some(found.timer_expires_ms),
        ..rows::State::default()
    })
}
