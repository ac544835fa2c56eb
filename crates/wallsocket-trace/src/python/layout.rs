//! Where CPython keeps what, version by version.
//!
//! From 3.13 the interpreter carries the table itself (`_Py_DebugOffsets` at the start of `_PyRuntime`); for 3.11 and
//! 3.12 the offsets below are what a C compiler gives for the structures in `Include/internal/pycore_*.h` and
//! `Include/cpython/*.h` of those versions on x86-64 and other 64-bit systems. They hold for the whole minor version.

use super::Unknown;
use super::memory::{ReadMemory, word_in};

/// Offsets in bytes inside CPython's structures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) runtime_interpreters: u64,
    pub(crate) interpreter_next: u64,
    pub(crate) interpreter_threads: u64,
    pub(crate) interpreter_modules: u64,
    pub(crate) interpreter_sys: u64,
    pub(crate) gil: Gil,
    pub(crate) thread_next: usize,
    pub(crate) thread_interpreter: usize,
    pub(crate) thread_native_id: usize,
    /// Where a thread keeps its innermost frame.
    pub(crate) current_frame: CurrentFrame,
    pub(crate) frame_code: usize,
    pub(crate) frame_previous: usize,
    pub(crate) frame_instruction: usize,
    pub(crate) frame_owner: usize,
    pub(crate) frame_locals: usize,
    pub(crate) generator: GeneratorLayout,
    /// Frames of at least this owner stand for C code and have no code object of their own.
    pub(crate) owner_c_from: u8,
    /// Low bits of what a frame refers to that are not part of the pointer.
    pub(crate) frame_tag: u64,
    /// Of a heap type: the keys that its instances share.
    pub(crate) cached_keys: u64,
    pub(crate) object_type: usize,
    /// `ob_size` of objects of variable size.
    pub(crate) object_size: usize,
    /// Where the items of a tuple start.
    pub(crate) tuple_items: u64,
    pub(crate) code: CodeLayout,
    pub(crate) string_length: usize,
    pub(crate) string_state: usize,
    /// Where the text of a compact ASCII string starts.
    pub(crate) string_ascii: usize,
    /// Where the text of another compact string starts.
    pub(crate) string_other: usize,
    pub(crate) bytes_data: usize,
}

/// Offsets inside a code object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CodeLayout {
    pub(crate) flags: usize,
    pub(crate) first_line: usize,
    pub(crate) variable_names: usize,
    pub(crate) file: usize,
    pub(crate) name: usize,
    pub(crate) qualified_name: usize,
    pub(crate) line_table: usize,
    /// Where the instructions start.
    pub(crate) instructions: usize,
    /// A number that no two code objects share, from 3.12.
    pub(crate) version: Option<usize>,
    /// Bytes that change while the code object lives.
    pub(crate) mutable: Option<(usize, usize)>,
}

/// Offsets inside a generator or coroutine, and in the frame that is part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GeneratorLayout {
    pub(crate) state: u64,
    pub(crate) frame: u64,
    /// How many values are on the frame's stack, locals included, or where the stack ends.
    pub(crate) stack: StackTop,
    /// `gi_frame_state` of one that runs; of those that are done it is greater, of others smaller.
    pub(crate) running: i8,
    /// How far below the top of the stack stands what it awaits, counted from 1.
    pub(crate) awaited: u64,
}

/// Where the top of a suspended frame's stack is noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StackTop {
    /// A number of 32 bits: how many values.
    Count(usize),
    /// The address behind the last value.
    Address(usize),
}

/// `FRAME_EXECUTING` of `pycore_frame.h` up to 3.14, and of 3.15.
const RUNNING: i8 = 0;
const RUNNING_3_15: i8 = 4;

/// How to reach a thread's innermost frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CurrentFrame {
    /// The thread points to a `_PyCFrame` on the C stack, which points to it.
    ByCFrame { cframe: usize, frame: u64 },
    /// The thread points to it.
    Direct(usize),
}

/// Where the holder of the global interpreter lock is noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gil {
    /// In `_PyRuntime`.
    Runtime { holder: u64, locked: u64 },
    /// In a structure the interpreter points to.
    Pointer { gil: u64, holder: u64, locked: u64 },
}

