//! Walking the stack of a stopped thread.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use framehop::x86_64::{CacheX86_64, UnwindRegsX86_64, UnwinderX86_64};
use framehop::{FrameAddress, Unwinder};
use serde_bytes::ByteBuf;
use wallsocket_kernel::program;
use wallsocket_sys::memory::ProcessMemory;
use wallsocket_sys::ptrace;

use super::perf_map::{PerfMap, is_told_to_keep, keeps_frame_pointer};
use super::tables::{Bytes, Row as FrameRow, Tables, Way};
use super::{frame_pointers, go};
use crate::ids::Ids;
use crate::rows::{self, Role, Row, Stamp};

/// Frames of a stack that are kept.
const FRAMES_MAX: usize = 64;
/// Bytes above the stack pointer that are read.
const DEPTH_MAX: u64 = 1 << 20;
const PAGE: u64 = 4096;
/// A stack that reaches further is walked anew each time.
const REMEMBERED_BYTES: u64 = 32 << 10;
/// Stacks that are remembered for one place of a process, and places.
const ALIKE_MAX: usize = 8;
const PLACES_MAX: usize = 4096;
/// Different stacks of a recording.
const STACKS_MAX: usize = 200_000;
/// Files, and bytes of their tables.
const FILES_MAX: usize = 1024;
const TABLES_MAX: usize = 192 << 20;
/// Functions that were made while programs ran.
const MADE_MAX: usize = 50_000;
/// Stops between two looks for a perf map that is not there, at most.
const LOOKS_APART: u32 = 1 << 12;
/// Files that are kept open for the recorder, which may come when they have no name any more.
const OPEN_MAX: usize = 64;
/// A frame pointer that is not known.
const UNKNOWN: u64 = 0;
/// Bytes of code in which `asmcgocall` goes back to the goroutine's stack.
const SWITCHES_BACK: usize = 32;
/// Of `/proc/PID/maps`: 65,530 mappings (vm.max_map_count) of 100 bytes.
const MAPS_MAX: u64 = 16 << 20;

/// A stack, as the recording numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stack {
    /// `stack.id`.
    pub id: u32,
    /// The `source.id` that its line will have.
    pub source: u32,
}

/// A mapping that can be executed.
#[derive(Clone, Debug)]
struct Region {
    start: u64,
    end: u64,
    offset: u64,
    /// Device and inode, path; `None`: no file stands behind it.
    file: Option<(String, String)>,
    /// What is known of that file.
    loaded: Asked,
}

/// Whether somebody has asked for a file, and what was found.
#[derive(Clone, Copy, Debug, Default)]
enum Asked {
    #[default]
    NotYet,
    Known(Option<Loaded>),
}

/// A file at its place in a process.
#[derive(Clone, Copy, Debug)]
struct Loaded {
    /// Index of the file.
    file: usize,
    /// What is added to the file's own addresses.
    bias: u64,
}

/// A file that frames are in.
struct Binary {
    /// `binary.id`.
    id: u32,
    tables: Option<Tables>,
    /// Held for the recorder.
    _open: Option<File>,
}

/// What was read of a stack, and what it was found to be.
#[derive(Debug)]
struct Memory {
    /// Distance from the stack pointer, and what stood there.
    words: Vec<(u32, u64)>,
    length: u64,
    stack: Option<Stack>,
}

/// What a process says about code that it makes.
#[derive(Default)]
struct Made {
    /// It has some, on a stack.
    is_met: bool,
    map: Option<PerfMap>,
    /// HotSpot was told to keep frame pointers.
    keeps_frame_pointers: bool,
    /// Stops until the next look for a map, and how many that was the last time.
    patience: u32,
    waits: u32,
}

impl Made {
    /// Reads what is new in the map, if there is one; whether anything is.
    fn look(&mut self, pid: i32) -> bool {
        if let Some(map) = &mut self.map {
            let before = map.changes;
            map.update();
            return map.changes != before;
        }
        if self.patience > 0 {
            self.patience -= 1;
            return false;
        }
        self.waits = (2 * self.waits + 1).min(LOOKS_APART);
        self.patience = self.waits;
        self.map = PerfMap::open(pid);
        if let Some(map) = &mut self.map {
            map.update();
            self.keeps_frame_pointers = is_told_to_keep(pid);
        }
        self.map.is_some()
    }

