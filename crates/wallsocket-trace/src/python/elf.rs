//! Finding symbols of a running program: in its own memory (the dynamic symbols the loader uses), else in its file.
//!
//! Only what is needed here of ELF64, little endian. Every number in a file or in memory is untrusted.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::memory::{ReadMemory, half_in, word_in};

/// `.symtab` sections and string tables above this are not searched.
const TABLE_MAX: u64 = 64 << 20;
/// Longest chain followed in a hash table.
const CHAIN_MAX: u32 = 65_536;
const PROGRAM_HEADERS_MAX: u64 = 128;
const SECTION_HEADERS_MAX: u64 = 4096;
const SYMBOL_SIZE: u64 = 24;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const SHT_SYMTAB: u32 = 2;
const DT_HASH: u64 = 4;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_GNU_HASH: u64 = 0x6fff_fef5;

/// The ELF header's fields used here.
struct Header {
    program_headers: u64,
    program_header_count: u64,
    section_headers: u64,
    section_header_count: u64,
    /// The number of the section with the names of all.
    section_names: u64,
}

impl Header {
    /// That of a file.
    fn read(file: &File) -> Option<Self> {
        let mut head = [0; 64];
        file.read_exact_at(&mut head, 0).ok()?;
        Self::parse(&head)
    }

    /// The header of a section of the file.
    fn section(&self, file: &File, index: u64) -> Option<[u8; 64]> {
        let mut bytes = [0; 64];
        file.read_exact_at(&mut bytes, self.section_headers.checked_add(index * 64)?)
            .ok()?;
        Some(bytes)
    }

    /// `None` unless this is a 64-bit little-endian executable or shared object.
    fn parse(bytes: &[u8; 64]) -> Option<Self> {
        let short = |offset: usize| u16::from_le_bytes([bytes[offset], bytes[offset + 1]]);
        let executable_or_shared = matches!(short(16), 2 | 3);
        if bytes[..6] != *b"\x7fELF\x02\x01" || !executable_or_shared {
            return None;
        }
        Some(Self {
            program_headers: word_in(bytes, 32)?,
            program_header_count: u64::from(short(56)).min(PROGRAM_HEADERS_MAX),
            section_headers: word_in(bytes, 40)?,
            section_header_count: u64::from(short(60)).min(SECTION_HEADERS_MAX),
            section_names: u64::from(short(62)),
        })
    }
}

/// A program or library as it is loaded.
pub(crate) struct Loaded<'memory, M> {
    memory: &'memory M,
    /// Added to an address in the file to get the address in memory.
    bias: u64,
    strings: u64,
    symbols: u64,
    gnu_hash: Option<u64>,
    hash: Option<u64>,
}

impl<'memory, M: ReadMemory> Loaded<'memory, M> {
    /// Reads the headers of the object whose first byte is mapped at `base`.
    pub(crate) fn open(memory: &'memory M, base: u64) -> Option<Self> {
        let header = Header::parse(&memory.array(base).ok()?)?;
        let mut bias = None;
        let mut dynamic = None;
        for index in 0..header.program_header_count {
            let at = base
                .checked_add(header.program_headers)?
                .checked_add(index * 56)?;
            let program: [u8; 56] = memory.array(at).ok()?;
            let (offset, address, size) = (
                word_in(&program, 8)?,
                word_in(&program, 16)?,
                word_in(&program, 40)?,
            );
            match half_in(&program, 0)? {
                PT_LOAD if offset == 0 => bias = Some(base.wrapping_sub(address)),
                PT_DYNAMIC => dynamic = Some((address, size)),
                _ => {}
            }
        }
        let bias = bias?;
        let mut loaded = Self {
            memory,
            bias,
            strings: 0,
            symbols: 0,
            gnu_hash: None,
            hash: None,
        };
        let (address, size) = dynamic?;
        // The loader turns addresses in the dynamic section into absolute ones; some loaders leave them alone.
        let absolute = |value: u64| {
            if value < bias {
                value.wrapping_add(bias)
            } else {
                value
            }
        };
        for index in 0..(size / 16).min(256) {
            let entry: [u8; 16] = memory
                .array(address.wrapping_add(bias).wrapping_add(index * 16))
                .ok()?;
            let value = word_in(&entry, 8)?;
            match word_in(&entry, 0)? {
                0 => break,
                DT_STRTAB => loaded.strings = absolute(value),
                DT_SYMTAB => loaded.symbols = absolute(value),
                DT_HASH => loaded.hash = Some(absolute(value)),
                DT_GNU_HASH => loaded.gnu_hash = Some(absolute(value)),
                _ => {}
            }
        }
        (loaded.strings != 0 && loaded.symbols != 0).then_some(loaded)
    }

