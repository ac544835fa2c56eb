//! Which filters a process has, and when it gets further ones.

use std::rc::Rc;

use wallsocket_sys::ptrace;

use super::{Next, Tracer};
use crate::calls::Entry;
use crate::syscalls::{self, Subject};
use crate::{filter, inject};

impl Tracer {
    /// Makes sure that the filters for sockets are in place. `None`: they are; else what becomes of the thread.
    pub(super) fn follow(&mut self, tid: i32, entry: &Entry) -> Option<Next> {
        let thread = self.threads.get(&tid)?;
        let (id, table) = (thread.process, Rc::clone(&thread.table));
        let process = self.processes.get_mut(&id)?;
        if entry.number == libc::SYS_io_uring_setup {
            return None;
        }
        let sockets = !process.follows_sockets
            && (process.every_call || syscalls::subject(entry.number as u64) == Some(Subject::New));
        let streams_are_sockets = || table.borrow().sockets.range(0..3).next().is_some();
        let streams_will_be = matches!(entry.number, libc::SYS_dup2 | libc::SYS_dup3)
            && entry.arguments[1] < 3
            && table
                .borrow()
                .sockets
                .contains_key(&(entry.arguments[0] as i32));
        let streams = !process.follows_streams && (streams_will_be || streams_are_sockets());
        if !sockets && !streams {
            return None;
        }
        if process.refuses_filters {
            if !process.every_call {
                self.stop_at_every_call(tid, id, "it has one of its own, which would judge ours");
            }
            return None;
        }
        let mut wanted = Vec::new();
        if sockets {
            wanted.push(filter::later(
                self.settings.deny_io_uring,
                self.settings.preload,
            ));
        }
        if streams {
            wanted.push(filter::streams(self.settings.preload));
        }
        let outcome = inject::install(tid, &wanted);
        process.follows_sockets |= sockets;
        process.follows_streams |= streams;
        match outcome {
            Ok(()) => {
                process.every_call = false;
                Some(Next::Again)
            }
            Err(inject::Failed::Ended(event)) => {
                if let Some(event) = event {
                    let stop = self.reported(tid, event);
                    self.stops.push_front(stop);
                }
                Some(Next::Leave)
            }
            Err(inject::Failed::Refused(reason)) => {
                process.refuses_filters = true;
                self.stop_at_every_call(tid, id, &reason);
                Some(Next::Again)
            }
        }
    }

    /// A process that can have no further filter: each call of each of its threads stops from now on.
    fn stop_at_every_call(&mut self, tid: i32, id: u32, reason: &str) {
        let Some(process) = self.processes.get_mut(&id) else {
            return;
        };
        process.every_call = true;
        self.leave_alone(id, "every call of it stops");
        let Some(process) = self.processes.get_mut(&id) else {
            return;
        };
        for other in process.threads.iter().filter(|other| **other != tid) {
            if let Some(thread) = self.threads.get_mut(other) {
                thread.fresh |= ptrace::interrupt(*other).is_ok();
            }
        }
        self.mark(
            Some(id),
            Some(tid),
            "blind",
            format!("the program can have no further filter ({reason}): every call of it stops, which is slow"),
        );
    }

    /// Inherited sockets need the later filters before the program's first call; they are installed at this exec stop.
    pub(super) fn follow_sockets_soon(&mut self, process: u32) {
        // At an exec stop the thread is inside execve, where nothing can be injected: the next call's entry is the place.
        if let Some(process) = self.processes.get_mut(&process) {
            process.every_call = true;
        }
    }
}
