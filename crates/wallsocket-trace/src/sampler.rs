//! Looking at all sockets of the namespace now and then, from a thread of its own: states between calls, and final values at death.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The sockets that are followed, by cookie.
#[derive(Debug, Default)]
pub struct Watched {
    sockets: Mutex<HashMap<u64, u32>>,
}

impl Watched {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, u32>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows the socket with this cookie.
    pub fn add(&self, cookie: u64, socket: u32) {
        self.lock().insert(cookie, socket);
    }

    /// Whether nothing is followed.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }
}