    /// Address in memory of an exported symbol.
    pub(crate) fn symbol(&self, name: &str) -> Option<u64> {
        match (self.gnu_hash, self.hash) {
            (Some(table), _) => self.by_gnu_hash(table, name),
            (None, Some(table)) => self.by_hash(table, name),
            (None, None) => None,
        }
    }

    fn by_gnu_hash(&self, table: u64, name: &str) -> Option<u64> {
        let header: [u8; 16] = self.memory.array(table).ok()?;
        let buckets = half_in(&header, 0)?;
        let first_symbol = half_in(&header, 4)?;
        let bloom_words = half_in(&header, 8)?;
        if buckets == 0 {
            return None;
        }
        let hash = name.bytes().fold(5381_u32, |hash, byte| {
            hash.wrapping_mul(33).wrapping_add(u32::from(byte))
        });
        let bucket_table = table.checked_add(16 + u64::from(bloom_words) * 8)?;
        let chains = bucket_table.checked_add(u64::from(buckets) * 4)?;
        let bucket = bucket_table + u64::from(hash % buckets) * 4;
        let mut symbol = u32::from_le_bytes(self.memory.array(bucket).ok()?);
        if symbol < first_symbol {
            return None;
        }
        for _ in 0..CHAIN_MAX {
            let link = u32::from_le_bytes(
                self.memory
                    .array(chains + u64::from(symbol - first_symbol) * 4)
                    .ok()?,
            );
            if link | 1 == hash | 1
                && let Some(address) = self.symbol_if_named(symbol, name)
            {
                return Some(address);
            }
            if link & 1 == 1 {
                return None;
            }
            symbol = symbol.checked_add(1)?;
        }
        None
    }

    fn by_hash(&self, table: u64, name: &str) -> Option<u64> {
        let header: [u8; 8] = self.memory.array(table).ok()?;
        let (buckets, chains) = (half_in(&header, 0)?, half_in(&header, 4)?);
        if buckets == 0 {
            return None;
        }
        let hash = name.bytes().fold(0_u32, |hash, byte| {
            let hash = (hash << 4).wrapping_add(u32::from(byte));
            let high = hash & 0xf000_0000;
            (hash ^ (high >> 24)) & !high
        });
        let entry = |index: u64| {
            self.memory
                .array(table + 8 + index * 4)
                .ok()
                .map(u32::from_le_bytes)
        };
        let mut symbol = entry(u64::from(hash % buckets))?;
        for _ in 0..CHAIN_MAX.min(chains) {
            if symbol == 0 {
                return None;
            }
            if let Some(address) = self.symbol_if_named(symbol, name) {
                return Some(address);
            }
            symbol = entry(u64::from(buckets) + u64::from(symbol))?;
        }
        None
    }

    fn symbol_if_named(&self, index: u32, name: &str) -> Option<u64> {
        let symbol: [u8; 24] = self
            .memory
            .array(self.symbols.checked_add(u64::from(index) * SYMBOL_SIZE)?)
            .ok()?;
        let address = defined(&symbol)?;
        let mut text = vec![0; name.len() + 1];
        self.memory
            .read(
                self.strings.checked_add(u64::from(half_in(&symbol, 0)?))?,
                &mut text,
            )
            .ok()?;
        (text.split_last() == Some((&0, name.as_bytes()))).then(|| address.wrapping_add(self.bias))
    }
}