const CODE_3_11: CodeLayout = CodeLayout {
    flags: 48,
    first_line: 72,
    variable_names: 96,
    file: 112,
    name: 120,
    qualified_name: 128,
    line_table: 136,
    instructions: 184,
    version: None,
    mutable: Some((52, 56)), // co_warmup, _co_linearray_entry_size
};

pub(super) const LAYOUT_3_11: Layout = Layout {
    runtime_interpreters: 40,
    interpreter_next: 0,
    interpreter_threads: 16,
    interpreter_modules: 888,
    interpreter_sys: 904,
    gil: Gil::Runtime {
        holder: 368,
        locked: 376,
    },
    thread_next: 8,
    thread_interpreter: 16,
    thread_native_id: 160,
    current_frame: CurrentFrame::ByCFrame {
        cframe: 56,
        frame: 8,
    },
    frame_code: 32,
    frame_previous: 48,
    frame_instruction: 56,
    frame_owner: 69,
    frame_locals: 72,
    generator: GeneratorLayout {
        state: 75,
        frame: 80,
        stack: StackTop::Count(64),
        running: RUNNING,
        awaited: 1,
    },
    owner_c_from: 3,
    frame_tag: 0,
    cached_keys: 872,
    object_type: 8,
    object_size: 16,
    tuple_items: 24,
    code: CODE_3_11,
    string_length: 16,
    string_state: 32,
    string_ascii: 48,
    string_other: 72,
    bytes_data: 32,
};

const CODE_3_12: CodeLayout = CodeLayout {
    first_line: 68,
    instructions: 192,
    version: Some(92),
    mutable: None,
    ..CODE_3_11
};

const LAYOUT_3_12: Layout = Layout {
    interpreter_next: 0,
    interpreter_threads: 72,
    interpreter_modules: 944,
    interpreter_sys: 352,
    gil: Gil::Pointer {
        gil: 384,
        holder: 8,
        locked: 16,
    },
    thread_native_id: 144,
    current_frame: CurrentFrame::ByCFrame {
        cframe: 56,
        frame: 0,
    },
    frame_code: 0,
    frame_previous: 8,
    frame_instruction: 56,
    frame_owner: 70,
    generator: GeneratorLayout {
        state: 67,
        frame: 72,
        ..LAYOUT_3_11.generator
    },
    cached_keys: 880,
    code: CODE_3_12,
    string_ascii: 40,
    string_other: 56,
    ..LAYOUT_3_11
};

/// `_Py_DebugOffsets`: a cookie, then numbers of 64 bits in the order of the structure's declaration.
const COOKIE: [u8; 8] = *b"xdebugpy";

/// Positions (in numbers, the cookie being number 0) inside the table of one minor version.
struct Slots {
    count: usize,
    runtime_interpreters: usize,
    interpreter_size: usize,
    interpreter_next: usize,
    interpreter_threads: usize,
    interpreter_modules: usize,
    interpreter_sys: usize,
    interpreter_gil: usize,
    gil: usize,
    gil_locked: usize,
    gil_holder: usize,
    thread: usize,
    thread_native_id: usize,
    frame: usize,
    code: usize,
    object_type: usize,
    /// `ht_cached_keys`, where the table has it.
    cached_keys: Option<usize>,
    tuple_items: usize,
    bytes: usize,
    string: usize,
    /// Where the table has generators.
    generator: Option<usize>,
}

const SLOTS_3_13: Slots = Slots {
    count: 71,
    runtime_interpreters: 5,
    interpreter_size: 6,
    interpreter_next: 8,
    interpreter_threads: 9,
    interpreter_modules: 11,
    interpreter_sys: 12,
    interpreter_gil: 14,
    gil: 15,
    gil_locked: 17,
    gil_holder: 18,
    thread: 19,
    thread_native_id: 25,
    frame: 28,
    code: 34,
    object_type: 45,
    cached_keys: None,
    tuple_items: 51,
    bytes: 64,
    string: 67,
    generator: None,
};

