//! A call that was taken over: through the gate, and into the ring when it concerns a socket.

use core::ffi::c_void;
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering, compiler_fence};

use wallsocket_ring::{
    CONTROL, GENERATION, Head, MODE, PieceHead, answer, look, mode, request, ring, stage, table,
};

use crate::functions::Function;
use crate::looking;
use crate::python;
use crate::start;
use crate::system::{
    self, Arguments, SYS_CLOSE, SYS_FTRUNCATE, SYS_GETPID, SYS_MADVISE, SYS_MEMFD_CREATE, SYS_MMAP,
    SYS_MUNMAP, SYS_POLL, SYS_PROCESS_VM_READV, SYS_PSELECT6, SYS_SIGALTSTACK, Thread,
};

/// What the memory behind a call's arguments looks like, and which of its arguments is a descriptor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Read,
    /// As `Read`, of a buffer whose size the compiler knew.
    ReadChecked,
    Write,
    ReadVector,
    WriteVector,
    Close,
    Send,
    Receive,
    /// As `Receive`, of a buffer whose size the compiler knew.
    ReceiveChecked,
    SendMessage,
    ReceiveMessage,
    SendMessages,
    ReceiveMessages,
    SendFile,
    Poll,
    /// As `Poll` or `PollTimespec`, of an array whose size the compiler knew.
    PollChecked,
    PollTimespec,
    Select,
    SelectTimespec,
    Epoll,
    EpollTimespec,
}

const EAGAIN: isize = 11;
const PAGE: usize = 4096;
/// The highest address of a program, and one page less (arch/x86/include/asm/page_64_types.h).
const HIGHEST: usize = 0x7FFF_FFFF_E000;
const TIMESPEC: usize = 16;
const POLL_ENTRY: usize = 8;
/// Entries of a poll set or event list that are kept, as the tracer keeps them.
const ENTRIES: usize = 512;
/// Descriptors of a select that are looked at.
const SELECTABLE: usize = 1024;
/// struct epoll_event, packed (epoll_ctl(2)).
const EPOLL_EVENT: usize = 12;
/// struct iovec.
const SEGMENT: usize = 16;
/// Segments of a vector, and messages of one call, that are kept; calls with more are left to the tracer.
const SEGMENTS: usize = 64;
/// struct msghdr, and struct mmsghdr.
const MESSAGE: usize = 56;
const MESSAGES: usize = 64;
/// struct sockaddr_storage.
const ADDRESS: usize = 128;
/// The longest of the common addresses, struct sockaddr_in6.
const INET_ADDRESS: usize = 28;
/// Bytes of a message that begins like HTTP, whose heads the tracer looks for.
const HEADS: usize = 16 << 10;
/// Bytes at the end of what was read, which may be a part of a character.
const TAIL: usize = 3;
/// How far apart two addresses on one stack can be.
const STACK: usize = 8 << 20;

/// Makes a call. `given` are the arguments of the function, `arguments` those of the system call; it returns to `caller`.
#[inline(never)]
pub(crate) fn make(
    function: Function,
    given: Arguments,
    arguments: Arguments,
    caller: usize,
) -> isize {
    if is_too_small(function, given) {
        return match start::next(function.index) {
            0 => system::abort(),
            _ => function.next(given, arguments),
        };
    }
    if !start::may_take(function.index) {
        return function.next(given, arguments);
    }
    match control(MODE) {
        mode::RECORDING => {}
        mode::THROUGH => return through(function, arguments),
        _ => return function.next(given, arguments),
    }
    let generation = control(GENERATION);
    // SAFETY: the calling thread's own variable; a signal handler that runs in between leaves it as it was, or sees `busy`.
    let thread = unsafe { &mut *system::thread() };
    if thread.shared.generation != generation {
        join(thread, generation);
    }
    if thread.shared.ring == 0 {
        return function.next(given, arguments);
    }
    let descriptor = arguments[0];
    let kind = kind_of(thread, descriptor);
    let recorded = match function.shape {
        Shape::Read
        | Shape::ReadChecked
        | Shape::Write
        | Shape::ReadVector
        | Shape::WriteVector
        | Shape::SendFile => match kind {
            Some(kind) if is_ours(kind) => true,
            Some(kind) if kind & (table::SOCKET | table::CLOSED) == 0 => false,
            _ => return function.next(given, arguments),
        },
        Shape::Close => match kind {
            Some(0 | table::CLOSED) => false,
            _ => return function.next(given, arguments),
        },
        Shape::Send
        | Shape::Receive
        | Shape::ReceiveChecked
        | Shape::SendMessage
        | Shape::ReceiveMessage
        | Shape::SendMessages
        | Shape::ReceiveMessages => match kind {
            Some(kind) if is_ours(kind) => true,
            _ => return function.next(given, arguments),
        },
        Shape::Epoll | Shape::EpollTimespec => match kind {
            Some(kind) => kind & table::EPOLL != 0,
            None => return function.next(given, arguments),
        },
        Shape::Poll | Shape::PollChecked | Shape::PollTimespec => {
            match polls_a_socket(thread, arguments[0], arguments[1]) {
                Some(recorded) => recorded,
                None => return function.next(given, arguments),
            }
        }
        Shape::Select | Shape::SelectTimespec => match selects_a_socket(thread, arguments) {
            Some(recorded) => recorded,
            None => return function.next(given, arguments),
        },
    };
    if !recorded {
        return through(function, arguments);
    }
    if !is_simple(thread, function.shape, arguments) || (thread.busy != 0 && !unwound(thread)) {
        return function.next(given, arguments);
    }
    match record(
        thread,
        generation,
        function,
        arguments,
        kind.unwrap_or_default(),
        caller,
    ) {
        Some(result) => system::returned(result),
        // The ring is full: the tracer takes what is in it when this call stops for it.
        None => function.next(given, arguments),
    }
}

