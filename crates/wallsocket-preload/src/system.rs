//! What the library needs of the kernel and of the C library that happens to be there.

use core::arch::{asm, global_asm};
use core::ffi::{CStr, c_char, c_int, c_void};

use wallsocket_ring::{GATE, REQUEST};

// arch/x86/entry/syscalls/syscall_64.tbl
pub(crate) const SYS_READ: usize = 0;
pub(crate) const SYS_WRITE: usize = 1;
pub(crate) const SYS_CLOSE: usize = 3;
pub(crate) const SYS_POLL: usize = 7;
pub(crate) const SYS_MMAP: usize = 9;
pub(crate) const SYS_MPROTECT: usize = 10;
pub(crate) const SYS_MUNMAP: usize = 11;
pub(crate) const SYS_IOCTL: usize = 16;
pub(crate) const SYS_READV: usize = 19;
pub(crate) const SYS_WRITEV: usize = 20;
pub(crate) const SYS_SELECT: usize = 23;
pub(crate) const SYS_MADVISE: usize = 28;
pub(crate) const SYS_GETPID: usize = 39;
pub(crate) const SYS_SENDFILE: usize = 40;
pub(crate) const SYS_SENDTO: usize = 44;
pub(crate) const SYS_RECVFROM: usize = 45;
pub(crate) const SYS_SENDMSG: usize = 46;
pub(crate) const SYS_RECVMSG: usize = 47;
pub(crate) const SYS_GETSOCKOPT: usize = 55;
pub(crate) const SYS_FTRUNCATE: usize = 77;
pub(crate) const SYS_SIGALTSTACK: usize = 131;
pub(crate) const SYS_EPOLL_WAIT: usize = 232;
pub(crate) const SYS_PSELECT6: usize = 270;
pub(crate) const SYS_PPOLL: usize = 271;
pub(crate) const SYS_EPOLL_PWAIT: usize = 281;
pub(crate) const SYS_RECVMMSG: usize = 299;
pub(crate) const SYS_SENDMMSG: usize = 307;
pub(crate) const SYS_PROCESS_VM_READV: usize = 310;
pub(crate) const SYS_MEMFD_CREATE: usize = 319;
pub(crate) const SYS_EPOLL_PWAIT2: usize = 441;

/// Six arguments of a system call.
pub(crate) type Arguments = [usize; 6];

/// Makes a system call through the gate: no filter of ours stops it. The gate must be in place.
#[inline(always)]
pub(crate) fn gate(number: usize, arguments: Arguments) -> isize {
    let result: isize;
    // SAFETY: the page at GATE holds `syscall; ret` from `start` on, and the callers have seen that it was made; the kernel changes
    // rax, rcx, r11 and the memory that the caller handed over, which is the program's own call.
    unsafe {
        asm!(
            "call r11",
            inlateout("rax") number => result,
            in("rdi") arguments[0],
            in("rsi") arguments[1],
            in("rdx") arguments[2],
            in("r10") arguments[3],
            in("r8") arguments[4],
            in("r9") arguments[5],
            inlateout("r11") GATE => _,
            lateout("rcx") _,
        );
    }
    result
}

/// Makes a system call from here: filters judge it as every other call of the program.
pub(crate) fn call(number: usize, arguments: Arguments) -> isize {
    let result: isize;
    // SAFETY: as `gate`, with the instruction itself.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") arguments[0],
            in("rsi") arguments[1],
            in("rdx") arguments[2],
            in("r10") arguments[3],
            in("r8") arguments[4],
            in("r9") arguments[5],
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result
}

/// Asks the tracer something; see [`wallsocket_ring::request`].
pub(crate) fn request(what: u64, first: usize, second: usize) -> isize {
    call(REQUEST as usize, [what as usize, first, second, 0, 0, 0])
}

/// Ends the program: there is a bug in this library.
pub(crate) fn trap() -> ! {
    // SAFETY: an instruction that the processor refuses.
    unsafe { asm!("ud2", options(noreturn)) }
}

/// What the library keeps for each thread; all of it is zero at first.
#[repr(C)]
pub(crate) struct Thread {
    /// Written by the tracer.
    pub(crate) shared: wallsocket_ring::Thread,
    /// A call is being recorded, or the thread is being introduced.
    pub(crate) busy: u64,
    /// The stack pointer of the call that is being recorded.
    pub(crate) stack_pointer: usize,
    /// Pages of the program that the kernel has read for us not long ago.
    pub(crate) readable: [usize; 4],
    /// Which of them is replaced next.
    pub(crate) oldest: usize,
}

// Thread-local storage of the initial-exec model, as the C libraries give it to what is loaded at the start: one addition,
// and no function that might allocate. `thread_local!` needs `std`.
global_asm!(
    ".section .tbss,\"awT\",@nobits",
    ".globl wallsocket_thread",
    ".hidden wallsocket_thread",
    ".type wallsocket_thread, @object",
    ".size wallsocket_thread, 128",
    ".balign 16",
    "wallsocket_thread:",
    ".zero 128",
    ".text",
);

const _: () = assert!(size_of::<Thread>() <= 128);

/// Of the calling thread.
#[inline(always)]
pub(crate) fn thread() -> *mut Thread {
    let address: *mut Thread;
    // SAFETY: the variable defined above, found as the psABI says ("ELF Handling For Thread-Local Storage", initial exec).
    unsafe {
        asm!(
            "mov {0}, qword ptr [rip + wallsocket_thread@GOTTPOFF]",
            "add {0}, qword ptr fs:[0]",
            out(reg) address,
            options(pure, nomem, nostack),
        );
    }
    address
}