    /// Such code is on a stack: from now on it matters what the process says.
    fn meet(&mut self, pid: i32) {
        if !self.is_met {
            self.is_met = true;
            self.look(pid);
        }
    }

    fn name(&self, address: u64) -> Option<String> {
        self.map.as_ref()?.name(address)
    }
}

/// Where a frame is.
enum Found {
    /// In a file.
    File(std::ops::Range<u64>, Loaded),
    /// In memory without one, or in a file that says nothing of it.
    Memory,
}

/// Where rows about files and stacks go.
pub type Tell<'a> = &'a mut dyn FnMut(&Row);

/// What is known of a process.
#[derive(Default)]
struct Process {
    regions: Vec<Region>,
    unwinder: UnwinderX86_64<Bytes>,
    /// Regions that the unwinder knows.
    added: HashSet<u64>,
    /// By instruction, stack and frame pointer.
    remembered: HashMap<[u64; 3], Vec<Memory>>,
    /// Stacks of one frame, by the address that it is returned to.
    callers: Ids<u64, Option<Stack>>,
    made: Made,
    /// Addresses in no region that are not worth another look at the maps, and how many that was the last time.
    patience: u32,
    waits: u32,
}

/// The stacks of all processes.
#[derive(Default)]
pub struct Stacks {
    processes: Ids<i32, Process>,
    files: HashMap<Stamp, usize>,
    binaries: Vec<Binary>,
    /// The number of each function that was made while a program ran.
    made: HashMap<String, u32>,
    tables: usize,
    open: usize,
    cache: CacheX86_64,
    /// Changes that the cache tells apart by numbers of 16 bits.
    changes: u16,
    numbers: HashMap<Vec<u8>, Stack>,
}

impl std::fmt::Debug for Stacks {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Stacks").finish_non_exhaustive()
    }
}

/// The memory above a stack pointer, read page by page as it is asked for.
struct Above {
    memory: ProcessMemory,
    base: u64,
    bytes: Vec<u8>,
    /// Distance of each word that was asked for.
    words: Vec<(u32, u64)>,
    /// It cannot be told from these words alone whether the next stack is the same.
    beyond: bool,
}

impl Above {
    /// Goes on with another stack, which the words of this one do not tell.
    fn move_to(&mut self, base: u64) {
        self.base = base;
        self.bytes.clear();
        self.beyond = true;
    }

    fn word(&mut self, address: u64) -> Result<u64, ()> {
        let distance = address.wrapping_sub(self.base);
        if distance > DEPTH_MAX {
            self.beyond = true;
            return Err(());
        }
        let at = distance as usize;
        while self.bytes.len() < at + 8 {
            let from = self.base + self.bytes.len() as u64;
            let length = PAGE - from % PAGE;
            let known = self.bytes.len();
            self.bytes.resize(known + length as usize, 0);
            let read = self.memory.read(from, &mut self.bytes[known..]);
            if !matches!(read, Ok(count) if count as u64 == length) {
                self.bytes.truncate(known);
                self.beyond = true;
                return Err(());
            }
        }
        let bytes = self.bytes.get(at..at + 8).ok_or(())?;
        let word = u64::from_le_bytes(bytes.try_into().map_err(|_| ())?);
        self.words.push((distance as u32, word));
        Ok(word)
    }
}

impl Stacks {
    /// The stack of the stopped thread `tid` of process `pid`; a new one is sent first. `source` draws a number for its line.
    pub fn of_thread(
        &mut self,
        send: Tell<'_>,
        pid: i32,
        tid: i32,
        source: impl FnOnce() -> u32,
    ) -> Option<Stack> {
        let registers = ptrace::registers(tid).ok()?;
        let place = [registers.rip, registers.rsp, registers.rbp];
        self.at(send, pid, place, source)
    }

