//! Job control: the recorder stops and continues together with the first process, as the shell expects.

use std::sync::atomic::Ordering;

use nix::unistd::Pid;

use super::{Tracer, signal_name};

impl Tracer {
    pub(super) fn main_was_stopped(&self) -> bool {
        self.control.main_pid.load(Ordering::Relaxed) < 0
    }

    pub(super) fn group_stopped(&mut self, tid: i32, signal: i32) {
        let process = self.threads.get(&tid).map(|thread| thread.process);
        if self.recording && self.by_pid.contains_key(&tid) {
            self.mark(process, Some(tid), "stopped", signal_name(signal));
        }
        if tid == self.main_pid && !self.attached && self.recording && !self.main_was_stopped() {
            self.control.main_pid.store(-tid, Ordering::Relaxed);
            // The shell waits for the recorder: it must see it stop, as it would see the program stop.
            let _ = nix::sys::signal::kill(
                Pid::from_raw(self.recorder_pid),
                nix::sys::signal::Signal::SIGSTOP,
            );
        }
    }

    pub(super) fn group_continued(&mut self, tid: i32) {
        self.control.main_pid.store(tid, Ordering::Relaxed);
        let process = self.threads.get(&tid).map(|thread| thread.process);
        if self.recording {
            self.mark(process, Some(tid), "continued", "SIGCONT");
            let _ = nix::sys::signal::kill(
                Pid::from_raw(self.recorder_pid),
                nix::sys::signal::Signal::SIGCONT,
            );
        }
    }
}
