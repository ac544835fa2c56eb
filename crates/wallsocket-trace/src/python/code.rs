//! Code objects: names, and the line of each instruction. Cached by address, and proven to be the same each time.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use super::Unknown;
use super::classifier::{Classifier, Place};
use super::layout::{CodeLayout, Layout};
use super::memory::{ReadMemory, Window, half_in, word_in};

/// Longest text (in bytes) read for a file or function name.
const TEXT_MAX: u64 = 4096;
/// Longest location table read: a module of some 100,000 lines.
const LINE_TABLE_MAX: u64 = 1 << 20;
/// Cached code objects; a program that makes more gets a fresh cache.
const CACHE_MAX: usize = 4096;

// Flags of code objects, Include/cpython/code.h.
const CO_GENERATOR: u32 = 0x20;
const CO_COROUTINE: u32 = 0x80;
const CO_ITERABLE_COROUTINE: u32 = 0x100;
const CO_ASYNC_GENERATOR: u32 = 0x200;

/// A function, or the top level of a module, class or expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// `co_filename`: a path, or a name such as `<string>`.
    pub file: Arc<str>,
    /// `co_qualname`: `Server.handle`, `main.<locals>.<lambda>`, `<module>`.
    pub function: Arc<str>,
    /// Line of its `def`, `lambda` or first decorator.
    pub first_line: u32,
    /// What a call of it makes.
    pub kind: Kind,
    /// Whose code it is.
    pub place: Place,
}

/// What a call of a code object makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// It runs at once.
    Function,
    /// A generator.
    Generator,
    /// A coroutine (`async def`, or a generator marked as one).
    Coroutine,
    /// An asynchronous generator.
    AsyncGenerator,
}

impl Kind {
    fn from_flags(flags: u32) -> Self {
        if flags & CO_ASYNC_GENERATOR != 0 {
            Self::AsyncGenerator
        } else if flags & (CO_COROUTINE | CO_ITERABLE_COROUTINE) != 0 {
            Self::Coroutine
        } else if flags & CO_GENERATOR != 0 {
            Self::Generator
        } else {
            Self::Function
        }
    }
}

/// A code object as it was read, and what proves that the one at its address is still it.
#[derive(Debug)]
pub(crate) struct Cached {
    /// The fields of the object that never change, mutable ones zeroed.
    identity: Vec<u8>,
    /// Objects it points to, with their bytes. Empty where `identity` holds a number that no two code objects share.
    contents: Vec<(u64, Vec<u8>)>,
    pub(crate) code: Arc<Code>,
    /// Where its first instruction is.
    start: u64,
    /// Bytes of instructions.
    size: u64,
    lines: Vec<Span>,
}

/// Instructions up to `end` (bytes from the first) belong to `line`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    end: u32,
    line: Option<u32>,
}

/// What is needed to read a code object.
#[derive(Debug)]
pub(crate) struct Target<'a, M> {
    pub(crate) memory: &'a M,
    pub(crate) layout: &'a Layout,
    /// Address of `PyCode_Type`.
    pub(crate) code_type: u64,
    pub(crate) classifier: &'a Classifier,
}

/// All code objects seen in one process.
#[derive(Debug, Default)]
pub(crate) struct CodeCache {
    codes: HashMap<u64, Arc<Cached>>,
}

impl CodeCache {
    /// Forgets everything, as when the classifier has learned where libraries are.
    pub(crate) fn clear(&mut self) {
        self.codes.clear();
    }

    /// The code object at `address` and the line of the instruction at `instruction`.
    pub(crate) fn look_up(
        &mut self,
        target: &Target<'_, impl ReadMemory>,
        window: &mut Window,
        address: u64,
        instruction: u64,
    ) -> Result<(Arc<Cached>, Option<u32>), Unknown> {
        let known = match self.codes.get(&address) {
            Some(cached) => cached.is_at(target, window, address)?,
            None => false,
        };
        if !known {
            let fresh = Cached::read(target, window, address)?;
            if self.codes.len() >= CACHE_MAX {
                self.codes.clear();
            }
            self.codes.insert(address, Arc::new(fresh));
        }
        let cached = &self.codes[&address];
        let line = cached.line(instruction)?;
        Ok((Arc::clone(cached), line))
    }
}

/// Bytes of a code object from its start to the last field that identifies it.
pub(crate) fn identity_length(code: &CodeLayout) -> usize {
    code.line_table
        .max(code.qualified_name)
        .max(code.file)
        .max(code.variable_names)
        + 8
}