    /// The stack of a thread of process `pid` that stands still with these registers: instruction, stack, and frame pointer, 0 where that
    /// is not known: it is found where functions say how far it lies from the stack pointer.
    pub fn at(
        &mut self,
        send: Tell<'_>,
        pid: i32,
        place: [u64; 3],
        source: impl FnOnce() -> u32,
    ) -> Option<Stack> {
        self.look_at_map(pid);
        if let Some(memory) = self.remembered(pid, place) {
            return memory.stack;
        }
        let mut above = Above {
            memory: ProcessMemory::new(pid),
            base: place[1],
            bytes: Vec::new(),
            words: Vec::new(),
            beyond: false,
        };
        let frames = self.walk(send, pid, place, &mut above);
        let stack = self.number(send, frames, source);
        let length = above
            .words
            .iter()
            .map(|(at, _)| u64::from(*at) + 8)
            .max()
            .unwrap_or(0);
        if let Some(process) = self.processes.get_mut(&pid)
            && !above.beyond
            && length <= REMEMBERED_BYTES
        {
            if process.remembered.len() >= PLACES_MAX {
                process.remembered.clear();
            }
            let alike = process.remembered.entry(place).or_default();
            if alike.len() >= ALIKE_MAX {
                alike.remove(0);
            }
            above.words.sort_unstable();
            above.words.dedup();
            alike.push(Memory {
                words: above.words,
                length,
                stack,
            });
        }
        stack
    }

    /// The stack that consists of one frame, from which a call returns to `address`.
    pub fn of_caller(
        &mut self,
        send: Tell<'_>,
        pid: i32,
        address: u64,
        source: impl FnOnce() -> u32,
    ) -> Option<Stack> {
        let process = self.processes.get(&pid);
        if let Some(known) = process.and_then(|process| process.callers.get(&address)) {
            return *known;
        }
        let mut frames = Vec::new();
        self.frame(send, pid, address.checked_sub(1)?, &mut frames)?;
        let stack = self.number(send, frames, source);
        let process = self.processes.entry(pid).or_default();
        if process.callers.len() >= PLACES_MAX {
            process.callers.clear();
        }
        process.callers.insert(address, stack);
        stack
    }

    /// The process has ended or runs another program.
    pub fn forget(&mut self, pid: i32) {
        self.processes.remove(&pid);
    }

    /// What the process says by now about the code that it makes. What was found before may be wrong by that.
    fn look_at_map(&mut self, pid: i32) {
        if let Some(process) = self.processes.get_mut(&pid)
            && process.made.is_met
            && process.made.look(pid)
        {
            process.remembered.clear();
            process.callers.clear();
        }
    }

    /// Whether code that no file stands behind was on a stack of the process, and nothing names it.
    pub fn misses_map(&self, pid: i32) -> bool {
        let process = self.processes.get(&pid);
        process.is_some_and(|process| process.made.is_met && process.made.map.is_none())
    }

    /// What was found when the stack held the same words. The walk depends on nothing else.
    fn remembered(&self, pid: i32, place: [u64; 3]) -> Option<&Memory> {
        let alike = self.processes.get(&pid)?.remembered.get(&place)?;
        let length = alike.iter().map(|memory| memory.length).max()?;
        let mut bytes = vec![0; length as usize];
        let read = ProcessMemory::new(pid).read(place[1], &mut bytes).ok()?;
        bytes.truncate(read);
        let is_same = |(at, word): &(u32, u64)| {
            bytes
                .get(*at as usize..*at as usize + 8)
                .is_some_and(|bytes| *bytes == word.to_le_bytes())
        };
        alike
            .iter()
            .rev()
            .find(|memory| memory.words.iter().all(is_same))
    }

