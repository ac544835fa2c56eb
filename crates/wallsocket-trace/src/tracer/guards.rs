//! Calls that concern tracing itself: a program's own seccomp filters, strict mode, and children that no tracer sees.
//!
//! They do what they would do without us. That holds when nothing is recorded any more, too.

use nix::unistd::Pid;
use wallsocket_sys::ptrace::{self, Registers, set_arguments};

use super::{AUDIT_ARCH_X86_64, Altered, Next, Tracer};
use crate::calls::Entry;
use crate::filter;
use crate::memory::Memory;

// linux/seccomp.h
const SECCOMP_MODE_STRICT: u64 = 1;
const SECCOMP_MODE_FILTER: u64 = 2;
const SECCOMP_SET_MODE_STRICT: u64 = 0;
const SECCOMP_SET_MODE_FILTER: u64 = 1;
/// What strict mode allows (kernel/seccomp.c: mode1_syscalls), also by the numbers of 32-bit programs.
const STRICT: [i64; 4] = [
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_exit,
    libc::SYS_rt_sigreturn,
];
/// See [`STRICT`].
const STRICT_32_BIT: [i64; 4] = [3, 4, 1, 119];
const UNTRACED: u64 = libc::CLONE_UNTRACED as u64;
/// `struct clone_args` of the first version of clone3 (linux/sched.h).
const CLONE_ARGUMENTS: u64 = 64;

impl Tracer {
    /// Looks at the beginning of a call before anything else does. `None`: it is none of these calls.
    pub(super) fn guard(&mut self, tid: i32, architecture: u32, entry: &Entry) -> Option<Next> {
        let thread = self.threads.get_mut(&tid)?;
        let own = architecture == AUDIT_ARCH_X86_64;
        if thread.strict {
            let allowed = if own { STRICT } else { STRICT_32_BIT };
            if allowed.contains(&entry.number) {
                return None;
            }
            return Some(self.end_strict(tid));
        }
        if !own {
            return None;
        }
        let [first, second, third, ..] = entry.arguments;
        let (install, strict) = match entry.number {
            libc::SYS_seccomp => (
                first == SECCOMP_SET_MODE_FILTER,
                (first, second as u32, third) == (SECCOMP_SET_MODE_STRICT, 0, 0),
            ),
            libc::SYS_prctl if first as i32 == libc::PR_SET_SECCOMP => {
                (second == SECCOMP_MODE_FILTER, second == SECCOMP_MODE_STRICT)
            }
            libc::SYS_clone if first & UNTRACED != 0 => {
                return Some(self.keep_child(tid, |registers| {
                    let altered = Altered {
                        arguments: Some(entry.arguments),
                        memory: None,
                    };
                    registers.rdi &= !UNTRACED;
                    Some(altered)
                }));
            }
            libc::SYS_clone3 => {
                let flags = Pid::from_raw(tid).long(first)?;
                if flags & UNTRACED == 0 || second < CLONE_ARGUMENTS {
                    return None;
                }
                return Some(self.keep_child(tid, |_| {
                    ptrace::poke(tid, first, flags & !UNTRACED).ok()?;
                    Some(Altered {
                        arguments: None,
                        memory: Some((first, flags)),
                    })
                }));
            }
            libc::SYS_sched_getaffinity | libc::SYS_sched_setaffinity if self.near.is_used() => {
                self.asks_for_cores(tid);
                return Some(Next::ToExit);
            }
            _ => return None,
        };
        if install {
            thread.installs_filter = true;
            return Some(Next::ToExit);
        }
        let process = thread.process;
        let filtered = self.filtered_before
            || self
                .processes
                .get(&process)
                .is_none_or(|process| process.own_filters);
        // With a filter of its own, it is refused without us as well. Without one of ours (we attached to it) the kernel has
        // its way, and still has when we are gone.
        if strict && !filtered && !self.attached && skip(tid, 0) {
            if let Some(thread) = self.threads.get_mut(&tid) {
                thread.strict = true;
            }
            if let Some(process) = self.processes.get_mut(&process) {
                process.refuses_filters = true;
            }
            self.leave_alone(process, "it is in seccomp's strict mode");
            return Some(Next::ToExit);
        }
        None
    }