/// 3.14 adds `threads_main` and two generations to the interpreter, two fields to the frame, one to the code, and sets.
const SLOTS_3_14: Slots = Slots {
    count: 87,
    runtime_interpreters: 5,
    interpreter_size: 6,
    interpreter_next: 8,
    interpreter_threads: 9,
    interpreter_modules: 12,
    interpreter_sys: 13,
    interpreter_gil: 15,
    gil: 16,
    gil_locked: 18,
    gil_holder: 19,
    thread: 22,
    thread_native_id: 28,
    frame: 31,
    code: 39,
    object_type: 51,
    cached_keys: None,
    tuple_items: 57,
    bytes: 74,
    string: 77,
    generator: Some(83),
};

/// 3.15 adds seven fields to the thread, an item of the exception stack, two fields to types, heap types, one to strings and
/// three to the collector.
const SLOTS_3_15: Slots = Slots {
    count: 103,
    thread_native_id: 31,
    frame: 39,
    code: 47,
    object_type: 59,
    cached_keys: Some(67),
    tuple_items: 69,
    bytes: 86,
    string: 89,
    generator: Some(99),
    ..SLOTS_3_14
};

impl Layout {
    /// The layout for `version` (`PY_VERSION_HEX`), where `runtime` is the address of `_PyRuntime`.
    ///
    /// # Errors
    /// [`Unknown::Version`] for a version without a table, [`Unknown::FreeThreaded`] for a build without the interpreter lock,
    /// [`Unknown::Inconsistent`] when its own table makes no sense.
    pub(crate) fn of(
        memory: &impl ReadMemory,
        runtime: u64,
        version: u32,
    ) -> Result<Self, Unknown> {
        match (version >> 24, version >> 16 & 0xff) {
            (3, 11) => Ok(LAYOUT_3_11),
            (3, 12) => Ok(LAYOUT_3_12),
            (3, 13) => Self::own(memory, runtime, version, &SLOTS_3_13),
            (3, 14) => Self::own(memory, runtime, version, &SLOTS_3_14),
            (3, 15) => Self::own(memory, runtime, version, &SLOTS_3_15),
            _ => Err(Unknown::Version(version_text(version))),
        }
    }

    /// Reads the table that the interpreter carries.
    fn own(
        memory: &impl ReadMemory,
        runtime: u64,
        version: u32,
        slots: &Slots,
    ) -> Result<Self, Unknown> {
        let mut bytes = vec![0; slots.count * 8];
        memory.read(runtime, &mut bytes)?;
        if bytes[..8] != COOKIE {
            return Err(Unknown::Inconsistent(
                "the runtime's table of offsets lacks its cookie",
            ));
        }
        let slot = |index: usize| word_in(&bytes, index * 8).unwrap_or(u64::MAX);
        if slot(1) != u64::from(version) {
            return Err(Unknown::Inconsistent(
                "the runtime's table of offsets is for another version",
            ));
        }
        // Objects begin with another header there, threads run copies of the instructions, and nobody has compared what is read.
        if slot(2) != 0 {
            return Err(Unknown::FreeThreaded(version_text(version)));
        }
        // No structure is larger, so every offset fits and sums cannot overflow.
        let structure_max = 1 << 24;
        let offsets_fit = (3..slots.count).all(|index| slot(index) < structure_max);
        let threads_fit = slot(slots.interpreter_threads) < slot(slots.interpreter_size);
        if !offsets_fit || !threads_fit {
            return Err(Unknown::Inconsistent(
                "the runtime's table of offsets has impossible values",
            ));
        }
        let small = |index: usize| slot(index) as usize;
        let (thread, frame, code, string) = (slots.thread, slots.frame, slots.code, slots.string);
        let minor = version >> 16 & 0xff;
        let layout = Self {
            runtime_interpreters: slot(slots.runtime_interpreters),
            interpreter_next: slot(slots.interpreter_next),
            interpreter_threads: slot(slots.interpreter_threads),
            interpreter_modules: slot(slots.interpreter_modules),
            interpreter_sys: slot(slots.interpreter_sys),
            gil: Gil::Pointer {
                gil: slot(slots.interpreter_gil),
                holder: slot(slots.gil_holder).saturating_sub(slot(slots.gil)),
                locked: slot(slots.gil_locked).saturating_sub(slot(slots.gil)),
            },
            thread_next: small(thread + 2),
            thread_interpreter: small(thread + 3),
            thread_native_id: small(slots.thread_native_id),
            current_frame: CurrentFrame::Direct(small(thread + 4)),
            frame_previous: small(frame + 1),
            frame_code: small(frame + 2),
            frame_instruction: small(frame + 3),
            frame_locals: small(frame + 4),
            frame_owner: small(frame + 5),
            owner_c_from: 3,
            generator: slots
                .generator
                .map_or(LAYOUT_3_12.generator, |generator| GeneratorLayout {
                    frame: slot(generator + 2),
                    state: slot(generator + 3),
                    stack: StackTop::Address(small(frame + 6)),
                    running: if minor >= 15 { RUNNING_3_15 } else { RUNNING },
                    // From 3.15 each iterator on the stack is followed by an index or nothing.
                    awaited: if minor >= 15 { 2 } else { 1 },
                }),
            // From 3.14 they are tagged references.
            frame_tag: if minor >= 14 { 7 } else { 0 },
            cached_keys: slots.cached_keys.map_or(LAYOUT_3_12.cached_keys, slot),
            object_type: small(slots.object_type),
            object_size: small(slots.bytes + 1),
            tuple_items: slot(slots.tuple_items),
            code: CodeLayout {
                file: small(code + 1),
                name: small(code + 2),
                qualified_name: small(code + 3),
                line_table: small(code + 4),
                first_line: small(code + 5),
                variable_names: small(code + 7),
                instructions: small(code + 9),
                // Not in the table: their distance from what is there, as declared in cpython/code.h.
                flags: small(code + 5).saturating_sub(20),
                version: Some(small(code + 7).saturating_sub(4)),
                mutable: None,
            },
            string_state: small(string + 1),
            string_length: small(string + 2),
            string_ascii: small(string + 3),
            string_other: small(string + 3) + 16,
            bytes_data: small(slots.bytes + 2),
        };
        // Headers are read whole; larger ones would be nonsense.
        let header_max = 4096;
        let headers = [
            layout.code.instructions,
            layout.code.line_table,
            layout.code.variable_names,
            layout.frame_locals,
            layout.thread_native_id,
            layout.object_type,
            layout.object_size,
            layout.bytes_data,
            layout.string_ascii,
            layout.frame_owner,
        ];
        if headers.iter().any(|offset| *offset > header_max) {
            return Err(Unknown::Inconsistent(
                "the runtime's table of offsets has impossible values",
            ));
        }
        Ok(layout)
    }
}