    /// The frames, innermost first, in the form of `stack.frames`.
    fn walk(&mut self, send: Tell<'_>, pid: i32, place: [u64; 3], above: &mut Above) -> Vec<u8> {
        let mut frames = Vec::new();
        let [ip, sp, bp] = place;
        let mut registers = UnwindRegsX86_64::new(ip, sp, bp);
        let mut address = FrameAddress::from_instruction_pointer(ip);
        for _ in 0..FRAMES_MAX {
            // A call returns behind itself; at the entry of a system call its instruction is behind, too.
            let Some(before) = address.address().checked_sub(1) else {
                break;
            };
            let Some(found) = self.frame(send, pid, before, &mut frames) else {
                break;
            };
            let lower = registers.sp();
            let (region, loaded) = match found {
                Found::File(region, loaded) => (region, loaded),
                Found::Memory => {
                    let Some(back) = self.by_kept_frame_pointer(pid, before, &mut registers, above)
                    else {
                        break;
                    };
                    address = back;
                    continue;
                }
            };
            let looked_up = address.address_for_lookup().wrapping_sub(loaded.bias);
            let tables = self
                .binaries
                .get_mut(loaded.file)
                .and_then(|binary| binary.tables.as_mut());
            let Some(tables) = tables else {
                break;
            };
            let way = tables.way(looked_up);
            if let Way::Table { keeps_from } | Way::Row { keeps_from, .. } = way
                && let Some(begin) = keeps_from
                && registers.bp() == UNKNOWN
            {
                let begin = begin.wrapping_add(loaded.bias);
                let place = [begin, address.address(), lower];
                let Some(frame) = frame_pointer(pid, place, above) else {
                    break;
                };
                registers.set_bp(frame);
            }
            match way {
                Way::Table { .. } | Way::FramePointer => {}
                Way::Row { row, keeps_from } => {
                    let base = keeps_from.map_or(lower, |_| registers.bp());
                    let Some(back) = by_row(row, base, &mut registers, above) else {
                        break;
                    };
                    address = back;
                    continue;
                }
                Way::Go(frame) => {
                    let Some(back) = by_size(pid, frame, address, &mut registers, above) else {
                        break;
                    };
                    address = back;
                    continue;
                }
                Way::Unknown => {
                    // V8's built-in code lies in the program's file, and only the map says that it is that.
                    let Some(back) = self.by_kept_frame_pointer(pid, before, &mut registers, above)
                    else {
                        break;
                    };
                    address = back;
                    continue;
                }
            }
            let Some(process) = self.processes.get_mut(&pid) else {
                break;
            };
            if process.added.insert(region.start) {
                changed(&mut self.cache, &mut self.changes);
                let range = region.start..region.end;
                process
                    .unwinder
                    .add_module(tables.module(range, loaded.bias));
            }
            let next = process.unwinder.unwind_frame(
                address,
                &mut registers,
                &mut self.cache,
                &mut |address| above.word(address),
            );
            match next {
                Ok(Some(back)) if registers.sp() > lower => {
                    let Some(back) = FrameAddress::from_return_address(back) else {
                        break;
                    };
                    address = back;
                }
                _ => break,
            }
        }
        frames
    }

    /// Notes the frame whose instruction is at `address`; `None`: the stack cannot be followed from there.
    fn frame(
        &mut self,
        send: Tell<'_>,
        pid: i32,
        address: u64,
        frames: &mut Vec<u8>,
    ) -> Option<Found> {
        let index = self.region(pid, address)?;
        let region = self.processes.get(&pid)?.regions.get(index)?.clone();
        let loaded = match region.loaded {
            Asked::Known(known) => known,
            Asked::NotYet => {
                let found = self.load(send, pid, &region);
                let process = self.processes.get_mut(&pid)?;
                process.regions.get_mut(index)?.loaded = Asked::Known(found);
                found
            }
        };
        let Some(loaded) = loaded else {
            let (id, at) = self
                .name(send, pid, address)
                .map_or((0, address), |id| (id, 0));
            frames.extend(id.to_le_bytes());
            frames.extend(at.to_le_bytes());
            return Some(Found::Memory);
        };
        let id = self.binaries.get(loaded.file).map_or(0, |binary| binary.id);
        frames.extend(id.to_le_bytes());
        frames.extend(address.wrapping_sub(loaded.bias).to_le_bytes());
        Some(Found::File(region.start..region.end, loaded))
    }