/// The address of a function that the C library may lack; 0 then.
macro_rules! found {
    ($name:literal) => {{
        let address: usize;
        // SAFETY: reads a word that the dynamic linker has filled in; a weak symbol that nobody has is 0.
        unsafe {
            core::arch::asm!(
                concat!(".weak ", $name),
                concat!("mov {0}, qword ptr [rip + ", $name, "@GOTPCREL]"),
                out(reg) address,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        address
    }};
}

pub(crate) use found;

/// CLOCK_MONOTONIC in nanoseconds; `errno` stays.
#[inline(always)]
pub(crate) fn now_ns() -> i64 {
    const CLOCK_MONOTONIC: c_int = 1;
    let mut time = [0i64; 2];
    let address = found!("clock_gettime");
    if address != 0 {
        // SAFETY: the C library's function of this type; `time` has the layout of struct timespec. It cannot fail with this clock.
        unsafe {
            let clock_gettime: extern "C" fn(c_int, *mut [i64; 2]) -> c_int =
                core::mem::transmute(address);
            clock_gettime(CLOCK_MONOTONIC, &raw mut time);
        }
    }
    time[0].wrapping_mul(1_000_000_000).wrapping_add(time[1])
}

/// What a C function returns for the kernel's result; sets `errno` where that is an error.
#[inline(always)]
pub(crate) fn returned(result: isize) -> isize {
    if (-4095..0).contains(&result) {
        fail(-result as c_int);
        -1
    } else {
        result
    }
}

#[cold]
fn fail(error: c_int) {
    let address = found!("__errno_location");
    if address != 0 {
        // SAFETY: the C library's function of this type; it gives the calling thread's errno.
        unsafe {
            let location: extern "C" fn() -> *mut c_int = core::mem::transmute(address);
            *location() = error;
        }
    }
}

/// Ends the program as the C library does where it finds a buffer too small.
pub(crate) fn abort() -> isize {
    let address = found!("abort");
    if address == 0 {
        trap();
    }
    // SAFETY: the C library's function of this type.
    unsafe {
        let abort: extern "C" fn() -> ! = core::mem::transmute(address);
        abort()
    }
}

/// The next function of this name behind this library; 0 where there is none.
pub(crate) fn next_of(name: &CStr) -> usize {
    let dlsym = found!("dlsym");
    if dlsym == 0 {
        return 0;
    }
    // SAFETY: the C library's function of this type; RTLD_NEXT is -1 (dlfcn.h of glibc and musl).
    unsafe {
        let dlsym: extern "C" fn(isize, *const c_char) -> usize = core::mem::transmute(dlsym);
        dlsym(-1, name.as_ptr())
    }
}

/// Whether an address is in the C library; true where that cannot be told.
pub(crate) fn is_of_c_library(address: usize) -> bool {
    let (own, _) = object_of(found!("__errno_location"));
    let (object, name) = object_of(address);
    // Before glibc 2.34 those that can be cancelled stand in libpthread as well, which is found first.
    own == 0 || object == own || contains(name, b"/libpthread")
}

/// The start of the object that an address is in, and its file's name; zeroes: not known.
fn object_of(address: usize) -> (usize, *const c_char) {
    let dladdr = found!("dladdr");
    // Dl_info of dlfcn.h: file name, start, symbol's name, symbol's address.
    let mut info = [0usize; 4];
    if dladdr != 0 && address != 0 {
        // SAFETY: the C library's function of this type; it fills the structure.
        unsafe {
            let dladdr: extern "C" fn(usize, *mut [usize; 4]) -> c_int =
                core::mem::transmute(dladdr);
            dladdr(address, &raw mut info);
        }
    }
    (info[1], info[0] as *const c_char)
}

fn contains(text: *const c_char, part: &[u8]) -> bool {
    if text.is_null() {
        return false;
    }
    // SAFETY: the dynamic linker's name of an object ends with a zero byte.
    let text = unsafe { CStr::from_ptr(text) }.to_bytes();
    text.windows(part.len()).any(|window| window == part)
}

/// Lets another thread's pthread_cancel(3) end this one at once, as it may in a blocking call; returns what was before.
#[inline(always)]
pub(crate) fn cancellable() -> c_int {
    const ASYNCHRONOUS: c_int = 1;
    // glibc: a byte that is not zero as long as there is one thread (sys/single_threaded.h).
    let single = found!("__libc_single_threaded") as *const u8;
    // SAFETY: the C library's variable of this type.
    if !single.is_null() && unsafe { single.read_volatile() } != 0 {
        return -1;
    }
    set_cancel_type(ASYNCHRONOUS)
}

/// Undoes [`cancellable`].
#[inline(always)]
pub(crate) fn as_before(kind: c_int) {
    if kind >= 0 {
        set_cancel_type(kind);
    }
}

fn set_cancel_type(kind: c_int) -> c_int {
    let mut before: c_int = -1;
    let address = found!("pthread_setcanceltype");
    if address != 0 {
        // SAFETY: the C library's function of this type, with a pointer that is valid for the call.
        unsafe {
            let set: extern "C" fn(c_int, *mut c_int) -> c_int = core::mem::transmute(address);
            set(kind, &raw mut before);
        }
    }
    before
}

/// Copies bytes; the ranges do not overlap.
///
/// # Safety
/// Both must be valid for `length` bytes.
#[inline(always)]
pub(crate) unsafe fn copy(from: *const c_void, to: *mut c_void, length: usize) {
    // SAFETY: as promised by the caller.
    unsafe { core::ptr::copy_nonoverlapping(from.cast::<u8>(), to.cast::<u8>(), length) };
}