/// The value of a symbol that is defined in this object.
fn defined(symbol: &[u8]) -> Option<u64> {
    let section = u16::from_le_bytes([*symbol.get(6)?, *symbol.get(7)?]);
    let value = word_in(symbol, 8)?;
    (section != 0 && value != 0).then_some(value)
}

/// Addresses (as in the file) of `names` in the full symbol table of a file; absent ones are `None`.
///
/// For programs that export nothing, such as static ones. `None` when the file has no such table.
pub(crate) fn symbols_in_file<const N: usize>(
    file: &File,
    names: [&str; N],
) -> Option<[Option<u64>; N]> {
    let header = Header::read(file)?;
    let section = |index| header.section(file, index);
    let table = (0..header.section_header_count)
        .filter_map(section)
        .find(|bytes| half_in(bytes, 4) == Some(SHT_SYMTAB))?;
    let strings = section(u64::from(half_in(&table, 40)?))?;
    let text = contents(file, &strings)?;
    let symbols = contents(file, &table)?;
    let mut found = [None; N];
    for symbol in symbols.chunks_exact(SYMBOL_SIZE as usize) {
        let Some(name) = half_in(symbol, 0).and_then(|at| text.get(at as usize..)) else {
            continue;
        };
        for (slot, wanted) in found.iter_mut().zip(names) {
            if slot.is_none()
                && name.starts_with(wanted.as_bytes())
                && name.get(wanted.len()) == Some(&0)
            {
                *slot = defined(symbol);
            }
        }
    }
    Some(found)
}

/// The bytes of the section `name` of a file, if it has as many as that.
pub(crate) fn section_in_file(file: &File, name: &str, size: usize) -> Option<Vec<u8>> {
    let header = Header::read(file)?;
    let section = |index| header.section(file, index);
    let names = contents(file, &section(header.section_names)?)?;
    let found = (0..header.section_header_count)
        .filter_map(section)
        .find(|bytes| {
            let at = half_in(bytes, 0).and_then(|at| names.get(at as usize..));
            at.is_some_and(|at| {
                at.strip_prefix(name.as_bytes())
                    .is_some_and(|rest| rest.first() == Some(&0))
            })
        })?;
    (word_in(&found, 32) == Some(size as u64))
        .then(|| contents(file, &found))
        .flatten()
}

/// The lowest address that the file wants to be loaded at (0 for what may be loaded anywhere).
pub(crate) fn load_address(file: &File) -> Option<u64> {
    let header = Header::read(file)?;
    for index in 0..header.program_header_count {
        let mut program = [0; 56];
        file.read_exact_at(
            &mut program,
            header.program_headers.checked_add(index * 56)?,
        )
        .ok()?;
        if half_in(&program, 0)? == PT_LOAD && word_in(&program, 8)? == 0 {
            return word_in(&program, 16);
        }
    }
    None
}