/// Whether it is a socket, and not the tracer's.
#[inline(always)]
const fn is_ours(kind: u8) -> bool {
    kind & (table::SOCKET | table::WATCHED) == table::SOCKET
}

/// Whether the C library would end the program because of a buffer that is too small.
fn is_too_small(function: Function, given: Arguments) -> bool {
    match function.shape {
        Shape::ReadChecked | Shape::ReceiveChecked => given[2] > given[3],
        Shape::PollChecked => {
            let size = if function.number == SYS_POLL {
                given[3]
            } else {
                given[4]
            };
            given[1]
                .checked_mul(POLL_ENTRY)
                .is_none_or(|needed| needed > size)
        }
        _ => false,
    }
}

/// A word that the tracer writes.
#[inline(always)]
fn control(offset: u64) -> u64 {
    // SAFETY: the control page stands from `start` on, which the callers have seen; aligned, and changed by the tracer alone.
    unsafe { &*((CONTROL + offset) as *const AtomicU64) }.load(Ordering::Acquire)
}

/// Makes a call that is not recorded.
#[inline(always)]
fn through(function: Function, arguments: Arguments) -> isize {
    system::returned(perform(function, arguments))
}

/// The call itself, as the C library makes it.
#[inline(always)]
fn perform(function: Function, mut arguments: Arguments) -> isize {
    // The kernel would write the time that is left behind the pointer: the C library gives it a copy.
    let mut limit: [usize; 2];
    let mut signals = [0usize, 8];
    let timed = match function.shape {
        Shape::PollTimespec => Some(2),
        Shape::PollChecked if function.number != SYS_POLL => Some(2),
        Shape::SelectTimespec => Some(4),
        _ => None,
    };
    if let Some(index) = timed
        && let Some(given) = arguments.get_mut(index)
        && *given != 0
    {
        // SAFETY: the caller's struct timespec, which the C library reads as well.
        limit = unsafe { (*given as *const [usize; 2]).read_unaligned() };
        *given = &raw mut limit as usize;
    }
    if function.number == SYS_PSELECT6 {
        signals[0] = arguments[5];
        arguments[5] = &raw mut signals as usize;
    }
    let before = match function.shape {
        Shape::SendFile => -1,
        _ => system::cancellable(),
    };
    let result = system::gate(function.number, arguments);
    system::as_before(before);
    result
}

/// What a descriptor is, as the tracer knows it; `None` for numbers that the table has not.
#[inline(always)]
fn kind_of(thread: &Thread, descriptor: usize) -> Option<u8> {
    // As the kernel reads it; a negative one is too large then.
    let descriptor = descriptor as u32 as usize;
    (descriptor < table::NUMBERS).then(|| {
        let address = thread.shared.table as usize + descriptor;
        // SAFETY: within the table, which the tracer has set and which is never unmapped.
        unsafe { &*(address as *const AtomicU8) }.load(Ordering::Acquire)
    })
}