impl Cached {
    fn is_at(
        &self,
        target: &Target<'_, impl ReadMemory>,
        window: &mut Window,
        address: u64,
    ) -> Result<bool, Unknown> {
        let (memory, layout) = (target.memory, target.layout);
        let now = window.bytes(memory, address, identity_length(&layout.code))?;
        let from = layout.object_type;
        let same = match layout.code.mutable {
            None => now[from..] == self.identity[from..],
            Some((start, end)) => {
                now[from..start] == self.identity[from..start] && now[end..] == self.identity[end..]
            }
        };
        if !same {
            return Ok(false);
        }
        for (address, bytes) in &self.contents {
            if window.bytes(memory, *address, bytes.len())? != bytes {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn read(
        target: &Target<'_, impl ReadMemory>,
        window: &mut Window,
        address: u64,
    ) -> Result<Self, Unknown> {
        let (memory, layout) = (target.memory, target.layout);
        let code = &layout.code;
        let code_at = code;
        let mut identity = window
            .bytes(memory, address, identity_length(code))?
            .to_vec();
        if word_in(&identity, layout.object_type) != Some(target.code_type) {
            return Err(Unknown::Inconsistent(
                "a frame does not point to a code object",
            ));
        }
        if let Some((start, end)) = code.mutable {
            identity[start..end].fill(0);
        }
        let field = |offset| word_in(&identity, offset).unwrap_or(0);
        let number = |offset| half_in(&identity, offset).unwrap_or(0);
        // From 3.12 every code object has a number of its own, until the numbers are used up and all get 0.
        let numbered = code.version.is_some_and(|offset| number(offset) != 0);
        let mut contents = Vec::new();
        let file = string(memory, window, layout, field(code.file), &mut contents)?;
        let function = string(
            memory,
            window,
            layout,
            field(code.qualified_name),
            &mut contents,
        )?;
        let table = byte_string(
            memory,
            window,
            layout,
            field(code.line_table),
            &mut contents,
        )?;
        let first_line = number(code.first_line);
        // ob_size counts instructions of two bytes.
        let size = field(layout.object_size)
            .checked_mul(2)
            .filter(|size| *size < u64::from(u32::MAX));
        let size = size.ok_or(Unknown::Inconsistent(
            "a code object has an impossible size",
        ))?;
        let lines = decode_lines(&table, first_line).ok_or(Unknown::Inconsistent(
            "a location table does not have the expected form",
        ))?;
        let covered = lines.last().map_or(0, |span| u64::from(span.end));
        if covered != size {
            return Err(Unknown::Inconsistent(
                "a location table does not match its code object",
            ));
        }
        if numbered {
            contents.clear();
        }
        let place = target.classifier.place(&file, &function);
        let kind = Kind::from_flags(number(code.flags));
        let code = Code {
            file: file.into(),
            function: function.into(),
            first_line,
            kind,
            place,
        };
        Ok(Self {
            identity,
            contents,
            code: Arc::new(code),
            start: address + code_at.instructions as u64,
            size,
            lines,
        })
    }

    /// Its words in the preloaded library's table, but for the number: fingerprints and where they are from.
    pub(crate) fn fingerprints(&self, from: usize) -> Option<[u64; 8]> {
        use wallsocket_ring::python::{CONTENT, CONTENTS, mix, mix_content};
        if self.contents.len() > CONTENTS {
            return None;
        }
        let (words, rest) = self.identity.get(from..)?.as_chunks::<8>();
        let identity = words
            .iter()
            .fold(0, |all, word| mix(all, u64::from_ne_bytes(*word)));
        let mut all = [0; 8];
        all[0] = identity;
        for (index, place) in (2..8).step_by(2).enumerate() {
            let bytes: &[u8] = match self.contents.get(index) {
                Some((address, bytes)) => {
                    all[place] = *address;
                    all[place + 1] = bytes.len().min(CONTENT) as u64;
                    bytes
                }
                None => &[],
            };
            all[1] = mix_content(all[1], bytes);
        }
        rest.is_empty().then_some(all)
    }

    /// The line of the instruction at `instruction`.
    pub(crate) fn line(&self, instruction: u64) -> Result<Option<u32>, Unknown> {
        // Before its first instruction a frame of 3.11 and 3.12 points to the one before it.
        let offset = match instruction.wrapping_add(2).checked_sub(self.start) {
            Some(0) => return Ok(Some(self.code.first_line)),
            Some(after) if after % 2 == 0 => after - 2,
            _ => {
                return Err(Unknown::Inconsistent(
                    "a frame's instruction is not in its code",
                ));
            }
        };
        if offset >= self.size {
            return Err(Unknown::Inconsistent(
                "a frame's instruction is not in its code",
            ));
        }
        let index = self
            .lines
            .partition_point(|span| u64::from(span.end) <= offset);
        Ok(self.lines.get(index).and_then(|span| span.line))
    }
}

/// Reads a `str`, and remembers its bytes in `contents`.
fn string(
    memory: &impl ReadMemory,
    window: &mut Window,
    layout: &Layout,
    address: u64,
    contents: &mut Vec<(u64, Vec<u8>)>,
) -> Result<String, Unknown> {
    let header = window.bytes(memory, address, layout.string_ascii)?;
    let text =
        StringForm::parse(header, layout).ok_or(Unknown::Inconsistent("a name is not a string"))?;
    if text.size > TEXT_MAX {
        return Err(Unknown::Inconsistent("a name is longer than names are"));
    }
    let at = address + text.start as u64;
    let bytes = window.bytes(memory, at, text.size as usize)?.to_vec();
    let decoded = text.decode(&bytes);
    contents.push((at, bytes));
    Ok(decoded)
}

fn byte_string(
    memory: &impl ReadMemory,
    window: &mut Window,
    layout: &Layout,
    address: u64,
    contents: &mut Vec<(u64, Vec<u8>)>,
) -> Result<Vec<u8>, Unknown> {
    let length = window.word(memory, address.wrapping_add(layout.object_size as u64))?;
    if length > LINE_TABLE_MAX {
        return Err(Unknown::Inconsistent(
            "a location table is longer than such tables are",
        ));
    }
    let at = address + layout.bytes_data as u64;
    let bytes = if length > 4096 {
        // Too long to be fetched again at every call; a number identifies the code object, or its start must do.
        let mut bytes = vec![0; length as usize];
        memory.read(at, &mut bytes)?;
        contents.push((at, bytes[..4096].to_vec()));
        bytes
    } else {
        let bytes = window.bytes(memory, at, length as usize)?.to_vec();
        contents.push((at, bytes.clone()));
        bytes
    };
    Ok(bytes)
}

/// How the text of a compact `str` is stored (PEP 393).
pub(crate) struct StringForm {
    /// Bytes from the start of the object.
    pub(crate) start: usize,
    /// Bytes.
    pub(crate) size: u64,
    /// Bytes per code point.
    width: usize,
}

/// The state of a `str` begins with how it is interned, in so many bits: it depends on the build and the patch release. Which it is
/// shows: the number is at most 3, and the kind that follows it is never 0.
const INTERNED_BITS: [u32; 3] = [2, 8, 16];
/// `SSTATE_INTERNED_IMMORTAL_STATIC` of cpython/unicodeobject.h.
const INTERNED_MAX: u32 = 3;

impl StringForm {
    /// Reads the header of a `str`; `None` when it cannot be one, or is an instance of a subclass.
    pub(crate) fn parse(header: &[u8], layout: &Layout) -> Option<Self> {
        let length = word_in(header, layout.string_length)?;
        let state = half_in(header, layout.string_state)?;
        let interned = INTERNED_BITS
            .into_iter()
            .find(|bits| state >> bits & 7 != 0)?;
        if state & ((1 << interned) - 1) > INTERNED_MAX {
            return None;
        }
        let form = state >> interned;
        let (kind, compact, ascii) = (form & 7, form >> 3 & 1, form >> 4 & 1);
        let width = match kind {
            1 | 2 | 4 => kind as usize,
            _ => return None,
        };
        if compact != 1 || (ascii == 1 && width != 1) {
            return None;
        }
        let start = if ascii == 1 {
            layout.string_ascii
        } else {
            layout.string_other
        };
        Some(Self {
            start,
            size: length.checked_mul(width as u64)?,
            width,
        })
    }

    /// The text; a surrogate, which stands for an undecodable byte of a file name, becomes `\udcXX`.
    pub(crate) fn decode(&self, bytes: &[u8]) -> String {
        let points = bytes.chunks_exact(self.width).map(|unit| {
            unit.iter()
                .rev()
                .fold(0_u32, |point, byte| point << 8 | u32::from(*byte))
        });
        let mut text = String::with_capacity(bytes.len() / self.width);
        for point in points {
            if let Some(character) = char::from_u32(point) {
                text.push(character);
            } else {
                let _ = write!(text, "\\u{point:04x}");
            }
        }
        text
    }
}

/// Decodes a location table (Objects/locations.md) to line spans; `None` when it is malformed.
fn decode_lines(table: &[u8], first_line: u32) -> Option<Vec<Span>> {
    let mut spans: Vec<Span> = Vec::new();
    let mut line = i64::from(first_line);
    let mut end = 0_u32;
    let mut at = 0;
    while at < table.len() {
        let head = table[at];
        at += 1;
        if head & 0x80 == 0 {
            return None;
        }
        let mut has_line = true;
        let operands = match head >> 3 & 15 {
            15 => {
                has_line = false;
                0
            }
            form @ (13 | 14) => {
                line = line.checked_add(signed(table, &mut at)?)?;
                if form == 14 { 3 } else { 0 }
            }
            form @ 10..=12 => {
                line += i64::from(form - 10);
                2
            }
            _ => 1,
        };
        if head >> 3 & 15 == 14 {
            for _ in 0..operands {
                unsigned(table, &mut at)?;
            }
        } else {
            at += operands;
        }
        end = end.checked_add(u32::from(head & 7) * 2 + 2)?;
        let line = if has_line {
            u32::try_from(line).ok()
        } else {
            None
        };
        match spans.last_mut() {
            Some(last) if last.line == line => last.end = end,
            _ => spans.push(Span { end, line }),
        }
    }
    (at == table.len()).then_some(spans)
}

/// A variable-length number: six bits a byte, lowest first, bit 6 set on all but the last.
fn unsigned(table: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0;
    for shift in (0..36).step_by(6) {
        let byte = *table.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x3f) << shift;
        if byte & 0x40 == 0 {
            return Some(value);
        }
    }
    None
}

/// As [`unsigned`], with the sign in the lowest bit.
fn signed(table: &[u8], at: &mut usize) -> Option<i64> {
    let value = unsigned(table, at)?;
    let magnitude = i64::try_from(value >> 1).ok()?;
    Some(if value & 1 == 1 {
        -magnitude
    } else {
        magnitude
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(end: u32, line: u32) -> Span {
        Span {
            end,
            line: Some(line),
        }
    }

    #[test]
    fn the_form_of_a_string_shows_in_every_layout_of_its_state() {
        let layout = crate::python::layout::LAYOUT_3_11;
        let parsed = |state: u32| {
            let mut header = vec![0; layout.string_ascii];
            header[layout.string_length..][..8].copy_from_slice(&5_u64.to_le_bytes());
            header[layout.string_state..][..4].copy_from_slice(&state.to_le_bytes());
            StringForm::parse(&header, &layout).map(|form| (form.start, form.size))
        };
        for bits in INTERNED_BITS {
            for interned in 0..=INTERNED_MAX {
                // kind, compact, ascii: "hello", "größe", "größe" with a letter beyond U+FFFF.
                for (form, told) in [
                    (0b1_1001, Some((layout.string_ascii, 5))),
                    (0b0_1001, Some((layout.string_other, 5))),
                    (0b0_1100, Some((layout.string_other, 20))),
                    (0b1_1010, None),
                    (0b1_0001, None),
                    (0b1_1011, None),
                ] {
                    assert_eq!(parsed(form << bits | interned), told, "{form:b} {bits}");
                }
            }
        }
        assert_eq!(parsed(0), None);
        assert_eq!(parsed(0b1_1001 << 8 | 4), None);
    }

    #[test]
    fn location_tables_of_all_forms_are_decoded() {
        let table = [
            0x80 | 15 << 3, // no location, one instruction
            0x80 | 10 << 3 | 1,
            4,
            9, // same line, columns 4 to 9, two instructions
            0x80 | 11 << 3,
            0,
            5, // next line
            0x80,
            0x35, // short form, same line
            0x80 | 13 << 3,
            0b0001_0101, // no columns, ten lines back (21 = 10 << 1 | 1)
            0x80 | 14 << 3 | 7,
            0b0100_1000,
            0b0000_0010,
            0,
            1,
            2, // long form, 68 lines on, eight instructions
        ];
        let none = Span { end: 2, line: None };
        assert_eq!(
            decode_lines(&table, 100),
            Some(vec![
                none,
                span(6, 100),
                span(10, 101),
                span(12, 91),
                span(28, 159)
            ])
        );
    }

    #[test]
    fn cut_and_foreign_tables_are_refused() {
        assert_eq!(decode_lines(&[0x05], 1), None);
        assert_eq!(decode_lines(&[0x80 | 14 << 3, 0x40], 1), None);
        assert_eq!(decode_lines(&[0x80 | 10 << 3, 1], 1), None);
        assert_eq!(
            decode_lines(&[0x80 | 13 << 3, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f], 1),
            None
        );
        assert_eq!(decode_lines(&[], 1), Some(Vec::new()));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_a_table_or_refused(table: Vec<u8>, first_line: u32) {
            if let Some(spans) = decode_lines(&table, first_line) {
                proptest::prop_assert!(spans.windows(2).all(|pair| pair[0].end < pair[1].end));
            }
        }
    }
}
