//! Python objects in the target's memory: strings, numbers, dictionaries, sets, attributes.
//!
//! All of it may change or vanish while it is read: each function answers `None` (or less) when what it finds is not
//! what it expects, and no length read from the target is taken without a limit.

use super::Unknown;
use super::code::StringForm;
use super::layout::Layout;
use super::memory::{Range, ReadMemory, half_in, word_in};

/// Offsets that 3.11 to 3.15 share (`Include/cpython/*.h`, `pycore_dict.h`, `pycore_genobject.h`).
const TYPE_NAME: u64 = 24;
const TYPE_BASIC_SIZE: u64 = 32;
const TYPE_FLAGS: u64 = 168;
const TYPE_BASE: u64 = 256;
const TYPE_DICT_OFFSET: u64 = 288;
const DICT_KEYS: u64 = 32;
const DICT_VALUES: u64 = 40;
const KEYS_HEADER: u64 = 32;
const SET_MASK: u64 = 32;
const SET_TABLE: u64 = 40;
const LIST_ITEMS: u64 = 24;
const NUMBER_SIZE: u64 = 16;
const NUMBER_DIGITS: u64 = 24;

const FLAG_INLINE_VALUES: u64 = 1 << 2;
const FLAG_MANAGED_DICT: u64 = 1 << 4;
const FLAG_HEAP_TYPE: u64 = 1 << 9;

/// Limits on what one collection may hold.
const ENTRIES_MAX: u64 = 100_000;
const TEXT_MAX: u64 = 4096;
const BASES_MAX: usize = 32;

/// A reader of objects of one interpreter.
#[derive(Debug)]
pub(crate) struct Objects<'a, M> {
    pub(crate) memory: &'a M,
    pub(crate) layout: &'a Layout,
    /// Minor version of Python 3.
    pub(crate) minor: u32,
}

impl<M> Clone for Objects<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for Objects<'_, M> {}

