//! The functions of the C library that this library takes the place of.
//!
//! Each makes one system call. Those that the C library makes itself (in `getaddrinfo`, `fread`…) do not come by here; the
//! tracer sees them.

use core::arch::naked_asm;
use core::ffi::{CStr, c_int, c_void};

use crate::recording::{Shape, make};
use crate::start;
use crate::system::{
    self, Arguments, SYS_CLOSE, SYS_EPOLL_PWAIT, SYS_EPOLL_PWAIT2, SYS_EPOLL_WAIT, SYS_POLL,
    SYS_PPOLL, SYS_PSELECT6, SYS_READ, SYS_READV, SYS_RECVFROM, SYS_RECVMMSG, SYS_RECVMSG,
    SYS_SELECT, SYS_SENDFILE, SYS_SENDMMSG, SYS_SENDMSG, SYS_SENDTO, SYS_WRITE, SYS_WRITEV,
};

/// A function, what is behind it, and the call that it makes.
#[derive(Clone, Copy)]
pub(crate) struct Function {
    /// Its place in [`NAMES`].
    pub(crate) index: usize,
    /// Its system call.
    pub(crate) number: usize,
    /// What of the call is recorded.
    pub(crate) shape: Shape,
    /// Its value is an `int`.
    int: bool,
}

impl Function {
    /// Calls the function behind ours with the program's own arguments. Without one the call is made from here.
    #[cold]
    pub(crate) fn next(self, given: Arguments, call: Arguments) -> isize {
        let address = start::next(self.index);
        if address == 0 {
            return system::returned(system::call(self.number, call));
        }
        // SAFETY: the function that the dynamic linker knows by this name takes at most six arguments, all in registers (psABI);
        // more than it takes do no harm.
        let result = unsafe {
            let next: extern "C" fn(usize, usize, usize, usize, usize, usize) -> isize =
                core::mem::transmute(address);
            let [first, second, third, fourth, fifth, sixth] = given;
            next(first, second, third, fourth, fifth, sixth)
        };
        // The upper half of the register means nothing then.
        if self.int {
            result as c_int as isize
        } else {
            result
        }
    }
}

/// The body of a function: calls what it does with the return address as one more argument, on the stack (psABI). The frame is
/// described, because threads that are cancelled are unwound through it.
macro_rules! way_in {
    // The seventh argument stands behind the return address already.
    ($made:path; $a:ident, $b:ident, $c:ident, $d:ident, $e:ident, $f:ident, $g:ident) => {
        naked_asm!(
            ".cfi_startproc",
            "sub rsp, 8",
            "push qword ptr [rsp + 16]",
            "push qword ptr [rsp + 16]",
            ".cfi_def_cfa_offset 32",
            "call {made}",
            "add rsp, 24",
            ".cfi_def_cfa_offset 8",
            "ret",
            ".cfi_endproc",
            made = sym $made,
        )
    };
    ($made:path; $($argument:ident),*) => {
        naked_asm!(
            ".cfi_startproc",
            "push qword ptr [rsp]",
            ".cfi_def_cfa_offset 16",
            "call {made}",
            "add rsp, 8",
            ".cfi_def_cfa_offset 8",
            "ret",
            ".cfi_endproc",
            made = sym $made,
        )
    };
}