    /// The number of the function at an address in memory that no file stands behind, as the process names it.
    fn name(&mut self, send: Tell<'_>, pid: i32, address: u64) -> Option<u32> {
        let made = &mut self.processes.get_mut(&pid)?.made;
        if made.map.as_ref().is_some_and(|map| map.is_replaced(pid)) {
            *made = Made::default();
        }
        made.meet(pid);
        let name = made.name(address)?;
        if let Some(id) = self.made.get(&name) {
            return Some(*id);
        }
        if self.made.len() >= MADE_MAX {
            return None;
        }
        let id = self.next_binary();
        send(&Row::Binary(rows::Binary {
            id,
            path: Some(name.clone()),
            build_id: None,
            role: Role::Made,
            places: Vec::new(),
            stamp: Stamp::default(),
        }));
        self.made.insert(name, id);
        Some(id)
    }

    fn next_binary(&self) -> u32 {
        (self.binaries.len() + self.made.len()) as u32 + 1
    }

    /// Whether the code at an address keeps a frame pointer, as far as the process has said what it is.
    fn keeps_frame_pointer(&mut self, pid: i32, address: u64) -> bool {
        let Some(process) = self.processes.get_mut(&pid) else {
            return false;
        };
        let made = &mut process.made;
        made.meet(pid);
        let name = made.name(address);
        name.is_some_and(|name| keeps_frame_pointer(&name, made.keeps_frame_pointers))
    }

    /// Goes to the caller of code that keeps a frame pointer; `None` where nothing says that it does.
    fn by_kept_frame_pointer(
        &mut self,
        pid: i32,
        address: u64,
        registers: &mut UnwindRegsX86_64,
        above: &mut Above,
    ) -> Option<FrameAddress> {
        if !self.keeps_frame_pointer(pid, address) {
            return None;
        }
        by_frame_pointer(registers, above)
    }

    /// The region of an address.
    fn region(&mut self, pid: i32, address: u64) -> Option<usize> {
        let process = self.processes.entry(pid).or_default();
        let find = |regions: &[Region]| {
            let after = regions.partition_point(|region| region.start <= address);
            let index = after.checked_sub(1)?;
            (address < regions.get(index)?.end).then_some(index)
        };
        if let Some(index) = find(&process.regions) {
            return Some(index);
        }
        if process.patience > 0 {
            process.patience -= 1;
            return None;
        }
        let fresh = regions(pid);
        // What the unwinder knows may lie elsewhere now.
        process.unwinder = UnwinderX86_64::new();
        changed(&mut self.cache, &mut self.changes);
        process.added.clear();
        process.callers.clear();
        process.remembered.clear();
        process.regions = fresh;
        let found = find(&process.regions);
        process.waits = match found {
            Some(_) => 0,
            None => (2 * process.waits + 1).min(1 << 16),
        };
        process.patience = process.waits;
        found
    }

    /// Meets the file of a region.
    fn load(&mut self, send: Tell<'_>, pid: i32, region: &Region) -> Option<Loaded> {
        let (identity, path) = region.file.as_ref()?;
        let exe = format!("/proc/{pid}/exe");
        let is_program = fs::read_link(&exe).is_ok_and(|link| link == Path::new(path));
        let inside = format!("/proc/{pid}/root{path}");
        let opened = if is_program { &exe } else { &inside };
        let file = nonblocking(opened)?;
        let metadata = file.metadata().ok()?;
        if !metadata.is_file() || !is_mapped(pid, identity, &file) {
            return None;
        }
        let stamp = Stamp::of(&metadata);
        let index = match self.files.get(&stamp) {
            Some(index) => *index,
            None => self.meet(send, file, stamp, [path, &inside], is_program)?,
        };
        let tables = self.binaries.get(index)?.tables.as_ref()?;
        let bias = tables.bias(region.start, region.offset)?;
        Some(Loaded { file: index, bias })
    }

