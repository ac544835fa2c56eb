//! The preloaded library: records calls on sockets from inside the program, so that most of them need not stop for the tracer.
//!
//! It takes the place of the C library's functions that move bytes or wait. Of a call that concerns a socket it writes a
//! [record](wallsocket_ring) into memory that it shares with the tracer. What it does not take over, for whatever reason,
//! goes on to the next function of that name and stops for the tracer as it does without this library: so nothing depends on
//! its being there, and nothing is recorded twice.
//!
//! Rules for everything here:
//! - It may run in a signal handler, in a child between vfork and exec, before the C library is set up, and on any stack: no
//!   allocation, no lock, nothing of `std`, no function of the C library but those of [`system`].
//! - `errno` is changed only as the call itself would.
//! - Memory of the program is read only after the kernel has read or written it, or has said that it can be.
//! - No panic: lengths are clamped, and there is no slice indexing.
//!
//! It is built without `std` and linked with nothing (`scripts/build_backend.py`). In the workspace's own builds, which unwind, it
//! is an ordinary library that nobody loads.
#![cfg_attr(panic = "abort", no_std)]
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod functions;
mod looking;
mod python;
mod recording;
mod start;
mod system;
mod unwinding;

#[cfg(panic = "abort")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    system::trap()
}
