//! Busy threads stay on the tracer's core while their calls come quickly.
//!
//! Each stop wakes the tracer, and each resumption the thread. On another core, which sleeps meanwhile, that costs several
//! times what it costs on the same one, and the scheduler takes the idle core whenever it may. So a thread whose calls come
//! closer than [`QUICK_NS`] of its own time is confined to one core together with the tracer, and gets its own cores back
//! when it computes, sleeps, or ends. Children get their parent's own cores before they run.
//!
//! The program does not see it: before a call that asks for a thread's cores, or sets them, all have theirs again, and
//! nobody is confined until it has returned. What stands in `/proc/PID/status` meanwhile is the confined core.

use std::collections::HashMap;

use nix::sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;

use super::Tracer;

/// Own time between two followed calls below which a thread counts as busy with them.
const QUICK_NS: u64 = 50_000;
/// From here on it computes: another core serves it better than quick stops do.
const SLOW_NS: u64 = 150_000;
/// So many calls are looked at together.
const LOOK: u32 = 16;
/// They have to come within this time: for a thread that mostly sleeps there is little to gain.
const SPAN_NS: i64 = 50_000_000;
/// A thread that has run for so long without a call computes.
const COMPUTES_NS: i64 = 2_000_000;
/// One whose call has not returned for so long sleeps.
const SLEEPS_NS: i64 = 100_000_000;
/// After it was let go for computing, a thread has to be quick in so many looks, doubled each time, to be taken again.
const PATIENCE: u32 = 64;

/// What is known of one thread.
#[derive(Debug, Default)]
pub(super) struct Pace {
    calls: u32,
    /// When the first of them began.
    since_ns: i64,
    /// How long it had run by then, in all.
    ran_ns: Option<u64>,
    /// When it ran on from its latest call.
    resumed_ns: i64,
    /// Looks that it still has to be quick in before it is confined.
    wait: u32,
    /// What `wait` becomes when it computes.
    penalty: u32,
    /// Its present call asks for cores, or sets them.
    asks: bool,
}

/// The confined threads.
#[derive(Debug, Default)]
pub(super) struct Near {
    /// No thread is confined.
    spread: bool,
    /// The one core, while somebody is confined to it; the last one after that.
    core: Option<usize>,
    /// The tracer's own cores.
    own: Option<CpuSet>,
    /// The cores of each confined thread, as the program has them.
    threads: HashMap<i32, CpuSet>,
}

fn cores_of(tid: i32) -> Option<CpuSet> {
    sched_getaffinity(Pid::from_raw(tid)).ok()
}

fn only(core: usize) -> CpuSet {
    let mut set = CpuSet::new();
    let _ = set.set(core);
    set
}

/// How long a thread has run so far: the first number of its schedstat (Documentation/scheduler/sched-stats.rst).
fn ran_ns(pid: i32, tid: i32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{tid}/schedstat")).ok()?;
    text.split_ascii_whitespace().next()?.parse().ok()
}

impl Near {
    pub(super) fn new(spread: bool) -> Self {
        let own = cores_of(0);
        let several = own.is_some_and(|own| {
            (0..CpuSet::count())
                .filter(|core| own.is_set(*core).unwrap_or(false))
                .nth(1)
                .is_some()
        });
        Self {
            spread: spread || !several,
            own,
            ..Self::default()
        }
    }

    /// Somebody was confined at some time.
    pub(super) fn is_used(&self) -> bool {
        self.core.is_some()
    }

    pub(super) fn has(&self, tid: i32) -> bool {
        self.threads.contains_key(&tid)
    }

    /// Confines a thread, and the tracer with the first.
    fn take(&mut self, tid: i32) {
        let (Some(cores), Some(own)) = (cores_of(tid), self.own) else {
            return;
        };
        let core = match self.core {
            Some(core) if !self.threads.is_empty() => core,
            _ => match sched_getcpu() {
                Ok(core) => core,
                Err(_) => return,
            },
        };
        // Not against what the program, or who started us, chose; and not before a thread of real time, which would not let
        // us run.
        if !cores.is_set(core).unwrap_or(false)
            || !own.is_set(core).unwrap_or(false)
            || cores == only(core)
            || !wallsocket_sys::ptrace::is_time_sharing(tid)
            || sched_setaffinity(Pid::from_raw(tid), &only(core)).is_err()
        {
            return;
        }
        if self.threads.is_empty() {
            self.core = Some(core);
            let _ = sched_setaffinity(Pid::from_raw(0), &only(core));
        }
        self.threads.insert(tid, cores);
    }