/// Whether a poll concerns a socket; `None`: it is left to the tracer.
fn polls_a_socket(thread: &mut Thread, entries: usize, count: usize) -> Option<bool> {
    if count == 0 {
        return Some(false);
    }
    if count > ENTRIES || !is_readable(thread, entries, count * POLL_ENTRY) {
        return None;
    }
    let mut any = false;
    for index in 0..count {
        // SAFETY: the kernel has read this memory.
        let fd = unsafe { ((entries + index * POLL_ENTRY) as *const i32).read_unaligned() };
        if fd >= 0 {
            any |= kind_of(thread, fd as usize)? & table::SOCKET != 0;
        }
    }
    Some(any)
}

/// Bytes of a select's sets.
fn set_size(count: usize) -> usize {
    count.div_ceil(64) * 8
}

/// Whether a select concerns a socket; `None`: it is left to the tracer.
fn selects_a_socket(thread: &mut Thread, arguments: Arguments) -> Option<bool> {
    let count = arguments[0];
    if count > SELECTABLE {
        return None;
    }
    if arguments[4] != 0 && !is_readable(thread, arguments[4], TIMESPEC) {
        return None;
    }
    let mut any = false;
    for set in [arguments[1], arguments[2], arguments[3]] {
        if set == 0 || count == 0 {
            continue;
        }
        if !is_readable(thread, set, set_size(count)) {
            return None;
        }
        for index in 0..count.div_ceil(64) {
            // SAFETY: the kernel has read this memory.
            let mut bits = unsafe { ((set + index * 8) as *const u64).read_unaligned() };
            while bits != 0 {
                let fd = index * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                any |= fd < count && kind_of(thread, fd)? & table::SOCKET != 0;
            }
        }
    }
    Some(any)
}

/// Whether all that a call is about fits a record: without control messages, which may bring descriptors, and not too large.
fn is_simple(thread: &mut Thread, shape: Shape, arguments: Arguments) -> bool {
    match shape {
        Shape::ReadVector | Shape::WriteVector => arguments[2] <= SEGMENTS,
        Shape::SendMessage | Shape::ReceiveMessage => {
            is_readable(thread, arguments[1], MESSAGE) && {
                // SAFETY: the kernel has read this memory. struct msghdr: name, its length, vector, count, control, …
                let header = unsafe { (arguments[1] as *const [usize; 7]).read_unaligned() };
                header[4] == 0 && header[3] <= SEGMENTS
            }
        }
        Shape::SendMessages | Shape::ReceiveMessages => (1..=MESSAGES).contains(&arguments[2]),
        _ => true,
    }
}

/// Whether the program may read its own memory there: a wrong pointer must come back as EFAULT, and not end the program here.
pub(crate) fn is_readable(thread: &mut Thread, address: usize, length: usize) -> bool {
    let Some(last) = address.checked_add(length.max(1) - 1) else {
        return false;
    };
    if last >= HIGHEST {
        return false;
    }
    let mut page = address / PAGE;
    while page <= last / PAGE {
        if page == 0 || !(thread.readable.contains(&page) || probe(thread, page)) {
            return false;
        }
        page += 1;
    }
    true
}

/// Has the kernel read a byte of a page.
#[cold]
fn probe(thread: &mut Thread, page: usize) -> bool {
    let pid = system::gate(SYS_GETPID, [0; 6]) as usize;
    let mut byte = 0u8;
    let local = [&raw mut byte as usize, 1];
    let remote = [page * PAGE, 1];
    let arguments = [
        pid,
        &raw const local as usize,
        1,
        &raw const remote as usize,
        1,
        0,
    ];
    if system::gate(SYS_PROCESS_VM_READV, arguments) != 1 {
        return false;
    }
    let index = thread.oldest % thread.readable.len();
    if let Some(place) = thread.readable.get_mut(index) {
        *place = page;
    }
    thread.oldest = index + 1;
    true
}

/// Introduces the thread to the tracer, which gives it a ring or says that it has none.
#[cold]
fn join(thread: &mut Thread, generation: u64) {
    // A signal handler that runs meanwhile makes its calls without us.
    thread.shared = wallsocket_ring::Thread {
        generation,
        ring: 0,
        table: 0,
    };
    thread.busy = 1;
    for _ in 0..4 {
        compiler_fence(Ordering::SeqCst);
        let address = &raw mut thread.shared as usize;
        let given = match system::request(request::JOIN, address, 0) as i64 {
            answer::TABLE => give(request::GIVE_TABLE, table::SIZE),
            answer::RING => give(request::GIVE_RING, ring::SIZE),
            _ => false,
        };
        if !given {
            break;
        }
    }
    compiler_fence(Ordering::SeqCst);
    thread.busy = 0;
    thread.readable = [0; 4];
}

