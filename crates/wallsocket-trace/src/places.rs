//! Other network namespaces in which followed sockets live: they are looked at, and their frames captured, as at home.
//!
//! A socket of ours keeps its namespace alive, so one is held only as long as a followed socket does the same.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wallsocket_kernel::diag::{DestroyMonitor, DiagSocket};

use crate::capture::{Capture, Capturing};
use crate::clock::Clock;
use crate::networks::{Networks, OWN};
use crate::rows::{self, Row};
use crate::sink::Sink;

/// Looks that find no followed socket before a namespace is let go.
const EMPTY_LOOKS: u32 = 4;
/// Why frames of a namespace are not captured that was entered all the same.
const UNCAPTURED: &str = "its network namespace allows no packet socket (CAP_NET_RAW)";

/// A namespace that was entered.
pub struct Place {
    /// Lists its sockets.
    pub diag: DiagSocket,
    /// Hears of those that die.
    pub deaths: Option<DestroyMonitor>,
    capture: Option<Capture>,
    empty: u32,
}

#[derive(Default)]
struct State {
    open: HashMap<u32, Place>,
    /// Those that are open, lent or not.
    known: HashSet<u32>,
    /// Those that could not be entered.
    refused: HashSet<u32>,
    /// Those of which it was said whether frames are captured there.
    told: HashSet<u32>,
}

/// All of them.
pub struct Places {
    sink: Sink,
    clock: Clock,
    networks: Networks,
    /// `None`: no frames.
    capturing: Option<Arc<Capturing>>,
    state: Mutex<State>,
}

impl Places {
    /// None yet. `capturing` says how frames are kept; without it none are.
    pub fn new(
        sink: Sink,
        clock: Clock,
        networks: Networks,
        capturing: Option<Arc<Capturing>>,
    ) -> Self {
        Self {
            sink,
            clock,
            networks,
            capturing,
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to look at a namespace, if it is another one than ours; `tid`: a thread in it.
    pub fn open(&self, network: u32, tid: i32) {
        let mut state = self.lock();
        if network == OWN || state.known.contains(&network) || state.refused.contains(&network) {
            return;
        }
        match self.networks.enter(network, tid).and_then(|entered| {
            let diag = DiagSocket::from_socket(entered.diag).map_err(|error| error.to_string())?;
            let deaths = DestroyMonitor::from_socket(entered.deaths).ok();
            let capture = self.capturing.as_ref().map(|capturing| {
                let socket = entered.packet.ok_or_else(|| UNCAPTURED.to_owned())?;
                let on = capturing.on(network, socket);
                on.map_err(|error| error.to_string())
            });
            if let Some(capture) = &capture
                && state.told.insert(network)
            {
                self.tell(network, capture.as_ref().err());
            }
            let capture = capture.and_then(Result::ok);
            Ok(Place {
                diag,
                deaths,
                capture,
                empty: 0,
            })
        }) {
            Ok(place) => {
                state.known.insert(network);
                state.open.insert(network, place);
            }
            Err(reason) => {
                state.refused.insert(network);
                if self.capturing.is_some() {
                    self.tell(
                        network,
                        Some(&format!(
                            "its network namespace cannot be entered: {reason}"
                        )),
                    );
                }
                self.sink.send(&Row::Mark(rows::Mark {
                    at_ns: self.clock.now(),
                    process: None,
                    tid: Some(tid),
                    kind: "blind".into(),
                    text: format!(
                        "another network namespace (number {network}) cannot be entered ({reason}): states between \
                         calls and packets of its sockets are not seen"
                    ),
                }));
            }
        }
    }

    /// Says whether frames of a namespace are captured, or why not.
    fn tell(&self, network: u32, refusal: Option<&String>) {
        self.sink.send(&Row::Fact(rows::Fact {
            at_ns: self.clock.now(),
            kind: "wire".into(),
            value: serde_json::json!(refusal.map_or("yes", String::as_str)).to_string(),
            occasion: Some("start".into()),
            network: Some(network),
            ..rows::Fact::default()
        }));
    }

    /// Looks at each. `look` says whether a followed socket is there.
    pub fn look(&self, mut look: impl FnMut(u32, &mut Place) -> bool) {
        // Not under the lock: the program would wait for it at its next socket.
        let mut places = std::mem::take(&mut self.lock().open);
        places.retain(|network, place| {
            place.empty = if look(*network, place) {
                0
            } else {
                place.empty + 1
            };
            let keep = place.empty < EMPTY_LOOKS;
            if !keep {
                self.lock().known.remove(network);
                if let Some(capture) = place.capture.take() {
                    capture.finish();
                }
            }
            keep
        });
        self.lock().open.extend(places);
    }

    /// Ends all captures.
    pub fn finish(&self) {
        let places = std::mem::take(&mut self.lock().open);
        for place in places.into_values() {
            if let Some(capture) = place.capture {
                capture.finish();
            }
        }
    }
}