/// Defines functions: name, arguments with their types, type of the value, then the system call, its shape and its arguments.
macro_rules! functions {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $value:ty = $number:ident, $shape:expr, [$($given:expr),*];)*) => {
        #[allow(non_camel_case_types)]
        #[derive(Clone, Copy)]
        enum Index { $($name),* }

        /// Their names.
        pub(crate) static NAMES: [&CStr; COUNT] = [$(
            // SAFETY: it ends with the only zero byte: names of functions have none.
            unsafe { CStr::from_bytes_with_nul_unchecked(concat!(stringify!($name), "\0").as_bytes()) }
        ),*];

        /// How many there are.
        pub(crate) const COUNT: usize = [$(Index::$name),*].len();

        $(
            #[doc = concat!("As the C library's `", stringify!($name), "`.")]
            ///
            /// # Safety
            /// As of the C library's function.
            #[unsafe(no_mangle)]
            #[unsafe(naked)]
            pub unsafe extern "C" fn $name($($argument: $kind),*) -> $value {
                way_in!(made::$name; $($argument),*)
            }
        )*

        /// What they do, given also where they return to.
        mod made {
            use super::*;

            $(
                #[allow(clippy::many_single_char_names)]
                pub(super) extern "C" fn $name(
                    first: usize,
                    second: usize,
                    third: usize,
                    fourth: usize,
                    fifth: usize,
                    sixth: usize,
                    caller: usize,
                    seventh: usize,
                ) -> $value {
                    let [$($argument,)* ..] = [first, second, third, fourth, fifth, sixth, seventh];
                    $(let $argument = $argument as $kind;)*
                    let given = padded([$($argument as usize),*]);
                    let call = padded([$($given as usize),*]);
                    let function = Function {
                        index: Index::$name as usize,
                        number: $number,
                        shape: $shape,
                        int: size_of::<$value>() == size_of::<c_int>(),
                    };
                    make(function, given, call, caller) as $value
                }
            )*
        }
    };
}

#[inline(always)]
fn padded<const N: usize>(some: [usize; N]) -> Arguments {
    let mut all = [0; 6];
    let mut index = 0;
    while index < N && index < 6 {
        all[index] = some[index];
        index += 1;
    }
    all
}

type Pointer = *mut c_void;

/// Size of the kernel's `sigset_t`, which calls with a signal mask want to be told.
const SIGNAL_SET: usize = 8;

