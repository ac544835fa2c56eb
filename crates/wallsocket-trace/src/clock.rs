//! The one clock: CLOCK_MONOTONIC, counted from the start of the recording.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds since the start of the recording.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin_ns: i64,
}

fn nanoseconds(clock: ClockId) -> i64 {
    clock_gettime(clock).map_or(0, |time| time.tv_sec() * 1_000_000_000 + time.tv_nsec())
}

impl Clock {
    /// A clock whose zero is `origin_ns` of CLOCK_MONOTONIC.
    pub fn new(origin_ns: i64) -> Self {
        Self { origin_ns }
    }

    /// CLOCK_MONOTONIC now.
    pub fn monotonic_ns() -> i64 {
        nanoseconds(ClockId::CLOCK_MONOTONIC)
    }

    /// Processor time of this thread.
    pub fn worked() -> Duration {
        Duration::from_nanos(nanoseconds(ClockId::CLOCK_THREAD_CPUTIME_ID).cast_unsigned())
    }

    /// Time since the start.
    pub fn now(&self) -> i64 {
        self.at(Self::monotonic_ns())
    }

    /// A time of CLOCK_MONOTONIC, since the start.
    pub fn at(&self, monotonic_ns: i64) -> i64 {
        monotonic_ns.saturating_sub(self.origin_ns)
    }

    /// The time of CLOCK_MONOTONIC at a time since the start.
    pub fn monotonic_at(&self, at_ns: i64) -> i64 {
        at_ns.saturating_add(self.origin_ns)
    }

    /// What must be added to a CLOCK_REALTIME stamp to get time since the start, measured now.
    ///
    /// The two clocks are read as close together as can be: of several tries the shortest counts.
    pub fn from_realtime_offset(&self) -> i64 {
        let mut best = (i64::MAX, 0);
        for _ in 0..5 {
            let before = Self::monotonic_ns();
            let real = nanoseconds(ClockId::CLOCK_REALTIME);
            let after = Self::monotonic_ns();
            if after - before < best.0 {
                best = (after - before, before + (after - before) / 2 - real);
            }
        }
        best.1 - self.origin_ns
    }
}
