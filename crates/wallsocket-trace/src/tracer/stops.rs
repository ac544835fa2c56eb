//! Stops: waiting for them, in turn, and letting threads run on.
//!
//! A wait reports the youngest thread first. So everything that is ready is asked for before anybody runs on, and each
//! thread is served once before any is served twice: a busy one cannot keep the others waiting.

use std::io;
use std::sync::atomic::Ordering;

use nix::poll::PollTimeout;
use wallsocket_sys::ptrace::{self, CallStop, Event};

use super::{AUDIT_ARCH_X86_64, Next, Stop, Tracer, guards, signal_name};
use crate::calls::Entry;
use crate::interrupted;

/// How long the loop sleeps at a time while there is nobody to follow.
const NOBODY_MS: u16 = 20;

impl Tracer {
    /// Waits until something has stopped or ended, and handles all that has. False: nobody is left.
    pub(super) fn serve(&mut self) -> io::Result<bool> {
        let mut poll = false;
        loop {
            match ptrace::wait(-1, poll) {
                Ok(Some((tid, event))) => {
                    let stop = self.reported(tid, event);
                    self.stops.push_back(stop);
                }
                Ok(None) => break,
                Err(error) if error.raw_os_error() == Some(libc::EINTR) => break,
                Err(error) if error.raw_os_error() == Some(libc::ECHILD) => {
                    if !self.stops.is_empty() {
                        break;
                    }
                    if !self.expects_more || !self.recording {
                        return Ok(false);
                    }
                    // Until the control thread interrupts it, or it has missed that.
                    let _ = nix::poll::poll(&mut [], PollTimeout::from(NOBODY_MS));
                    return Ok(true);
                }
                Err(error) => return Err(error),
            }
            if self.threads.len() < 2 {
                // Nobody else could be ready.
                break;
            }
            poll = true;
        }
        while let Some(stop) = self.stops.pop_front() {
            self.handle(stop);
        }
        Ok(true)
    }

    /// A change that a wait has reported, with what must be asked at once: a kill can end the stop at any time.
    pub(super) fn reported(&self, tid: i32, event: Event) -> Stop {
        let message = match event {
            Event::Event(
                libc::PTRACE_EVENT_FORK
                | libc::PTRACE_EVENT_VFORK
                | libc::PTRACE_EVENT_CLONE
                | libc::PTRACE_EVENT_EXEC
                | libc::PTRACE_EVENT_EXIT,
                _,
            ) => ptrace::event_message(tid).ok(),
            _ => None,
        };
        Stop {
            tid,
            event,
            at_ns: self.now(),
            message,
        }
    }