    /// Takes a file that is new to the recording: its path in the process, and where we find it. Its index.
    fn meet(
        &mut self,
        send: Tell<'_>,
        file: File,
        stamp: Stamp,
        [path, inside]: [&str; 2],
        is_program: bool,
    ) -> Option<usize> {
        let index = self.binaries.len();
        if index >= FILES_MAX {
            return None;
        }
        let tables = (self.tables < TABLES_MAX)
            .then(|| catch_unwind(AssertUnwindSafe(|| Tables::read(&file))).ok())
            .flatten()
            .flatten();
        self.tables += tables.as_ref().map_or(0, Tables::size);
        let id = self.next_binary();
        let keep = self.open < OPEN_MAX;
        self.open += usize::from(keep);
        let mut places = vec![path.to_owned(), inside.to_owned()];
        if keep {
            let (own, number) = (std::process::id(), file.as_raw_fd());
            places.push(format!("/proc/{own}/fd/{number}"));
        }
        let build_id = tables.as_ref().and_then(|tables| tables.build_id.clone());
        send(&Row::Binary(rows::Binary {
            id,
            path: Some(path.trim_end_matches(" (deleted)").to_owned()),
            build_id: build_id.map(ByteBuf::from),
            role: role(path, is_program),
            places,
            stamp,
        }));
        self.binaries.push(Binary {
            id,
            tables,
            _open: keep.then_some(file),
        });
        self.files.insert(stamp, index);
        Some(index)
    }

    fn number(
        &mut self,
        send: Tell<'_>,
        frames: Vec<u8>,
        source: impl FnOnce() -> u32,
    ) -> Option<Stack> {
        if frames.is_empty() {
            return None;
        }
        if let Some(known) = self.numbers.get(&frames) {
            return Some(*known);
        }
        if self.numbers.len() >= STACKS_MAX {
            return None;
        }
        let stack = Stack {
            id: self.numbers.len() as u32 + 1,
            source: source(),
        };
        send(&Row::Stack(rows::Stack {
            id: stack.id,
            frames: ByteBuf::from(frames.clone()),
            source: stack.source,
        }));
        self.numbers.insert(frames, stack);
        Some(stack)
    }
}

/// The frame pointer of a function that begins at the first of these addresses, and that is in it behind a call, at the second, with this
/// stack pointer. `None`: its beginning does not say it, or nothing stands there that it could return to.
fn frame_pointer(pid: i32, [begin, behind, stack]: [u64; 3], above: &mut Above) -> Option<u64> {
    let memory = ProcessMemory::new(pid);
    let code = |at: u64, length: usize| {
        let mut code = vec![0; length];
        let read = memory.read(at, &mut code).ok()?;
        code.truncate(read);
        Some(code)
    };
    let taken = frame_pointers::taken(&code(begin, frame_pointers::BEGIN)?)?;
    let passed = frame_pointers::passed(&code(behind, frame_pointers::BEHIND)?);
    let frame = stack.checked_add(taken)?.checked_add(passed)?;
    let back = above.word(frame.checked_add(8)?).ok()?;
    let before = back.checked_sub(frame_pointers::CALL as u64)?;
    frame_pointers::ends_with_call(&code(before, frame_pointers::CALL)?).then_some(frame)
}

/// Steps out of a frame by a row of call frame information, whose size counts from `base`: where it returns to.
fn by_row(
    row: FrameRow,
    base: u64,
    registers: &mut UnwindRegsX86_64,
    above: &mut Above,
) -> Option<FrameAddress> {
    let end = base.checked_add_signed(row.size)?;
    if row.back >= 0 || end <= registers.sp() {
        return None;
    }
    let back = above.word(end.checked_add_signed(row.back)?).ok()?;
    if let Some(pointer) = row.pointer {
        registers.set_bp(above.word(end.checked_add_signed(pointer)?).ok()?);
    }
    registers.set_sp(end);
    registers.set_ip(back);
    FrameAddress::from_return_address(back)
}