functions! {
    read(fd: c_int, buffer: Pointer, length: usize) -> isize = SYS_READ, Shape::Read, [fd, buffer, length];
    __read(fd: c_int, buffer: Pointer, length: usize) -> isize = SYS_READ, Shape::Read, [fd, buffer, length];
    write(fd: c_int, buffer: Pointer, length: usize) -> isize = SYS_WRITE, Shape::Write, [fd, buffer, length];
    __write(fd: c_int, buffer: Pointer, length: usize) -> isize = SYS_WRITE, Shape::Write, [fd, buffer, length];
    readv(fd: c_int, vector: Pointer, count: c_int) -> isize = SYS_READV, Shape::ReadVector, [fd, vector, count];
    writev(fd: c_int, vector: Pointer, count: c_int) -> isize = SYS_WRITEV, Shape::WriteVector, [fd, vector, count];
    close(fd: c_int) -> c_int = SYS_CLOSE, Shape::Close, [fd];
    __close(fd: c_int) -> c_int = SYS_CLOSE, Shape::Close, [fd];
    send(fd: c_int, buffer: Pointer, length: usize, flags: c_int) -> isize
        = SYS_SENDTO, Shape::Send, [fd, buffer, length, flags, 0, 0];
    __send(fd: c_int, buffer: Pointer, length: usize, flags: c_int) -> isize
        = SYS_SENDTO, Shape::Send, [fd, buffer, length, flags, 0, 0];
    sendto(fd: c_int, buffer: Pointer, length: usize, flags: c_int, address: Pointer, size: u32) -> isize
        = SYS_SENDTO, Shape::Send, [fd, buffer, length, flags, address, size];
    recv(fd: c_int, buffer: Pointer, length: usize, flags: c_int) -> isize
        = SYS_RECVFROM, Shape::Receive, [fd, buffer, length, flags, 0, 0];
    __recv(fd: c_int, buffer: Pointer, length: usize, flags: c_int) -> isize
        = SYS_RECVFROM, Shape::Receive, [fd, buffer, length, flags, 0, 0];
    recvfrom(fd: c_int, buffer: Pointer, length: usize, flags: c_int, address: Pointer, size: Pointer) -> isize
        = SYS_RECVFROM, Shape::Receive, [fd, buffer, length, flags, address, size];
    sendmsg(fd: c_int, message: Pointer, flags: c_int) -> isize = SYS_SENDMSG, Shape::SendMessage, [fd, message, flags];
    __sendmsg(fd: c_int, message: Pointer, flags: c_int) -> isize = SYS_SENDMSG, Shape::SendMessage, [fd, message, flags];
    recvmsg(fd: c_int, message: Pointer, flags: c_int) -> isize = SYS_RECVMSG, Shape::ReceiveMessage, [fd, message, flags];
    sendmmsg(fd: c_int, messages: Pointer, count: u32, flags: c_int) -> c_int
        = SYS_SENDMMSG, Shape::SendMessages, [fd, messages, count, flags];
    __sendmmsg(fd: c_int, messages: Pointer, count: u32, flags: c_int) -> c_int
        = SYS_SENDMMSG, Shape::SendMessages, [fd, messages, count, flags];
    recvmmsg(fd: c_int, messages: Pointer, count: u32, flags: c_int, timeout: Pointer) -> c_int
        = SYS_RECVMMSG, Shape::ReceiveMessages, [fd, messages, count, flags, timeout];
    sendfile(to: c_int, from: c_int, offset: Pointer, count: usize) -> isize
        = SYS_SENDFILE, Shape::SendFile, [to, from, offset, count];
    sendfile64(to: c_int, from: c_int, offset: Pointer, count: usize) -> isize
        = SYS_SENDFILE, Shape::SendFile, [to, from, offset, count];
    poll(entries: Pointer, count: usize, timeout_ms: c_int) -> c_int = SYS_POLL, Shape::Poll, [entries, count, timeout_ms];
    __poll(entries: Pointer, count: usize, timeout_ms: c_int) -> c_int = SYS_POLL, Shape::Poll, [entries, count, timeout_ms];
    ppoll(entries: Pointer, count: usize, timeout: Pointer, signals: Pointer) -> c_int
        = SYS_PPOLL, Shape::PollTimespec, [entries, count, timeout, signals, SIGNAL_SET];
    select(count: c_int, read: Pointer, write: Pointer, other: Pointer, timeout: Pointer) -> c_int
        = SYS_SELECT, Shape::Select, [count, read, write, other, timeout];
    __select(count: c_int, read: Pointer, write: Pointer, other: Pointer, timeout: Pointer) -> c_int
        = SYS_SELECT, Shape::Select, [count, read, write, other, timeout];
    pselect(count: c_int, read: Pointer, write: Pointer, other: Pointer, timeout: Pointer, signals: Pointer) -> c_int
        = SYS_PSELECT6, Shape::SelectTimespec, [count, read, write, other, timeout, signals];
    epoll_wait(set: c_int, events: Pointer, count: c_int, timeout_ms: c_int) -> c_int
        = SYS_EPOLL_WAIT, Shape::Epoll, [set, events, count, timeout_ms];
    epoll_pwait(set: c_int, events: Pointer, count: c_int, timeout_ms: c_int, signals: Pointer) -> c_int
        = SYS_EPOLL_PWAIT, Shape::Epoll, [set, events, count, timeout_ms, signals, SIGNAL_SET];
    epoll_pwait2(set: c_int, events: Pointer, count: c_int, timeout: Pointer, signals: Pointer) -> c_int
        = SYS_EPOLL_PWAIT2, Shape::EpollTimespec, [set, events, count, timeout, signals, SIGNAL_SET];
    __read_chk(fd: c_int, buffer: Pointer, length: usize, size: usize) -> isize
        = SYS_READ, Shape::ReadChecked, [fd, buffer, length, size];
    __recv_chk(fd: c_int, buffer: Pointer, length: usize, size: usize, flags: c_int) -> isize
        = SYS_RECVFROM, Shape::ReceiveChecked, [fd, buffer, length, flags, 0, 0];
    __recvfrom_chk(fd: c_int, buffer: Pointer, length: usize, size: usize, flags: c_int, address: Pointer, count: Pointer) -> isize
        = SYS_RECVFROM, Shape::ReceiveChecked, [fd, buffer, length, flags, address, count];
    __poll_chk(entries: Pointer, count: usize, timeout_ms: c_int, size: usize) -> c_int
        = SYS_POLL, Shape::PollChecked, [entries, count, timeout_ms];
    __ppoll_chk(entries: Pointer, count: usize, timeout: Pointer, signals: Pointer, size: usize) -> c_int
        = SYS_PPOLL, Shape::PollChecked, [entries, count, timeout, signals, SIGNAL_SET];
}