/// Makes memory that the tracer shares; its descriptor is closed again at once.
fn give(what: u64, size: usize) -> bool {
    const CLOEXEC_AND_SEALS: usize = 1 | 2;
    const READ_WRITE: usize = 1 | 2;
    const SHARED: usize = 1;
    const DONTFORK: usize = 10;
    const DONTDUMP: usize = 16;
    let name = c"wallsocket".as_ptr() as usize;
    let fd = system::gate(SYS_MEMFD_CREATE, [name, CLOEXEC_AND_SEALS, 0, 0, 0, 0]);
    if fd < 0 {
        return false;
    }
    let fd = fd as usize;
    let mut taken = false;
    if system::gate(SYS_FTRUNCATE, [fd, size, 0, 0, 0, 0]) == 0 {
        let address = system::gate(SYS_MMAP, [0, size, READ_WRITE, SHARED, fd, 0]);
        if address > 0 {
            let address = address as usize;
            for advice in [DONTFORK, DONTDUMP] {
                system::gate(SYS_MADVISE, [address, size, advice, 0, 0, 0]);
            }
            taken = system::request(what, fd, address) == 0;
            if !taken {
                system::gate(SYS_MUNMAP, [address, size, 0, 0, 0, 0]);
            }
        }
    }
    system::gate(SYS_CLOSE, [fd, 0, 0, 0, 0, 0]);
    taken
}

/// Whether the call that this thread seems to be in was left by a jump out of a signal handler; it is given up then.
#[cold]
fn unwound(thread: &mut Thread) -> bool {
    const SS_ONSTACK: usize = 1;
    let marker = 0usize;
    let stack_pointer = &raw const marker as usize;
    // stack_t: start, flags and padding, size (sigaltstack(2)). On a stack of its own a handler may be anywhere.
    let mut stack = [0usize; 3];
    let asked = system::gate(SYS_SIGALTSTACK, [0, &raw mut stack as usize, 0, 0, 0, 0]);
    if asked != 0
        || stack[1] & SS_ONSTACK != 0
        || stack_pointer <= thread.stack_pointer
        || stack_pointer - thread.stack_pointer > STACK
    {
        return false;
    }
    system::request(request::UNWOUND, 0, 0);
    thread.busy = 0;
    true
}

/// Makes a call and writes its record. `None`: there is no room for it, and it was not made.
#[inline(always)]
fn record(
    thread: &mut Thread,
    generation: u64,
    function: Function,
    arguments: Arguments,
    kind: u8,
    caller: usize,
) -> Option<isize> {
    let base = thread.shared.ring as usize;
    // SAFETY: both words are in the ring, which the tracer has set for this thread and which is unmapped by nobody.
    let (progress, taken) = unsafe {
        (
            &*((base + ring::PROGRESS) as *const AtomicU64),
            &*((base + ring::TAKEN) as *const AtomicU64),
        )
    };
    let head = progress.load(Ordering::Relaxed) & !stage::MASK;
    let waiting = head.wrapping_sub(taken.load(Ordering::Acquire));
    if waiting > ring::CAPACITY - ring::RECORD {
        return None;
    }
    let mut writer = Writer {
        start: base + ring::RECORDS + (head % ring::CAPACITY) as usize,
        size: Head::SIZE,
    };
    let now_ns = system::now_ns();
    if python::is_wanted(thread) {
        let stack = python::stack(thread)?;
        writer.stack(&stack);
    }
    let marker = 0usize;
    thread.busy = 1;
    thread.stack_pointer = &raw const marker as usize;
    compiler_fence(Ordering::SeqCst);
    progress.store(head | stage::ENTERING, Ordering::Release);
    at_entry(&mut writer, function, arguments);
    if kind & table::DATAGRAM != 0
        && looking::may_cut(function.shape)
        && looking::is_due(thread, function.shape, arguments[0], now_ns)
    {
        looking::note(&mut writer, look::BEFORE, arguments[0], kind);
    }
    let place = writer.start as *mut Head;
    let mut record = Head {
        size: writer.size as u32,
        entry_size: writer.size as u32,
        number: function.number as u32,
        flags: 0,
        entry_ns: now_ns,
        exit_ns: 0,
        result: 0,
        arguments: arguments.map(|argument| argument as u64),
        stack_pointer: thread.stack_pointer as u64,
        caller: caller as u64,
    };
    // SAFETY: a record's room at a multiple of 8 in the ring; the tracer does not look before `progress` says so.
    unsafe { place.write(record) };
    progress.store(head | stage::IN_CALL, Ordering::Release);

    let result = perform(function, arguments);

    record.exit_ns = system::now_ns();
    if control(GENERATION) != generation {
        // A signal handler has forked, and this is the child: the ring is its parent's.
        thread.busy = 0;
        return Some(result);
    }
    record.result = result as i64;
    if (-4095..0).contains(&result) && result != -EAGAIN {
        // Which of its pointers the kernel has read is not known: the tracer reads what it can, and looks at the socket.
        record.flags = Head::LOOK;
    } else {
        // SAFETY: the word that the tracer has set.
        let limit =
            unsafe { &*((thread.shared.table as usize + table::PAYLOAD) as *const AtomicU64) };
        at_exit(
            &mut writer,
            function,
            arguments,
            result,
            limit.load(Ordering::Relaxed) as usize,
        );
        if looking::is_due(thread, function.shape, arguments[0], record.exit_ns) {
            // Who dies meanwhile has made the call all the same.
            // SAFETY: as above.
            unsafe { place.write(record) };
            compiler_fence(Ordering::SeqCst);
            looking::note(&mut writer, look::AFTER, arguments[0], kind);
        }
    }
    record.size = writer.size as u32;
    // SAFETY: as above.
    unsafe { place.write(record) };
    let after = ring::next(head + writer.size as u64);
    progress.store(after | stage::IDLE, Ordering::Release);
    compiler_fence(Ordering::SeqCst);
    thread.busy = 0;
    if record.flags & Head::LOOK != 0 {
        system::request(request::LOOK, 0, 0);
    }
    Some(result)
}