    /// The end of a call that installs a filter.
    pub(super) fn guard_result(&mut self, tid: i32, result: i64) {
        let Some(thread) = self.threads.get_mut(&tid) else {
            return;
        };
        // Otherwise with a thread id, when threads have different filters: then nothing was installed, and we are careful.
        let id = thread.process;
        if std::mem::take(&mut thread.installs_filter)
            && result >= 0
            && let Some(process) = self.processes.get_mut(&id)
        {
            process.own_filters = true;
            process.refuses_filters = true;
            // It would judge the library's own calls, too.
            self.leave_alone(id, "it has a filter of its own");
        }
    }

    /// A filter of the program asked for a tracer. It has none, as far as it knows: the call fails with ENOSYS (seccomp(2)).
    pub(super) fn refuse_tracer(tid: i32) {
        skip(tid, -i64::from(libc::ENOSYS));
    }

    /// Whether a filter of the program has ended this call with SIGSYS: there is no result, and a handler may make one up.
    pub(super) fn trapped(&self, tid: i32, result: i64) -> bool {
        self.threads.get(&tid).is_some_and(|thread| {
            result == thread.number
                && self
                    .processes
                    .get(&thread.process)
                    .is_some_and(|process| process.own_filters)
        }) && crate::interrupted::is_pending(tid, libc::SIGSYS)
    }

    /// A thread in strict mode made another call: its thread ends as if by SIGKILL.
    fn end_strict(&mut self, tid: i32) -> Next {
        let process = self
            .threads
            .get(&tid)
            .and_then(|thread| self.processes.get(&thread.process));
        if let Some(process) = process
            && process.threads.len() < 2
        {
            let pid = Pid::from_raw(process.row.pid);
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::SIGKILL);
            return Next::Leave;
        }
        // Only this thread, not the process.
        let _ = change(tid, |registers| {
            registers.orig_rax = libc::SYS_exit as u64;
            registers.rdi = 0;
        });
        Next::Run
    }

    /// Has a child made as if it were to be traced: our filter is in it, and without a tracer its calls would fail.
    fn keep_child(
        &mut self,
        tid: i32,
        alter: impl FnOnce(&mut Registers) -> Option<Altered>,
    ) -> Next {
        let mut altered = None;
        if change(tid, |registers| altered = alter(registers)).is_err() {
            return Next::Leave;
        }
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.altered = altered;
        }
        Next::ToExit
    }

    /// Gives a stopped thread back what was changed for a call.
    pub(super) fn put_back(&mut self, tid: i32) -> Option<Altered> {
        let altered = self.threads.get_mut(&tid)?.altered.take()?;
        if let Some(arguments) = altered.arguments {
            let _ = change(tid, |registers| set_arguments(registers, arguments));
        }
        if let Some((address, word)) = altered.memory {
            let _ = ptrace::poke(tid, address, word);
        }
        Some(altered)
    }
}

/// Changes the registers of a stopped thread. An error: it was killed.
pub(super) fn change(tid: i32, change: impl FnOnce(&mut Registers)) -> std::io::Result<()> {
    let mut registers = ptrace::registers(tid)?;
    change(&mut registers);
    ptrace::set_registers(tid, &registers)
}

/// At the beginning of a call: has it return `result` without being made.
pub(super) fn skip(tid: i32, result: i64) -> bool {
    change(tid, |registers| {
        registers.orig_rax = u64::MAX;
        registers.rax = result as u64;
    })
    .is_ok()
}

/// Whether this process has a filter: what it starts has it, too.
pub(super) fn has_filter() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|text| {
        text.lines()
            .any(|line| line.starts_with("Seccomp:") && !line.ends_with('0'))
    })
}

/// Whether the program asked for the tracer, or one of our filters did.
pub(super) fn is_foreign(answer: Option<u16>) -> bool {
    answer.is_some_and(|data| data != filter::OURS)
}