fn contents(file: &File, section: &[u8; 64]) -> Option<Vec<u8>> {
    let (offset, size) = (word_in(section, 24)?, word_in(section, 32)?);
    if size > TABLE_MAX || offset.checked_add(size)? > file.metadata().ok()?.len() {
        return None;
    }
    let mut bytes = vec![0; size as usize];
    file.read_exact_at(&mut bytes, offset).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::ProcessMemory;
    use super::*;

    /// An executable with a full symbol table and nothing else.
    fn static_program() -> Vec<u8> {
        let strings = b"\0_PyRuntime_not\0_PyRuntime\0Py_Version\0";
        let symbol = |name: u32, section: u16, value: u64| {
            let mut bytes = name.to_le_bytes().to_vec();
            bytes.extend([0x11, 0]); // a global object
            bytes.extend(section.to_le_bytes());
            bytes.extend(value.to_le_bytes());
            bytes.extend(8_u64.to_le_bytes());
            bytes
        };
        let symbols = [
            symbol(0, 0, 0),
            symbol(1, 1, 0x1000),
            symbol(16, 1, 0x40_2000),
            symbol(27, 0, 0),
        ]
        .concat();
        let mut bytes = vec![0; 64];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[16] = 2; // an executable at a fixed address
        bytes[32] = 64; // where the program headers are
        bytes[54..58].copy_from_slice(&[56, 0, 1, 0]); // their size and number
        let mut program = vec![0; 56];
        program[0] = 1; // loaded
        program[16..24].copy_from_slice(&0x40_0000_u64.to_le_bytes());
        bytes.extend(program);
        let strings_at = bytes.len() as u64;
        bytes.extend(strings);
        let symbols_at = bytes.len() as u64;
        bytes.extend(&symbols);
        let sections_at = bytes.len() as u64;
        for (kind, at, size, link) in [
            (0_u32, 0, 0, 0_u32),
            (3, strings_at, strings.len() as u64, 0),
            (2, symbols_at, symbols.len() as u64, 1),
        ] {
            let mut section = vec![0; 64];
            section[4..8].copy_from_slice(&kind.to_le_bytes());
            section[24..32].copy_from_slice(&at.to_le_bytes());
            section[32..40].copy_from_slice(&size.to_le_bytes());
            section[40..44].copy_from_slice(&link.to_le_bytes());
            bytes.extend(section);
        }
        bytes[40..48].copy_from_slice(&sections_at.to_le_bytes());
        bytes[58..62].copy_from_slice(&[64, 0, 3, 0]); // size and number of the section headers
        bytes
    }

    fn file(bytes: &[u8]) -> File {
        let mut file = nix::unistd::mkstemp(&std::env::temp_dir().join("wallsocket-elf-XXXXXX"))
            .map(|(file, path)| {
                std::fs::remove_file(path).expect("just made");
                File::from(file)
            });
        let file = file.as_mut().expect("a temporary file");
        file.write_all(bytes).expect("space");
        file.try_clone().expect("a descriptor")
    }

    #[test]
    fn symbols_of_a_static_program_are_found_in_its_file() {
        let file = file(&static_program());
        let found = symbols_in_file(&file, ["_PyRuntime", "Py_Version", "PyCode_Type"]);
        // `Py_Version` is named there, but not defined.
        assert_eq!(found, Some([Some(0x40_2000), None, None]));
        assert_eq!(load_address(&file), Some(0x40_0000));
    }

    #[test]
    fn exported_symbols_are_found_in_memory() {
        let maps = std::fs::read_to_string("/proc/self/maps").expect("own maps");
        let line = maps
            .lines()
            .find(|line| line.contains("/libc.so.6"))
            .expect("a C library");
        let start =
            u64::from_str_radix(line.split('-').next().expect("a range"), 16).expect("hexadecimal");
        let memory = ProcessMemory::new(i32::try_from(std::process::id()).expect("a pid fits"));
        let library = Loaded::open(&memory, start).expect("a loaded library");
        for (name, address) in [
            ("getpid", libc::getpid as *const () as u64),
            ("listen", libc::listen as *const () as u64),
        ] {
            assert_eq!(library.symbol(name), Some(address), "{name}");
        }
        assert_eq!(library.symbol("_PyRuntime"), None);
        assert!(Loaded::open(&memory, start + 4096).is_none());
    }

    proptest::proptest! {
        #[test]
        fn any_change_of_a_file_does_no_harm(
            flips in proptest::collection::vec((proptest::prelude::any::<proptest::sample::Index>(), 0_u8..), 1..10),
        ) {
            let mut bytes = static_program();
            for (at, value) in flips {
                *at.get_mut(&mut bytes) = value;
            }
            let file = file(&bytes);
            let _ = symbols_in_file(&file, ["_PyRuntime", "Py_Version", "PyCode_Type"]);
            let _ = load_address(&file);
        }
    }
}