/// Steps out of a frame of Go: where it returns to. Its caller's frame pointer is unknown then, and not needed in Go.
fn by_size(
    pid: i32,
    frame: go::Frame,
    address: FrameAddress,
    registers: &mut UnwindRegsX86_64,
    above: &mut Above,
) -> Option<FrameAddress> {
    let size = match frame {
        go::Frame::Sized(size) => size,
        go::Frame::CallsC => {
            let mut code = [0; SWITCHES_BACK];
            let read = above.memory.read(address.address(), &mut code).ok()?;
            let anywhere = |at| {
                let mut word = [0; 8];
                let read = ProcessMemory::new(pid).read(at, &mut word).ok()?;
                (read == word.len()).then_some(u64::from_le_bytes(word))
            };
            let (code, on) = (code.get(..read)?, registers.sp());
            let stack = go::goroutine_stack(code, on, |at| above.word(at).ok(), anywhere)?;
            above.move_to(stack);
            registers.set_sp(stack);
            0
        }
        go::Frame::Last => return None,
    };
    let at = registers.sp().checked_add(size)?;
    let back = above.word(at).ok()?;
    registers.set_sp(at.checked_add(8)?);
    registers.set_bp(UNKNOWN);
    registers.set_ip(back);
    FrameAddress::from_return_address(back)
}

/// Steps out of a frame that keeps a frame pointer: where it returns to.
fn by_frame_pointer(registers: &mut UnwindRegsX86_64, above: &mut Above) -> Option<FrameAddress> {
    let frame = registers.bp();
    if frame < registers.sp() || !frame.is_multiple_of(8) {
        return None;
    }
    let before = above.word(frame).ok()?;
    let back = above.word(frame.checked_add(8)?).ok()?;
    registers.set_sp(frame.checked_add(16)?);
    registers.set_bp(before);
    registers.set_ip(back);
    FrameAddress::from_return_address(back)
}

/// Counts a change of an unwinder's modules; before the numbers begin anew, what was remembered by them is forgotten.
fn changed(cache: &mut CacheX86_64, changes: &mut u16) {
    *changes += 1;
    if *changes == u16::MAX / 2 {
        (*cache, *changes) = (CacheX86_64::new(), 0);
    }
}

/// Whether the file is what was mapped, and not another one of that name: its begin stands in the program's memory.
fn is_mapped(pid: i32, identity: &str, file: &File) -> bool {
    use std::os::unix::fs::FileExt;

    let mut expected = [0; PAGE as usize];
    let Ok(length) = file.read_at(&mut expected, 0) else {
        return false;
    };
    let Some(start) = beginning(pid, identity) else {
        return false;
    };
    let mut bytes = vec![0; length];
    let read = ProcessMemory::new(pid).read(start, &mut bytes);
    matches!(read, Ok(count) if count == length) && bytes == expected[..length]
}

fn role(path: &str, is_program: bool) -> Role {
    if !is_program {
        Role::Library
    } else if program::is_interpreter(path) {
        Role::Interpreter
    } else {
        Role::Program
    }
}

/// Opens a file that may turn out to be a pipe or a device.
fn nonblocking(path: &str) -> Option<File> {
    use std::os::unix::fs::OpenOptionsExt;

    fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
        .ok()
}

