//! The seam where a policy may change what the calls on sockets are given and what they give back.
//!
//! Without a policy it costs nothing. With one, calls that are not followed, and what is recorded of a call's arguments,
//! stay as the program made them; results are recorded as the program gets them.

use wallsocket_sys::ptrace::set_arguments;

use super::guards;
use super::{Altered, Tracer};
use crate::rows;

/// Changes followed calls of a program.
pub trait Policy: std::fmt::Debug {
    /// A call begins. `arguments` are what the kernel will see; the program has its own again when the call returns.
    /// `Some(result)`: the call is not made and returns this, a negative error number for an error.
    ///
    /// A call that a signal interrupts begins again with the same arguments, without being asked about twice.
    fn begins(&mut self, call: &rows::Call, arguments: &mut [u64; 6]) -> Option<i64>;

    /// A call ends with `result`, which may be changed. What the kernel has done stays done.
    fn ends(&mut self, call: &rows::Call, result: &mut i64);
}

impl Tracer {
    /// Lets the policy change a call that begins.
    pub(super) fn alter_call(&mut self, tid: i32) {
        let (Some(policy), Some(thread)) = (&mut self.policy, self.threads.get_mut(&tid)) else {
            return;
        };
        let Some(pending) = &mut thread.pending else {
            return;
        };
        let given = pending.entry.arguments;
        let mut arguments = given;
        if let Some(result) = policy.begins(&pending.call, &mut arguments) {
            guards::skip(tid, result);
        } else if arguments != given {
            pending.changed = Some(arguments);
            self.alter_again(tid);
        }
    }

    /// A call that was interrupted begins again: with the same changes.
    pub(super) fn alter_again(&mut self, tid: i32) {
        let Some(thread) = self.threads.get_mut(&tid) else {
            return;
        };
        if let Some(pending) = &thread.pending
            && let Some(arguments) = pending.changed
            && guards::change(tid, |registers| set_arguments(registers, arguments)).is_ok()
        {
            thread.altered = Some(Altered {
                arguments: Some(pending.entry.arguments),
                memory: None,
            });
        }
    }

    /// Lets the policy change a result, and gives what the program gets.
    pub(super) fn alter_result(&mut self, tid: i32, call: &rows::Call, result: i64) -> i64 {
        let Some(policy) = &mut self.policy else {
            return result;
        };
        let mut changed = result;
        policy.ends(call, &mut changed);
        if changed == result
            || guards::change(tid, |registers| registers.rax = changed as u64).is_err()
        {
            return result;
        }
        changed
    }
}