/// Writes a record's pieces of memory.
pub(crate) struct Writer {
    start: usize,
    size: usize,
}

impl Writer {
    /// Adds the Python frames of the calling thread.
    fn stack(&mut self, stack: &python::Stack) {
        let bytes = size_of::<[u64; 2]>() * stack.count;
        let place = (self.start + self.size) as *mut PieceHead;
        // SAFETY: it is the record's first piece, and smaller than its room.
        unsafe {
            place.write(PieceHead {
                address: wallsocket_ring::python::STACK,
                length: bytes as u64,
            });
            system::copy((&raw const stack.frames).cast(), place.add(1).cast(), bytes);
        }
        self.size += size_of::<PieceHead>() + bytes;
    }

    /// Adds the program's memory at `address`, which can be read; nothing when there is no room for it.
    #[inline(always)]
    fn piece(&mut self, address: usize, length: usize) {
        self.own_piece(address as u64, address as *const c_void, length);
    }

    /// Adds what stands at `from` as if it were at `address`.
    #[inline(always)]
    pub(crate) fn own_piece(&mut self, address: u64, from: *const c_void, length: usize) {
        const HEAD: usize = size_of::<PieceHead>();
        if address == 0 || length == 0 || length > ring::RECORD as usize - 2 * HEAD - self.size {
            return;
        }
        let place = (self.start + self.size) as *mut PieceHead;
        // SAFETY: the head and the bytes fit the record's room, as was just seen.
        unsafe {
            place.write(PieceHead {
                address,
                length: length as u64,
            });
            system::copy(from, place.add(1).cast(), length);
        }
        self.size += HEAD + length.next_multiple_of(8);
    }
}

/// What must be kept before the kernel changes it.
#[inline(always)]
fn at_entry(writer: &mut Writer, function: Function, arguments: Arguments) {
    match function.shape {
        Shape::Poll | Shape::PollTimespec | Shape::PollChecked => {
            writer.piece(arguments[0], arguments[1] * POLL_ENTRY);
            if function.number != SYS_POLL {
                writer.piece(arguments[2], TIMESPEC);
            }
        }
        Shape::Select | Shape::SelectTimespec => {
            for set in [arguments[1], arguments[2], arguments[3]] {
                writer.piece(set, set_size(arguments[0]));
            }
            writer.piece(arguments[4], TIMESPEC);
        }
        Shape::EpollTimespec => writer.piece(arguments[3], TIMESPEC),
        _ => {}
    }
}