impl<M: ReadMemory> Objects<'_, M> {
    fn word(&self, address: u64) -> Option<u64> {
        self.memory.word(address).ok()
    }

    /// A pointer that is not null, at `offset` of `object`.
    pub(crate) fn field(&self, object: u64, offset: u64) -> Option<u64> {
        self.word(object.checked_add(offset)?)
            .filter(|pointer| *pointer != 0)
    }

    /// What a local variable or a value on the stack of a frame refers to.
    pub(crate) fn referred(&self, address: u64) -> Option<u64> {
        let reference = self.word(address)?;
        let is_number = self.layout.frame_tag != 0 && reference & 3 == 3;
        Some(reference & !self.layout.frame_tag).filter(|object| *object != 0 && !is_number)
    }

    fn type_of(&self, object: u64) -> Option<u64> {
        self.field(object, self.layout.object_type as u64)
    }

    /// Name of the object's type: `coroutine`, `_asyncio.Task`; without the module for classes made in Python.
    pub(crate) fn type_name(&self, object: u64) -> Option<String> {
        self.name_of_type(self.type_of(object)?)
    }

    fn name_of_type(&self, kind: u64) -> Option<String> {
        self.memory.c_string(self.field(kind, TYPE_NAME)?, 128).ok()
    }

    /// Whether the object is an instance of a type of that name, or of one derived from it.
    pub(crate) fn is_instance(&self, object: u64, name: &str) -> bool {
        let mut kind = self.type_of(object);
        for _ in 0..BASES_MAX {
            let Some(here) = kind else { return false };
            if self.name_of_type(here).as_deref() == Some(name) {
                return true;
            }
            kind = self.field(here, TYPE_BASE);
        }
        false
    }

    /// The text of a `str`.
    pub(crate) fn text(&self, object: u64) -> Option<String> {
        if self.type_name(object)? != "str" {
            return None;
        }
        let mut header = vec![0; self.layout.string_ascii];
        self.memory.read(object, &mut header).ok()?;
        let form = StringForm::parse(&header, self.layout)?;
        let mut bytes = vec![0; usize::try_from(form.size.min(TEXT_MAX)).ok()?];
        self.memory
            .read(object + form.start as u64, &mut bytes)
            .ok()?;
        Some(form.decode(&bytes))
    }

    /// The value of an `int` that fits 60 bits.
    pub(crate) fn number(&self, object: u64) -> Option<i64> {
        if self.type_name(object)? != "int" {
            return None;
        }
        let size = self.word(object.checked_add(NUMBER_SIZE)?)?;
        let (digits, negative) = if self.minor >= 12 {
            (if size & 3 == 1 { 0 } else { size >> 3 }, size & 3 == 2)
        } else {
            (size.cast_signed().unsigned_abs(), size.cast_signed() < 0)
        };
        let mut value = 0;
        for index in 0..digits {
            if index >= 2 {
                return None;
            }
            let digit: [u8; 4] = self.memory.array(object + NUMBER_DIGITS + index * 4).ok()?;
            value |= i64::from(u32::from_le_bytes(digit) & 0x3fff_ffff) << (30 * index);
        }
        Some(if negative { -value } else { value })
    }

    /// Keys and values of a `dict`.
    pub(crate) fn items(&self, dict: u64) -> Option<Vec<(u64, u64)>> {
        let keys = self.field(dict, DICT_KEYS)?;
        let values = self.word(dict.checked_add(DICT_VALUES)?)?;
        let values = if values == 0 {
            None
        } else {
            Some(values.wrapping_add(self.values_header()))
        };
        self.entries(keys, values)
    }

    /// 3.13 puts a header before the values of an object.
    fn values_header(&self) -> u64 {
        if self.minor >= 13 { 8 } else { 0 }
    }

    /// The entries of a key table; `values` are elsewhere where objects of a class share the keys.
    fn entries(&self, keys: u64, values: Option<u64>) -> Option<Vec<(u64, u64)>> {
        let header: [u8; KEYS_HEADER as usize] = self.memory.array(keys).ok()?;
        let (index_bytes, kind) = (header[9], header[10]);
        let count = word_in(&header, 24).filter(|count| *count <= ENTRIES_MAX)?;
        let first = keys
            + KEYS_HEADER
            + 1_u64
                .checked_shl(u32::from(index_bytes))
                .filter(|size| *size <= 1 << 30)?;
        let (width, key_at) = if kind == 0 { (24, 8) } else { (16, 0) };
        let mut bytes = vec![0; (count * width) as usize];
        self.memory.read(first, &mut bytes).ok()?;
        let mut shared = vec![0; (count * 8) as usize];
        if let Some(values) = values {
            self.memory.read(values, &mut shared).ok()?;
        }
        let mut items = Vec::new();
        for (index, entry) in bytes.chunks_exact(width as usize).enumerate() {
            let key = word_in(entry, key_at)?;
            let value = if values.is_some() {
                word_in(&shared, index * 8)?
            } else {
                word_in(entry, key_at + 8)?
            };
            if key != 0 && value != 0 {
                items.push((key, value));
            }
        }
        Some(items)
    }

    /// The value under the ASCII string `name` among `items`.
    fn named(&self, items: &[(u64, u64)], name: &str) -> Option<u64> {
        // A string of that length and text, in one system call for all keys.
        let length = self.layout.string_ascii + name.len();
        let ranges: Vec<Range> = items
            .iter()
            .map(|(key, _)| Range {
                address: *key,
                length,
            })
            .collect();
        let mut bytes = vec![0; ranges.len() * length];
        let mut done = 0;
        while done < ranges.len() {
            // A short string at the end of mapped memory can refuse the longer read: skip it and go on.
            let count = self
                .memory
                .read_ranges(&ranges[done..], &mut bytes[done * length..])
                .unwrap_or(0);
            done += count / length + 1;
        }
        bytes
            .chunks_exact(length)
            .zip(items)
            .find_map(|(string, (_, value))| {
                let (header, text) = string.split_at(self.layout.string_ascii);
                let form = StringForm::parse(header, self.layout)?;
                let same = form.size == name.len() as u64
                    && form.start == header.len()
                    && text == name.as_bytes();
                same.then_some(*value)
            })
    }

    /// The value under `name` in a `dict`.
    pub(crate) fn get(&self, dict: u64, name: &str) -> Option<u64> {
        self.named(&self.items(dict)?, name)
    }

    /// An attribute of the object itself, not of its class.
    pub(crate) fn attribute(&self, object: u64, name: &str) -> Option<u64> {
        let kind = self.type_of(object)?;
        let flags = self.word(kind.checked_add(TYPE_FLAGS)?)?;
        if flags & FLAG_MANAGED_DICT == 0 {
            let offset = self.word(kind.checked_add(TYPE_DICT_OFFSET)?)?;
            let offset = Some(offset).filter(|offset| (1..4096).contains(offset))?;
            return self.get(self.field(object, offset)?, name);
        }
        let before = self.word(object.checked_sub(24)?)?;
        let values = match self.minor {
            11 => self
                .word(object.checked_sub(32)?)
                .filter(|values| *values != 0),
            12 => (before & 1 == 1).then(|| before.wrapping_add(1)),
            _ => {
                // Behind the fields that the type has a fixed place for: before 3.14 only types without any have such values.
                let fixed = if self.minor >= 14 {
                    self.word(kind.checked_add(TYPE_BASIC_SIZE)?)?
                } else {
                    16
                };
                let inline = object.checked_add(Some(fixed).filter(|size| *size < 4096)?)?;
                let has_any = flags & FLAG_INLINE_VALUES != 0;
                let header: [u8; 4] = self.memory.array(inline).unwrap_or_default();
                (has_any && header[3] == 1).then(|| inline + self.values_header())
            }
        };
        if let Some(values) = values {
            if flags & FLAG_HEAP_TYPE == 0 {
                return None;
            }
            let keys = self.field(kind, self.layout.cached_keys)?;
            return self.named(&self.entries(keys, Some(values))?, name);
        }
        self.get(Some(before).filter(|dict| *dict != 0)?, name)
    }

    /// Members of a `set`.
    pub(crate) fn members(&self, set: u64) -> Option<Vec<u64>> {
        let slots = self
            .word(set.checked_add(SET_MASK)?)?
            .checked_add(1)
            .filter(|slots| *slots <= ENTRIES_MAX)?;
        let mut bytes = vec![0; (slots * 16) as usize];
        self.memory
            .read(self.field(set, SET_TABLE)?, &mut bytes)
            .ok()?;
        let entries = bytes
            .chunks_exact(16)
            .filter_map(|entry| Some((word_in(entry, 0)?, word_in(entry, 8)?)));
        // A deleted entry keeps a dummy key with the hash -1, which no member has.
        Some(
            entries
                .filter(|(key, hash)| *key != 0 && *hash != u64::MAX)
                .map(|(key, _)| key)
                .collect(),
        )
    }

    /// The first item of a `list`.
    pub(crate) fn first(&self, list: u64) -> Option<u64> {
        let length = self.word(list.checked_add(self.layout.object_size as u64)?)?;
        if length == 0 || self.type_name(list)? != "list" {
            return None;
        }
        self.word(self.field(list, LIST_ITEMS)?)
    }

    /// A 32-bit number with sign at `offset` of `object`.
    pub(crate) fn signed(&self, object: u64, offset: u64) -> Option<i32> {
        let bytes: [u8; 4] = self.memory.array(object.checked_add(offset)?).ok()?;
        half_in(&bytes, 0).map(u32::cast_signed)
    }
}

/// The directories of the standard library and the paths of the prefixes, from the interpreter's `sys`.
pub(crate) fn library_directories<M: ReadMemory>(
    objects: Objects<'_, M>,
    interpreter: u64,
) -> Result<Vec<String>, Unknown> {
    let sys = objects
        .memory
        .word(interpreter.wrapping_add(objects.layout.interpreter_sys))?;
    let text = |name: &str| {
        objects
            .text(objects.get(sys, name)?)
            .filter(|text| text.starts_with('/'))
    };
    let mut directories: Vec<String> = text("_stdlib_dir").into_iter().collect();
    if let Some(lib) = objects
        .get(sys, "platlibdir")
        .and_then(|lib| objects.text(lib))
    {
        for prefix in ["base_prefix", "base_exec_prefix"] {
            directories.extend(
                text(prefix).map(|prefix| format!("{prefix}/{lib}/python3.{}", objects.minor)),
            );
        }
    }
    if directories.is_empty() {
        Err(Unknown::NotRunning)
    } else {
        Ok(directories)
    }
}