fn maps(pid: i32) -> String {
    use std::io::Read;

    let mut bytes = Vec::new();
    if let Ok(file) = File::open(format!("/proc/{pid}/maps")) {
        let _ = file.take(MAPS_MAX).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A line of `/proc/PID/maps`: begin, end, permissions, offset, device and inode, path.
fn mapping(line: &str) -> Option<(u64, u64, &str, u64, String, &str)> {
    let mut fields = line.splitn(6, ' ');
    let (start, end) = fields.next()?.split_once('-')?;
    let permissions = fields.next()?;
    let offset = u64::from_str_radix(fields.next()?, 16).ok()?;
    let device = fields.next()?;
    let inode = fields.next()?;
    let path = fields.next().unwrap_or_default().trim_start();
    Some((
        u64::from_str_radix(start, 16).ok()?,
        u64::from_str_radix(end, 16).ok()?,
        permissions,
        offset,
        format!("{device} {inode}"),
        path,
    ))
}

/// Where the first byte of a file is mapped.
fn beginning(pid: i32, identity: &str) -> Option<u64> {
    maps(pid).lines().find_map(|line| {
        let (start, _, _, offset, of, _) = mapping(line)?;
        (offset == 0 && of == identity).then_some(start)
    })
}

/// What can be executed in a process, by address.
fn regions(pid: i32) -> Vec<Region> {
    maps(pid)
        .lines()
        .filter_map(|line| {
            let (start, end, permissions, offset, identity, path) = mapping(line)?;
            permissions.contains('x').then(|| Region {
                start,
                end,
                offset,
                file: path.starts_with('/').then(|| (identity, path.to_owned())),
                loaded: Asked::NotYet,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    /// An address in a function of a library or program that has tables.
    fn in_code() -> u64 {
        regions as *const () as u64 + 4
    }

    fn walked(stacks: &mut Stacks, stack: &[u64], ip: u64, bp: u64) -> Vec<u8> {
        let pid = std::process::id() as i32;
        let sp = stack.as_ptr() as u64;
        let mut above = Above {
            memory: ProcessMemory::new(pid),
            base: sp,
            bytes: Vec::new(),
            words: Vec::new(),
            beyond: false,
        };
        stacks.walk(&mut |_| (), pid, [ip, sp, bp], &mut above)
    }

    #[test]
    fn a_mapping_is_read() {
        let line = "7f00-8f00 r-xp 00001000 fe:01 12 /usr/lib/a b.so (deleted)";
        assert_eq!(
            mapping(line),
            Some((
                0x7f00,
                0x8f00,
                "r-xp",
                0x1000,
                "fe:01 12".to_owned(),
                "/usr/lib/a b.so (deleted)"
            ))
        );
        assert_eq!(mapping("7f00 r-xp"), None);
        assert_eq!(mapping(""), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn any_stack_is_walked_to_an_end(
            mut stack in proptest::collection::vec(any::<u64>(), 64..512),
            places in proptest::collection::vec((any::<prop::sample::Index>(), 0..4096u64), 0..64),
            ip in any::<u64>(),
            bp in 0..600u64,
        ) {
            let start = stack.as_ptr() as u64;
            for (index, offset) in &places {
                // What looks like a return address, or like a saved frame pointer.
                let at = index.index(stack.len());
                stack[at] = if offset % 3 == 0 { start + offset } else { in_code() + offset };
            }
            let mut stacks = Stacks::default();
            for ip in [ip, in_code()] {
                let frames = walked(&mut stacks, &stack, ip, start + 8 * bp);
                prop_assert!(frames.len() <= FRAMES_MAX * super::super::FRAME);
            }
        }

        #[test]
        fn any_file_has_tables_or_none(
            cut in any::<prop::sample::Index>(),
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..256),
            address in any::<u64>(),
        ) {
            let Some(library) = maps(std::process::id() as i32)
                .lines()
                .filter_map(mapping)
                .map(|(.., path)| path.to_owned())
                .find(|path| path.contains("/libgcc_s") || path.contains("/libc."))
            else {
                return Ok(());
            };
            let mut bytes = std::fs::read(&library).expect("a library");
            let length = bytes.len();
            // Mostly where it matters: in the headers, at either end.
            for (place, value) in &changes {
                let at = place.index(length.min(8192));
                let at = if *value % 2 == 0 { at } else { length - 1 - at };
                bytes[at] = *value;
            }
            bytes.truncate(cut.index(2 * length).max(64).min(length));
            let mut file = tempfile();
            file.write_all(&bytes).expect("room");
            if let Some(mut tables) = Tables::read(&file) {
                for at in [address, address % (length as u64), 0, u64::MAX] {
                    let _ = tables.way(at);
                    let _ = tables.bias(at, at);
                }
            }
        }
    }

    /// A file without a name.
    fn tempfile() -> File {
        use std::os::unix::fs::OpenOptionsExt;

        fs::OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_TMPFILE)
            .open(std::env::temp_dir())
            .expect("a file")
    }
}
