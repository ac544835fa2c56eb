//! Counters of network namespaces: all of one when it is met, then those that changed.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use wallsocket_kernel::counters::{self, Counters};

use crate::clock::Clock;
use crate::networks::{Networks, OWN};
use crate::rows::{self, Row};
use crate::sink::Sink;

/// What was last read of each namespace.
pub struct Tally {
    sink: Sink,
    clock: Clock,
    networks: Networks,
    known: Mutex<HashMap<u32, Counters>>,
}

impl Tally {
    /// Nothing was read yet.
    pub fn new(sink: Sink, clock: Clock, networks: Networks) -> Self {
        Self {
            sink,
            clock,
            networks,
            known: Mutex::default(),
        }
    }

    /// Reads the namespace of this process.
    pub fn count_own(&self) {
        // Of the thread: its namespace is the program's.
        self.read(OWN, "/proc/thread-self/net");
    }

    /// Reads another namespace through a thread that is in it; nothing when it is there no more.
    pub fn count(&self, network: u32, tid: i32) -> bool {
        let there = network == OWN || self.networks.of_thread(tid) == Some(network);
        if there {
            self.read(network, &format!("/proc/{tid}/net"));
        }
        there
    }

    /// Reads a namespace that was not read before: what happens from now on is a difference.
    pub fn begin(&self, network: u32, tid: i32) {
        if !self.known().contains_key(&network) {
            self.count(network, tid);
        }
    }

    /// Reads all namespaces that are known.
    pub fn count_all(&self) {
        self.count_own();
        for (network, threads) in self.networks.others() {
            let _ = threads.into_iter().any(|tid| self.count(network, tid));
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<u32, Counters>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, network: u32, folder: &str) {
        let mut now = Counters::new();
        for file in ["snmp", "netstat", "snmp6"] {
            if let Ok(text) = std::fs::read_to_string(format!("{folder}/{file}")) {
                counters::parse(&text, &mut now);
            }
        }
        if now.is_empty() {
            return;
        }
        let mut known = self.known();
        let before = known.entry(network).or_default();
        let at_ns = self.clock.now();
        for (name, value) in &now {
            if before.get(name) != Some(value) {
                self.sink.send(&Row::Counter(rows::Counter {
                    at_ns,
                    name: name.clone(),
                    value: *value,
                    network: Some(network),
                }));
            }
        }
        *before = now;
    }
}
