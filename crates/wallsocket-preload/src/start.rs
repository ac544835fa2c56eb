//! What happens when the library is loaded: the gate is made, and the functions behind ours are found.

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use wallsocket_ring::{CONTROL, GATE, GATE_CODE, SIGNATURE, SIGNATURE_AT};

use crate::functions::{COUNT, NAMES};
use crate::system::{self, SYS_MADVISE, SYS_MMAP, SYS_MPROTECT, SYS_MUNMAP};
use crate::unwinding;

/// The gate is in place.
static READY: AtomicBool = AtomicBool::new(false);
/// The functions behind ours; 0: none was found.
static NEXT: [AtomicUsize; COUNT] = [const { AtomicUsize::new(0) }; COUNT];
/// Ours at whose call something else than the C library comes next: such a call is never taken over.
static ALIEN: [AtomicBool; COUNT] = [const { AtomicBool::new(false) }; COUNT];

const PAGE: usize = 4096;
const PROT_READ: usize = 1;
const PROT_WRITE: usize = 2;
const PROT_EXEC: usize = 4;
const MAP_PRIVATE: usize = 0x02;
const MAP_ANONYMOUS: usize = 0x20;
const MAP_FIXED_NOREPLACE: usize = 0x10_0000;
const MADV_WIPEONFORK: usize = 18;

/// Whether calls of function `index` may be taken over.
#[inline(always)]
pub(crate) fn may_take(index: usize) -> bool {
    READY.load(Ordering::Acquire)
        && ALIEN
            .get(index)
            .is_some_and(|alien| !alien.load(Ordering::Relaxed))
}

/// The function behind ours; 0: none was found.
pub(crate) fn next(index: usize) -> usize {
    NEXT.get(index)
        .map_or(0, |next| next.load(Ordering::Relaxed))
}

#[used]
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn() = start;

extern "C" fn start() {
    for ((name, next), alien) in NAMES.iter().zip(&NEXT).zip(&ALIEN) {
        let address = system::next_of(name);
        next.store(address, Ordering::Relaxed);
        alien.store(
            address != 0 && !system::is_of_c_library(address),
            Ordering::Relaxed,
        );
    }
    unwinding::start();
    if make_gate().is_some() {
        READY.store(true, Ordering::Release);
    }
}

/// Two pages: the gate, and the words that the tracer writes.
fn make_gate() -> Option<()> {
    let gate = GATE as usize;
    let wanted = [
        gate,
        2 * PAGE,
        PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
        usize::MAX,
        0,
    ];
    let address = system::call(SYS_MMAP, wanted);
    if address != gate as isize {
        if address > 0 {
            system::call(SYS_MUNMAP, [address as usize, 2 * PAGE, 0, 0, 0, 0]);
        }
        return None;
    }
    // SAFETY: the pages that were just made, which nobody else knows.
    unsafe {
        let page = gate as *mut u8;
        page.copy_from_nonoverlapping(GATE_CODE.as_ptr(), GATE_CODE.len());
        page.add(SIGNATURE_AT as usize)
            .copy_from_nonoverlapping(SIGNATURE.as_ptr(), SIGNATURE.len());
    }
    let protect = [gate, PAGE, PROT_READ | PROT_EXEC, 0, 0, 0];
    let wipe = [CONTROL as usize, PAGE, MADV_WIPEONFORK, 0, 0, 0];
    if system::call(SYS_MADVISE, wipe) != 0 || system::call(SYS_MPROTECT, protect) != 0 {
        // A policy forbids memory that was written and is executed: the tracer sees every call then.
        system::call(SYS_MUNMAP, [gate, 2 * PAGE, 0, 0, 0, 0]);
        return None;
    }
    Some(())
}