/// What the kernel has read or written: it may be read now. `result` is no error, or EAGAIN.
#[inline(always)]
fn at_exit(
    writer: &mut Writer,
    function: Function,
    arguments: Arguments,
    result: isize,
    limit: usize,
) {
    let moved = result.max(0) as usize;
    let [_, second, third, _, fifth, sixth] = arguments;
    match function.shape {
        Shape::Read | Shape::ReadChecked => buffer(writer, second, moved, limit, true),
        Shape::Write => buffer(writer, second, moved, limit, false),
        Shape::Send => {
            buffer(writer, second, moved, limit, false);
            writer.piece(fifth, (sixth as u32 as usize).min(ADDRESS));
        }
        Shape::Receive | Shape::ReceiveChecked => {
            buffer(writer, second, moved.min(third), limit, true);
            if result >= 0 && fifth != 0 && sixth != 0 {
                writer.piece(sixth, 4);
                // SAFETY: the kernel has just written this word.
                let length = unsafe { (sixth as *const u32).read_unaligned() } as usize;
                writer.piece(fifth, length.min(ADDRESS).max(INET_ADDRESS.min(length)));
            }
        }
        Shape::ReadVector | Shape::WriteVector => vector(writer, second, third, moved, limit),
        Shape::SendMessage | Shape::ReceiveMessage => {
            writer.piece(second, MESSAGE);
            // SAFETY: the kernel has read this memory.
            let header = unsafe { (second as *const [usize; 7]).read_unaligned() };
            if function.shape == Shape::SendMessage || result >= 0 {
                writer.piece(header[0], (header[1] as u32 as usize).min(ADDRESS));
            }
            vector(writer, header[2], header[3], moved, limit);
        }
        Shape::SendMessages | Shape::ReceiveMessages => {
            const SIZE: usize = 64;
            writer.piece(second, moved.clamp(1, MESSAGES) * SIZE);
            // SAFETY: the kernel has read and written the first message's header.
            let header = unsafe { (second as *const [usize; 8]).read_unaligned() };
            writer.piece(header[0], (header[1] as u32 as usize).min(ADDRESS));
            let first = if moved == 0 {
                0
            } else {
                header[7] as u32 as usize
            };
            vector(writer, header[2], header[3], first, limit);
        }
        Shape::Poll | Shape::PollTimespec | Shape::PollChecked if result > 0 => {
            writer.piece(arguments[0], arguments[1] * POLL_ENTRY);
        }
        Shape::Select | Shape::SelectTimespec if result > 0 => {
            for set in [arguments[1], arguments[2], arguments[3]] {
                writer.piece(set, set_size(arguments[0]));
            }
        }
        Shape::Epoll | Shape::EpollTimespec => {
            writer.piece(second, moved.min(ENTRIES) * EPOLL_EVENT);
        }
        _ => {}
    }
}

/// Whether bytes begin as a message of HTTP does.
#[inline(always)]
fn is_http(address: usize, length: usize) -> bool {
    if length < 4 {
        return false;
    }
    // SAFETY: the kernel has read or written these bytes.
    let begin = unsafe { (address as *const [u8; 4]).read_unaligned() };
    matches!(
        &begin,
        b"GET "
            | b"POST"
            | b"HTTP"
            | b"PUT "
            | b"HEAD"
            | b"DELE"
            | b"OPTI"
            | b"PATC"
            | b"CONN"
            | b"TRAC"
    )
}

/// The begin of what a call moved, and the end of what it read.
#[inline(always)]
fn buffer(writer: &mut Writer, address: usize, moved: usize, limit: usize, reading: bool) {
    let mut wanted = moved.min(limit);
    if limit == 0 || moved == 0 || address == 0 {
        return;
    }
    if is_http(address, moved) {
        wanted = wanted.max(moved.min(HEADS));
    }
    writer.piece(address, wanted);
    if reading && moved > wanted {
        let tail = TAIL.min(moved);
        writer.piece(address + moved - tail, tail);
    }
}

/// A vector's segments, and the begin of what they hold.
#[inline(always)]
fn vector(writer: &mut Writer, address: usize, count: usize, moved: usize, limit: usize) {
    let count = count.min(SEGMENTS);
    if address == 0 || count == 0 {
        return;
    }
    writer.piece(address, count * SEGMENT);
    let mut left = moved.min(limit);
    let mut unseen = moved;
    for index in 0..count {
        if left == 0 {
            return;
        }
        // SAFETY: the kernel has read this memory.
        let [start, length] =
            unsafe { ((address + index * SEGMENT) as *const [usize; 2]).read_unaligned() };
        let here = length.min(unseen);
        if unseen == moved && here > 0 && is_http(start, here) {
            left = left.max(moved.min(HEADS));
        }
        let wanted = here.min(left);
        writer.piece(start, wanted);
        left -= wanted;
        unseen -= here;
    }
}