/// `PY_VERSION_HEX` as people write it: "3.11.7", "3.14.0rc2".
pub(crate) fn version_text(version: u32) -> String {
    let serial = version & 0xf;
    let level = match version >> 4 & 0xf {
        0xa => format!("a{serial}"),
        0xb => format!("b{serial}"),
        0xc => format!("rc{serial}"),
        _ => String::new(),
    };
    format!(
        "{}.{}.{}{level}",
        version >> 24,
        version >> 16 & 0xff,
        version >> 8 & 0xff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A runtime whose table has, for each field in the order of its declaration, a value of its own.
    struct Runtime(Vec<u8>);

    impl Runtime {
        fn new(version: u32, fields: &[&str]) -> Self {
            let mut bytes = COOKIE.to_vec();
            for number in 1..=fields.len() as u64 {
                let value = match number {
                    1 => u64::from(version),
                    2 => 0,
                    // The interpreter's size is above all offsets into it.
                    _ if fields[number as usize - 1] == "interpreter size" => 4000,
                    _ => number * 8,
                };
                bytes.extend(value.to_le_bytes());
            }
            Self(bytes)
        }
    }

    impl ReadMemory for Runtime {
        fn read_ranges(
            &self,
            ranges: &[super::super::Range],
            buffer: &mut [u8],
        ) -> Result<usize, Unknown> {
            let start = ranges[0].address as usize;
            let bytes = self
                .0
                .get(start..start + ranges[0].length)
                .ok_or(Unknown::Unreadable(ranges[0].address))?;
            buffer[..bytes.len()].copy_from_slice(bytes);
            Ok(bytes.len())
        }
    }

    const HEAD: [&str; 5] = [
        "version",
        "free threaded",
        "runtime size",
        "finalizing",
        "interpreters",
    ];
    const THREAD: [&str; 9] = [
        "size",
        "prev",
        "thread next",
        "thread interpreter",
        "frame",
        "id",
        "native id",
        "chunk",
        "status",
    ];

    const THREAD_3_15: [&str; 16] = [
        "size",
        "prev",
        "thread next",
        "thread interpreter",
        "frame",
        "base frame",
        "profiled frame",
        "profiled number",
        "id",
        "native id",
        "chunk",
        "status",
        "holds gil",
        "gil requested",
        "exception",
        "exception state",
    ];

    fn check(version: u32, fields: &[&str]) {
        let layout = Layout::of(&Runtime::new(version, fields), 0, version).expect("a table");
        let at = |name: &str| {
            (fields.iter().position(|field| *field == name).expect(name) as u64 + 1) * 8
        };
        let small = |name: &str| at(name) as usize;
        assert_eq!(layout.runtime_interpreters, at("interpreters"));
        assert_eq!(layout.interpreter_next, at("next"));
        assert_eq!(layout.interpreter_threads, at("threads"));
        assert_eq!(layout.interpreter_modules, at("modules"));
        assert_eq!(layout.interpreter_sys, at("sys"));
        let (gil, locked, holder) = (at("gil"), at("gil locked"), at("gil holder"));
        let gil = Gil::Pointer {
            gil: at("ceval gil"),
            holder: holder - gil,
            locked: locked - gil,
        };
        assert_eq!(layout.gil, gil);
        assert_eq!(layout.thread_next, small("thread next"));
        assert_eq!(layout.thread_interpreter, small("thread interpreter"));
        assert_eq!(layout.thread_native_id, small("native id"));
        assert_eq!(layout.current_frame, CurrentFrame::Direct(small("frame")));
        assert_eq!(layout.frame_previous, small("previous"));
        assert_eq!(layout.frame_code, small("executable"));
        assert_eq!(layout.frame_instruction, small("instruction"));
        assert_eq!(layout.frame_locals, small("locals"));
        assert_eq!(layout.frame_owner, small("owner"));
        assert_eq!(layout.code.file, small("file"));
        assert_eq!(layout.code.name, small("name"));
        assert_eq!(layout.code.qualified_name, small("qualified name"));
        assert_eq!(layout.code.line_table, small("line table"));
        assert_eq!(layout.code.first_line, small("first line"));
        assert_eq!(layout.code.variable_names, small("variable names"));
        assert_eq!(layout.code.instructions, small("instructions"));
        assert_eq!(layout.object_type, small("type"));
        assert_eq!(layout.object_size, small("bytes length"));
        assert_eq!(layout.bytes_data, small("bytes data"));
        assert_eq!(layout.tuple_items, at("tuple items"));
        assert_eq!(layout.string_state, small("string state"));
        assert_eq!(layout.string_length, small("string length"));
        assert_eq!(layout.string_ascii, small("string ascii"));
        if version >= 0x030e_0000 {
            assert_eq!(layout.generator.frame, at("generator frame"));
            assert_eq!(layout.generator.state, at("generator state"));
            assert_eq!(
                layout.generator.stack,
                StackTop::Address(small("stack pointer"))
            );
        }
        if version >= 0x030f_0000 {
            assert_eq!(layout.cached_keys, at("cached keys"));
        }
    }

    #[rustfmt::skip]
    #[test]
    fn the_table_of_3_13_is_read_by_the_order_of_its_declaration() {
        let interpreter = [
            "interpreter size", "id", "next", "threads", "gc", "modules", "sys", "builtins", "ceval gil", "gil",
            "gil enabled", "gil locked", "gil holder",
        ];
        let rest = [
            "frame size", "previous", "executable", "instruction", "locals", "owner",
            "code size", "file", "name", "qualified name", "line table", "first line", "argument count",
            "variable names", "variable kinds", "instructions",
            "object size", "type",
            "type size", "type name", "type repr", "type flags",
            "tuple size", "tuple items", "tuple length", "list size", "list items", "list length",
            "dict size", "dict keys", "dict values", "float size", "float value",
            "long size", "long tag", "long digits", "bytes size", "bytes length", "bytes data",
            "string size", "string state", "string length", "string ascii",
        ];
        check(0x030d_00f0, &[&HEAD[..], &interpreter, &THREAD, &rest].concat());
    }

    #[rustfmt::skip]
    #[test]
    fn the_table_of_3_14_is_read_by_the_order_of_its_declaration() {
        let interpreter = [
            "interpreter size", "id", "next", "threads", "main thread", "gc", "modules", "sys", "builtins",
            "ceval gil", "gil", "gil enabled", "gil locked", "gil holder", "code generation", "bytecode generation",
        ];
        let rest = [
            "frame size", "previous", "executable", "instruction", "locals", "owner", "stack pointer", "bytecode index",
            "code size", "file", "name", "qualified name", "line table", "first line", "argument count",
            "variable names", "variable kinds", "instructions", "thread-local instructions",
            "object size", "type",
            "type size", "type name", "type repr", "type flags",
            "tuple size", "tuple items", "tuple length", "list size", "list items", "list length",
            "set size", "set used", "set table", "set mask",
            "dict size", "dict keys", "dict values", "float size", "float value",
            "long size", "long tag", "long digits", "bytes size", "bytes length", "bytes data",
            "string size", "string state", "string length", "string ascii",
            "collector size", "collecting",
            "generator size", "generator name", "generator frame", "generator state",
        ];
        check(0x030e_00f0, &[&HEAD[..], &interpreter, &THREAD, &rest].concat());
    }

    #[rustfmt::skip]
    #[test]
    fn the_table_of_3_15_is_read_by_the_order_of_its_declaration() {
        let interpreter = [
            "interpreter size", "id", "next", "threads", "main thread", "gc", "modules", "sys", "builtins",
            "ceval gil", "gil", "gil enabled", "gil locked", "gil holder", "code generation", "bytecode generation",
        ];
        let rest = [
            "exception value",
            "frame size", "previous", "executable", "instruction", "locals", "owner", "stack pointer", "bytecode index",
            "code size", "file", "name", "qualified name", "line table", "first line", "argument count",
            "variable names", "variable kinds", "instructions", "thread-local instructions",
            "object size", "type",
            "type size", "type name", "type repr", "type flags", "type basic size", "type dict",
            "heap type size", "cached keys",
            "tuple size", "tuple items", "tuple length", "list size", "list items", "list length",
            "set size", "set used", "set table", "set mask",
            "dict size", "dict keys", "dict values", "float size", "float value",
            "long size", "long tag", "long digits", "bytes size", "bytes length", "bytes data",
            "string size", "string state", "string length", "string ascii", "string other",
            "collector size", "collecting", "collector frame", "statistics size", "statistics",
            "generator size", "generator name", "generator frame", "generator state",
        ];
        check(0x030f_00f0, &[&HEAD[..], &interpreter, &THREAD_3_15, &rest].concat());
    }

    #[test]
    fn a_build_without_the_interpreter_lock_is_refused() {
        let mut bytes = vec![0; 1000];
        bytes[..8].copy_from_slice(&COOKIE);
        bytes[8..16].copy_from_slice(&0x030e_00f0_u64.to_le_bytes());
        bytes[16] = 1;
        assert_eq!(
            Layout::of(&Runtime(bytes), 0, 0x030e_00f0),
            Err(Unknown::FreeThreaded("3.14.0".to_owned()))
        );
    }

    #[test]
    fn a_table_that_makes_no_sense_is_refused() {
        let table = |bytes: Vec<u8>| Layout::of(&Runtime(bytes), 0, 0x030d_00f0);
        let cookie = "the runtime's table of offsets lacks its cookie";
        assert_eq!(table(vec![0; 1000]), Err(Unknown::Inconsistent(cookie)));
        let mut other = COOKIE.to_vec();
        other.extend(vec![0; 1000]);
        let version = "the runtime's table of offsets is for another version";
        assert_eq!(table(other.clone()), Err(Unknown::Inconsistent(version)));
        other[8..16].copy_from_slice(&0x030d_00f0_u64.to_le_bytes());
        other[100..300].fill(0xff);
        let values = "the runtime's table of offsets has impossible values";
        assert_eq!(table(other), Err(Unknown::Inconsistent(values)));
        assert_eq!(
            Layout::of(&Runtime(Vec::new()), 0, 0x0310_00a1),
            Err(Unknown::Version("3.16.0a1".to_owned()))
        );
    }

    #[test]
    fn versions_are_written_as_people_write_them() {
        assert_eq!(version_text(0x030b_07f0), "3.11.7");
        assert_eq!(version_text(0x030e_00c2), "3.14.0rc2");
    }
}