    /// Handles what a wait reported, and lets the thread run on.
    pub(super) fn handle(&mut self, stop: Stop) {
        let Stop { tid, event, .. } = stop;
        if self.leaving.is_some() {
            self.leave(tid, event);
            return;
        }
        let trap = matches!(event, Event::Event(libc::PTRACE_EVENT_STOP, libc::SIGTRAP));
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.fresh &= trap;
            thread.in_doubt &= trap;
        }
        if !matches!(
            event,
            Event::Event(libc::PTRACE_EVENT_SECCOMP, _) | Event::Syscall
        ) {
            self.take_records(stop.at_ns, None);
        }
        match event {
            Event::Exited(code) => self.ended(tid, Some(code), None),
            Event::Killed(signal) => self.ended(tid, None, Some(signal)),
            Event::Event(libc::PTRACE_EVENT_SECCOMP, _) | Event::Syscall => self.at_call(&stop),
            Event::Event(
                libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE,
                _,
            ) => {
                self.forked(&stop);
                self.go(tid, Next::Run, 0);
            }
            Event::Event(libc::PTRACE_EVENT_EXEC, _) => {
                self.executed(&stop);
                self.go(tid, Next::Run, 0);
            }
            Event::Event(libc::PTRACE_EVENT_EXIT, _) => {
                self.exiting(&stop);
                self.go(tid, Next::Run, 0);
            }
            Event::Event(libc::PTRACE_EVENT_STOP, signal) => {
                let Some(thread) = self.threads.get_mut(&tid) else {
                    // A child whose parent's event is still to come.
                    self.early.insert(tid);
                    return;
                };
                let thread_in_doubt = thread.fresh || thread.in_doubt;
                if matches!(
                    signal,
                    libc::SIGSTOP | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU
                ) {
                    thread.stopped = true;
                    self.group_stopped(tid, signal);
                    let _ = ptrace::listen(tid);
                } else {
                    if tid == self.main_pid && self.main_was_stopped() {
                        self.group_continued(tid);
                    }
                    self.put_back(tid);
                    if thread_in_doubt {
                        self.met(tid);
                        self.decide(tid);
                    } else {
                        self.mend(tid, None);
                    }
                    self.go(tid, Next::Run, 0);
                }
            }
            Event::Event(libc::PTRACE_EVENT_VFORK_DONE, _) => {
                self.memory_returned(tid);
                self.go(tid, Next::Run, 0);
            }
            Event::Event(..) => self.go(tid, Next::Run, 0),
            Event::Signal(signal) => {
                if let Some(recorded) = self.threads.get_mut(&tid).and_then(|t| t.recorded.as_mut())
                {
                    recorded.stopped_ns = Some(stop.at_ns);
                }
                if self.recording {
                    let process = self.threads.get(&tid).map(|thread| thread.process);
                    self.mark(process, Some(tid), "signal", signal_name(signal));
                }
                self.mend(tid, Some(signal));
                self.go(tid, Next::Run, signal);
            }
        }
    }

    /// A call that is not followed returned EINTR only because the program is traced, of a signal that it ignores or that
    /// only wakes tracers (kernel/signal.c: sig_ignored, ptrace_trap_notify): it begins again.
    fn mend(&mut self, tid: i32, signal: Option<i32>) {
        let now = self.now();
        let (Some(thread), Ok(registers)) = (self.threads.get_mut(&tid), ptrace::registers(tid))
        else {
            return;
        };
        let number = registers.orig_rax as i64;
        if interrupted::in_doubt(number, registers.rax as i64)
            && !thread.stopped
            && (thread.number == number || !interrupted::has_limit(&registers))
            && !signal.is_some_and(|signal| interrupted::is_noticed(tid, signal))
        {
            let _ = thread.resume_call(tid, now);
        }
    }

    /// A stop at the beginning or the end of a call: a filter's, or where every call stops.
    fn at_call(&mut self, stop: &Stop) {
        let began = self.now();
        let (tid, at_ns) = (stop.tid, stop.at_ns);
        self.control.stops.fetch_add(1, Ordering::Relaxed);
        let next = match ptrace::call_stop(tid) {
            Ok(CallStop::Entry {
                architecture,
                number,
                arguments,
                stack_pointer,
                filter,
            }) => {
                let seen = self.call_begins(tid, at_ns, number);
                if !seen {
                    self.pace(tid, at_ns);
                }
                let entry = Entry { number, arguments };
                let request =
                    number == i64::from(wallsocket_ring::REQUEST) && self.settings.preload;
                if !request {
                    self.take_records(at_ns, None);
                }
                let next = if seen {
                    Next::ToExit
                } else if request {
                    self.requested(tid, at_ns, &entry)
                } else if let Some(next) = self.guard(tid, architecture, &entry) {
                    next
                } else if architecture == AUDIT_ARCH_X86_64 {
                    self.at_entry(tid, at_ns, &entry, stack_pointer)
                } else {
                    // Numbers of another architecture mean other calls.
                    Next::Run
                };
                if guards::is_foreign(filter) {
                    Self::refuse_tracer(tid);
                }
                next
            }
            Ok(CallStop::Exit(result)) => {
                self.take_records(at_ns, None);
                self.put_back(tid);
                self.asked_for_cores(tid);
                self.guard_result(tid, result);
                self.call_returned(tid, result);
                self.at_exit(tid, at_ns, result);
                Next::Run
            }
            // Killed in the meantime: it runs to its end, or stops there already, and a wait will tell.
            Ok(CallStop::Elsewhere) | Err(_) => Next::Leave,
        };
        if next == Next::Again
            && let Some(thread) = self.threads.get_mut(&tid)
        {
            thread.in_call = false;
        }
        self.go(tid, next, 0);
        let ended = self.now();
        if next == Next::Run {
            self.runs_on(tid, ended);
        }
        self.control
            .busy_ns
            .fetch_add((ended - began).max(0) as u64, Ordering::Relaxed);
    }

    /// Notes that a call begins. True: this was seen already, and a filter stops it once more.
    pub(super) fn call_begins(&mut self, tid: i32, began: i64, number: i64) -> bool {
        let Some(thread) = self.threads.get_mut(&tid) else {
            return false;
        };
        if std::mem::replace(&mut thread.in_call, true) {
            return true;
        }
        thread.stopped = false;
        thread.entered_ns = began;
        thread.number = number;
        if !std::mem::take(&mut thread.resumed) {
            thread.shortened = None;
        }
        false
    }

    /// Notes that a call has returned. True: with EINTR, perhaps only because it is traced; one more stop will tell.
    pub(super) fn call_returned(&mut self, tid: i32, result: i64) -> bool {
        let Some(thread) = self.threads.get_mut(&tid) else {
            return false;
        };
        thread.in_call = false;
        thread.in_doubt = interrupted::in_doubt(thread.number, result);
        if let Some(shortened) = thread.shortened {
            let _ = interrupted::restore(tid, shortened);
            if !thread.in_doubt {
                thread.shortened = None;
            }
        }
        thread.in_doubt && ptrace::interrupt(tid).is_ok()
    }

    /// Lets a stopped thread run on.
    pub(super) fn go(&mut self, tid: i32, next: Next, signal: i32) {
        if next == Next::Leave {
            return;
        }
        let Some(thread) = self.threads.get_mut(&tid) else {
            let _ = ptrace::resume(tid, signal);
            return;
        };
        let every_call = thread.strict
            || self.recording
                && self
                    .processes
                    .get(&thread.process)
                    .is_some_and(|process| process.every_call);
        if next == Next::Run && !every_call {
            // The end of this call will not stop.
            thread.in_call = false;
        }
        // An error means that the thread was killed in the meantime; its end is reported next.
        let _ = if next == Next::ToExit || every_call {
            ptrace::resume_to_syscall(tid, signal)
        } else {
            ptrace::resume(tid, signal)
        };
    }
}