    /// Gives a thread its own cores back.
    pub(super) fn release(&mut self, tid: i32) {
        if let (Some(cores), Some(core)) = (self.threads.remove(&tid), self.core) {
            // Others may have set them meanwhile: then those are its own.
            if cores_of(tid) == Some(only(core)) {
                let _ = sched_setaffinity(Pid::from_raw(tid), &cores);
            }
        }
        self.leave_core();
    }

    pub(super) fn release_all(&mut self) {
        let tids: Vec<i32> = self.threads.keys().copied().collect();
        for tid in tids {
            self.release(tid);
        }
    }

    /// A thread has ended.
    pub(super) fn gone(&mut self, tid: i32) {
        self.threads.remove(&tid);
        self.leave_core();
    }

    /// A thread goes on under another id.
    pub(super) fn renamed(&mut self, from: i32, to: i32) {
        let cores = self.threads.remove(&from);
        if from != to {
            self.threads.remove(&to);
        }
        if let Some(cores) = cores {
            self.threads.insert(to, cores);
        }
        self.leave_core();
    }

    /// A new thread, which has not run yet, has its parent's cores of the moment when it was made.
    pub(super) fn born(&mut self, parent: i32, child: i32) {
        let Some(core) = self.core else {
            return;
        };
        if cores_of(child) == Some(only(core))
            && let Some(cores) = self
                .threads
                .get(&parent)
                .copied()
                .or_else(|| cores_of(parent))
        {
            let _ = sched_setaffinity(Pid::from_raw(child), &cores);
        }
    }

    fn leave_core(&mut self) {
        if self.threads.is_empty()
            && let (Some(core), Some(own)) = (self.core, self.own)
            && cores_of(0) == Some(only(core))
        {
            let _ = sched_setaffinity(Pid::from_raw(0), &own);
        }
    }
}

impl Tracer {
    /// A followed call of a thread begins: does it come quickly?
    pub(super) fn pace(&mut self, tid: i32, at_ns: i64) {
        if self.near.spread || self.attached || !self.recording {
            return;
        }
        let confined = self.near.has(tid);
        if confined {
            self.control
                .near
                .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
        let Some(thread) = self.threads.get_mut(&tid) else {
            return;
        };
        let pace = &mut thread.pace;
        pace.calls += 1;
        if pace.calls < LOOK {
            return;
        }
        let Some(pid) = self.processes.get(&thread.process).map(|p| p.row.pid) else {
            return;
        };
        let now = ran_ns(pid, tid);
        let calls = u64::from(std::mem::take(&mut pace.calls));
        let before = std::mem::replace(&mut pace.ran_ns, now);
        let span = at_ns - std::mem::replace(&mut pace.since_ns, at_ns);
        let (Some(now), Some(before)) = (now, before) else {
            return;
        };
        let each_ns = now.saturating_sub(before) / calls;
        if confined {
            if each_ns > SLOW_NS {
                self.compute(tid);
            }
            return;
        }
        if each_ns > QUICK_NS || span > SPAN_NS {
            return;
        }
        if pace.wait > 0 {
            pace.wait -= 1;
            return;
        }
        if !self.threads.values().any(|thread| thread.pace.asks) {
            self.near.take(tid);
        }
    }

    /// A confined thread computes: it is let go, and not taken again soon.
    fn compute(&mut self, tid: i32) {
        self.near.release(tid);
        if let Some(thread) = self.threads.get_mut(&tid) {
            let pace = &mut thread.pace;
            pace.penalty = (pace.penalty * 2).clamp(PATIENCE, 64 * PATIENCE);
            pace.wait = pace.penalty / LOOK;
        }
    }

    /// A thread runs on after a followed call.
    pub(super) fn runs_on(&mut self, tid: i32, now_ns: i64) {
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.pace.resumed_ns = now_ns;
        }
    }

    /// Looks for confined threads that compute or sleep.
    pub(super) fn tidy_near(&mut self) {
        let now = self.now();
        let tids: Vec<i32> = self.near.threads.keys().copied().collect();
        for tid in tids {
            let Some(thread) = self.threads.get(&tid) else {
                self.near.gone(tid);
                continue;
            };
            if thread.in_call {
                if now - thread.entered_ns > SLEEPS_NS {
                    self.near.release(tid);
                }
            } else if now - thread.pace.resumed_ns > COMPUTES_NS {
                self.compute(tid);
            }
        }
    }

    /// A call that asks for cores, or sets them, begins: everybody has their own while it lasts.
    pub(super) fn asks_for_cores(&mut self, tid: i32) {
        self.near.release_all();
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.pace.asks = true;
        }
    }

    /// It has returned.
    pub(super) fn asked_for_cores(&mut self, tid: i32) {
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.pace.asks = false;
        }
    }
}
