//! Threads that are cancelled in a call of ours: their stacks are unwound through the gate, which is in no object's tables.

use core::ffi::{c_char, c_int, c_void};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use wallsocket_ring::{GATE, GATE_CODE};

use crate::system::{self, found};

/// What is behind ours.
static NEXT: AtomicUsize = AtomicUsize::new(0);
static TOLD: AtomicBool = AtomicBool::new(false);

/// Call frame information of the gate (DWARF 5, section 6.4; LSB, "Exception Frames"): its frame is the return address alone.
#[repr(C, align(8))]
struct Frames {
    // The common part: length, mark, version, "zR", alignments, return register 16, absolute pointers; then
    // CFA = rsp + 8, return address at CFA - 8.
    common: [u8; 24],
    length: u32,
    to_common: u32,
    begin: u64,
    size: u64,
    rest: [u8; 4],
    end: u32,
}

static FRAMES: Frames = Frames {
    common: [
        20, 0, 0, 0, 0, 0, 0, 0, 1, b'z', b'R', 0, 1, 0x78, 16, 1, 0, 0x0C, 7, 8, 0x90, 1, 0, 0,
    ],
    length: 24,
    to_common: 28,
    begin: GATE,
    size: GATE_CODE.len() as u64,
    rest: [0; 4],
    end: 0,
};

/// Finds the function behind ours.
pub(crate) fn start() {
    NEXT.store(system::next_of(c"pthread_cancel"), Ordering::Relaxed);
}

/// As the C library's `pthread_cancel`; before the first one the unwinder is told of the gate.
///
/// # Safety
/// As of the C library's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_cancel(thread: usize) -> c_int {
    const ENOSYS: c_int = 38;
    if !TOLD.swap(true, Ordering::AcqRel) {
        tell();
    }
    let next = NEXT.load(Ordering::Relaxed);
    if next == 0 {
        return ENOSYS;
    }
    // SAFETY: the function that the dynamic linker knows by this name, with the caller's argument.
    unsafe {
        let next: extern "C" fn(usize) -> c_int = core::mem::transmute(next);
        next(thread)
    }
}

/// Tells the unwinder that the C library is about to load itself.
fn tell() {
    const RTLD_NOW: c_int = 2;
    let (dlopen, dlsym) = (found!("dlopen"), found!("dlsym"));
    if dlopen == 0 || dlsym == 0 {
        return;
    }
    // SAFETY: the C library's functions of these types, and the unwinder's of libgcc (unwind-dw2-fde.h), which keeps the pointer
    // to what is there for ever.
    unsafe {
        let dlopen: extern "C" fn(*const c_char, c_int) -> *mut c_void =
            core::mem::transmute(dlopen);
        let dlsym: extern "C" fn(*mut c_void, *const c_char) -> usize = core::mem::transmute(dlsym);
        let library = dlopen(c"libgcc_s.so.1".as_ptr(), RTLD_NOW);
        if library.is_null() {
            return;
        }
        let register = dlsym(library, c"__register_frame".as_ptr());
        if register != 0 {
            let register: extern "C" fn(*const Frames) = core::mem::transmute(register);
            register(&raw const FRAMES);
        }
    }
}
