//! What a program file or library says about unwinding its functions: call frame information, with where its parts are loaded.
//!
//! The file is the target's to make: sizes are bounded before anything is read, nothing is mapped (a file that is cut short
//! would end the tracer), and what a frame is unwound by must be of the few forms that compilers make.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::go;
use framehop::{ExplicitModuleSectionInfo, Module};
use gimli::{
    BaseAddresses, CfaRule, CieOrFde, DebugFrame, EhFrame, EhFrameHdr, EndianSlice,
    FrameDescriptionEntry, LittleEndian, RegisterRule, UnwindContext, UnwindSection, X86_64,
};
use object::elf::{
    FileHeader64, PF_X, PT_LOAD, ProgramHeader64, SHF_COMPRESSED, SHT_NOTE, SectionHeader64,
};
use object::{Endianness, pod};

const PROGRAM_HEADERS_MAX: usize = 128;
const SECTION_HEADERS_MAX: usize = 4096;
const NAMES_MAX: u64 = 1 << 20;
const NOTE_MAX: u64 = 4096;
/// No distribution's library has more call frame information (Chromium's has some 20 MB).
const SECTION_MAX: u64 = 48 << 20;
/// Without a table that finds entries all of them are read.
const UNSORTED_MAX: usize = 16 << 20;
/// Bytes of one entry: real ones have some hundred.
const ENTRY_MAX: usize = 64 << 10;
/// Addresses whose way of unwinding is remembered, per file.
const KNOWN_MAX: usize = 65_536;
const ENDIAN: Endianness = Endianness::Little;

/// Bytes that many modules share.
#[derive(Clone, Debug, Default)]
pub(super) struct Bytes(Arc<[u8]>);

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl std::ops::Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// A part of the file that is loaded.
#[derive(Clone, Copy, Debug)]
struct Segment {
    offset: u64,
    address: u64,
    size: u64,
}

/// A section of call frame information.
#[derive(Clone, Debug, Default)]
struct Section {
    address: u64,
    bytes: Bytes,
}

impl Section {
    fn range(&self) -> std::ops::Range<u64> {
        self.address..self.address.saturating_add(self.bytes.len() as u64)
    }
}

/// How the frame at an address is unwound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// By its call frame information. Where that needs the frame pointer: the address that the function begins at.
    Table { keeps_from: Option<u64> },
    /// The same, of what is for debuggers and not loaded with the program.
    Row { row: Row, keeps_from: Option<u64> },
    /// By what Go's table of functions says.
    Go(go::Frame),
    /// By its frame pointer, which this compiler keeps in every function.
    FramePointer,
    /// Nothing says how, or in a form that is not followed: the stack ends here.
    Unknown,
}

/// A row of call frame information. Places are distances from the end of the frame, the stack pointer in the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// How far that lies above the stack pointer, or above the frame pointer where `keeps_from` is said.
    pub(super) size: i64,
    /// Where it returns to.
    pub(super) back: i64,
    /// The caller's frame pointer; `None`: it has not been changed.
    pub(super) pointer: Option<i64>,
}

/// The file's call frame information.
#[derive(Debug)]
pub(super) struct Tables {
    segments: Vec<Segment>,
    frames: Option<Section>,
    /// `.eh_frame_hdr`, the table that finds an entry.
    header: Option<Section>,
    text: u64,
    /// Go keeps frame pointers on x86-64 in all functions but leaves (cmd/internal/obj/x86).
    frame_pointers: bool,
    go: Option<go::Functions>,
    /// `.debug_frame`, and by the addresses that functions begin at the places of their entries in it.
    unloaded: Option<(Bytes, Vec<(u64, usize)>)>,
    /// Of its ELF note.
    pub(super) build_id: Option<Vec<u8>>,
    known: HashMap<u64, Way>,
}

impl Tables {
    /// Reads what `file` has; `None`: it is no program or library for this machine.
    pub(super) fn read(file: &File) -> Option<Self> {
        let head = bytes_at(file, 0, size_of::<FileHeader64<Endianness>>())?;
        let (header, _) = pod::from_bytes::<FileHeader64<Endianness>>(&head).ok()?;
        let ident = &header.e_ident;
        if ident.magic != object::elf::ELFMAG || ident.class != 2 || ident.data != 1 {
            return None;
        }
        let count = usize::from(header.e_phnum.get(ENDIAN)).min(PROGRAM_HEADERS_MAX);
        let raw = bytes_at(
            file,
            header.e_phoff.get(ENDIAN),
            count * size_of::<ProgramHeader64<Endianness>>(),
        )?;
        let (programs, _) =
            pod::slice_from_bytes::<ProgramHeader64<Endianness>>(&raw, count).ok()?;
        let segments: Vec<Segment> = programs
            .iter()
            .filter(|program| program.p_type.get(ENDIAN) == PT_LOAD)
            .filter(|program| program.p_flags.get(ENDIAN) & PF_X != 0)
            .map(|program| Segment {
                offset: program.p_offset.get(ENDIAN),
                address: program.p_vaddr.get(ENDIAN),
                size: program.p_filesz.get(ENDIAN),
            })
            .collect();
        let mut tables = Self {
            segments,
            frames: None,
            header: None,
            text: 0,
            frame_pointers: false,
            go: None,
            unloaded: None,
            build_id: None,
            known: HashMap::new(),
        };
        tables.read_sections(file, header);
        Some(tables)
    }

    fn read_sections(&mut self, file: &File, header: &FileHeader64<Endianness>) -> Option<()> {
        let count = usize::from(header.e_shnum.get(ENDIAN)).min(SECTION_HEADERS_MAX);
        let raw = bytes_at(
            file,
            header.e_shoff.get(ENDIAN),
            count * size_of::<SectionHeader64<Endianness>>(),
        )?;
        let (sections, _) =
            pod::slice_from_bytes::<SectionHeader64<Endianness>>(&raw, count).ok()?;
        let names = sections.get(usize::from(header.e_shstrndx.get(ENDIAN)))?;
        let names = contents(file, names, NAMES_MAX)?;
        for section in sections {
            let name = names.get(section.sh_name.get(ENDIAN) as usize..)?;
            let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
            let read = |limit| {
                Some(Section {
                    address: section.sh_addr.get(ENDIAN),
                    bytes: Bytes(contents(file, section, limit)?.into()),
                })
            };
            match name {
                b".eh_frame" => self.frames = read(SECTION_MAX),
                b".eh_frame_hdr" => self.header = read(SECTION_MAX),
                b".text" => self.text = section.sh_addr.get(ENDIAN),
                b".debug_frame" => {
                    self.unloaded = contents(file, section, UNSORTED_MAX as u64)
                        .map(|bytes| by_address(bytes.into()));
                }
                // The second name is that of programs that may lie anywhere.
                b".gopclntab" | b".data.rel.ro.gopclntab" => {
                    self.frame_pointers = true;
                    self.go = contents(file, section, SECTION_MAX)
                        .and_then(|bytes| go::Functions::read(bytes.into()));
                }
                b".note.gnu.build-id" if section.sh_type.get(ENDIAN) == SHT_NOTE => {
                    self.build_id = contents(file, section, NOTE_MAX)
                        .and_then(|note| build_id(&note).map(<[u8]>::to_vec));
                }
                _ => {}
            }
        }
        if self.header.is_none() {
            let whole = self
                .frames
                .take_if(|frames| frames.bytes.len() > UNSORTED_MAX);
            drop(whole);
            self.header = self.sorted();
        }
        Some(())
    }

    fn bases(&self) -> BaseAddresses {
        let address = |section: &Option<Section>| section.as_ref().map_or(0, |part| part.address);
        BaseAddresses::default()
            .set_eh_frame(address(&self.frames))
            .set_eh_frame_hdr(address(&self.header))
            .set_text(self.text)
    }

    /// The table that finds an entry, as linkers make it (LSB, "The .eh_frame_hdr section"): of static programs they make none.
    fn sorted(&self) -> Option<Section> {
        const SIGNED_32_BITS_FROM_THE_TABLE: u8 = 0x3b;
        const UNSIGNED_32_BITS: u8 = 0x03;

        let frames = self.frames.as_ref()?;
        let bases = self.bases();
        let mut section = EhFrame::from(EndianSlice::new(&frames.bytes, LittleEndian));
        section.set_address_size(8);
        let mut found = Vec::new();
        let mut entries = section.entries(&bases);
        while let Ok(Some(entry)) = entries.next() {
            if let CieOrFde::Fde(partial) = entry
                && let Ok(entry) = partial.parse(EhFrame::cie_from_offset)
                && let begin = entry.initial_address().wrapping_sub(frames.address) as i64
                && let Ok(begin) = i32::try_from(begin)
                && let Ok(place) = i32::try_from(entry.offset())
            {
                found.push((begin, place));
            }
        }
        found.sort_unstable();
        let mut bytes = vec![
            1,
            SIGNED_32_BITS_FROM_THE_TABLE,
            UNSIGNED_32_BITS,
            SIGNED_32_BITS_FROM_THE_TABLE,
        ];
        bytes.extend(0i32.to_le_bytes());
        bytes.extend((found.len() as u32).to_le_bytes());
        for (begin, place) in found {
            bytes.extend(begin.to_le_bytes());
            bytes.extend(place.to_le_bytes());
        }
        Some(Section {
            address: frames.address,
            bytes: Bytes(bytes.into()),
        })
    }

    /// Bytes that are held.
    pub(super) fn size(&self) -> usize {
        let sections = [&self.frames, &self.header];
        let bytes = sections.into_iter().flatten().map(|part| part.bytes.len());
        bytes.sum::<usize>()
            + self.go.as_ref().map_or(0, go::Functions::size)
            + self.unloaded.as_ref().map_or(0, |(bytes, entries)| {
                bytes.len() + size_of_val(entries.as_slice())
            })
    }

    /// What is added to the file's own addresses where the part at `offset` is mapped at `start`.
    pub(super) fn bias(&self, start: u64, offset: u64) -> Option<u64> {
        // Whole pages are mapped.
        let segment = self.segments.iter().find(|segment| {
            (segment.offset & !0xFFF..segment.offset.saturating_add(segment.size)).contains(&offset)
        })?;
        let address = segment
            .address
            .wrapping_add(offset)
            .wrapping_sub(segment.offset);
        Some(start.wrapping_sub(address))
    }

    /// As the unwinder wants it, mapped with `bias` in `range`.
    pub(super) fn module(&self, range: std::ops::Range<u64>, bias: u64) -> Module<Bytes> {
        let mut sections = ExplicitModuleSectionInfo {
            // Differences from it must fit 32 bits.
            base_svma: range.start.wrapping_sub(bias),
            text_svma: Some(self.text..self.text),
            ..ExplicitModuleSectionInfo::default()
        };
        if let Some(frames) = &self.frames {
            sections.eh_frame_svma = Some(frames.range());
            sections.eh_frame = Some(frames.bytes.clone());
        }
        if let Some(header) = &self.header {
            sections.eh_frame_hdr_svma = Some(header.range());
            sections.eh_frame_hdr = Some(header.bytes.clone());
        }
        Module::new(String::new(), range.clone(), range.start, sections)
    }

    /// How the frame is unwound whose instruction is at `address`, of the file's own addresses. The unwinder follows more than can be
    /// trusted: it guesses by frame pointers where nothing is said, and evaluates expressions without a limit.
    pub(super) fn way(&mut self, address: u64) -> Way {
        if let Some(way) = self.known.get(&address) {
            return *way;
        }
        let way = if let Some(way) = self.by_table(address) {
            way
        } else if let Some(frame) = self.go.as_ref().and_then(|go| go.frame(address)) {
            Way::Go(frame)
        } else if let Some(way) = self.by_unloaded(address) {
            way
        } else if self.frame_pointers {
            Way::FramePointer
        } else {
            Way::Unknown
        };
        if self.known.len() < KNOWN_MAX {
            self.known.insert(address, way);
        }
        way
    }

    fn by_table(&self, address: u64) -> Option<Way> {
        let frames = self.frames.as_ref()?;
        let bases = self.bases();
        let mut section = EhFrame::from(EndianSlice::new(&frames.bytes, LittleEndian));
        section.set_address_size(8);
        let header = self.header.as_ref()?;
        let header = EhFrameHdr::new(&header.bytes, LittleEndian);
        let header = header.parse(&bases, 8).ok()?;
        let table = header.table()?;
        let pointer = table.lookup(address, &bases).ok()?;
        let place = table.pointer_to_offset(pointer).ok()?;
        let entry = section
            .fde_from_offset(&bases, place, EhFrame::cie_from_offset)
            .ok()?;
        row_of(&section, &bases, &entry, address).map(|(_, keeps_from)| Way::Table { keeps_from })
    }

    fn by_unloaded(&self, address: u64) -> Option<Way> {
        let (bytes, entries) = self.unloaded.as_ref()?;
        let after = entries.partition_point(|(begin, _)| *begin <= address);
        let (_, place) = entries.get(after.checked_sub(1)?)?;
        let (section, bases) = (debug_frame(bytes), BaseAddresses::default());
        let entry = section
            .fde_from_offset(&bases, (*place).into(), DebugFrame::cie_from_offset)
            .ok()?;
        row_of(&section, &bases, &entry, address)
            .map(|(row, keeps_from)| Way::Row { row, keeps_from })
    }
}

type Slice<'a> = EndianSlice<'a, LittleEndian>;

fn debug_frame(bytes: &Bytes) -> DebugFrame<Slice<'_>> {
    let mut section = DebugFrame::from(EndianSlice::new(bytes, LittleEndian));
    section.set_address_size(8);
    section
}

/// The entries of a `.debug_frame` by address.
fn by_address(bytes: Bytes) -> (Bytes, Vec<(u64, usize)>) {
    let (section, bases) = (debug_frame(&bytes), BaseAddresses::default());
    let mut found = Vec::new();
    let mut entries = section.entries(&bases);
    while let Ok(Some(entry)) = entries.next() {
        if let CieOrFde::Fde(partial) = entry
            && let Ok(entry) = partial.parse(DebugFrame::cie_from_offset)
        {
            found.push((entry.initial_address(), entry.offset()));
        }
    }
    found.sort_unstable();
    (bytes, found)
}

/// The row of an entry that holds at `address`, and where the frame pointer is needed the address that the function begins at. `None`: it
/// is in no form that compilers make.
fn row_of<'a, S: UnwindSection<Slice<'a>>>(
    section: &S,
    bases: &BaseAddresses,
    entry: &FrameDescriptionEntry<Slice<'a>>,
    address: u64,
) -> Option<(Row, Option<u64>)> {
    if !entry.contains(address)
        || entry.entry_len() > ENTRY_MAX
        || entry.cie().entry_len() > ENTRY_MAX
    {
        return None;
    }
    let mut context = UnwindContext::new();
    let row = entry
        .unwind_info_for_address(section, bases, &mut context, address)
        .ok()?;
    let CfaRule::RegisterAndOffset { register, offset } = row.cfa() else {
        return None;
    };
    let keeps_from = match *register {
        X86_64::RSP => None,
        X86_64::RBP => Some(entry.initial_address()),
        _ => return None,
    };
    let place = |register| match row.register(register) {
        None | Some(RegisterRule::Undefined | RegisterRule::SameValue) => Some(None),
        Some(RegisterRule::Offset(place)) => Some(Some(place)),
        Some(_) => None,
    };
    let row = Row {
        size: *offset,
        // Nothing to return to: 0, where its own end would be.
        back: place(X86_64::RA)?.unwrap_or(0),
        pointer: place(X86_64::RBP)?,
    };
    Some((row, keeps_from))
}

fn bytes_at(file: &File, offset: u64, length: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, offset).ok()?;
    Some(bytes)
}

fn contents(file: &File, section: &SectionHeader64<Endianness>, limit: u64) -> Option<Vec<u8>> {
    let size = section.sh_size.get(ENDIAN);
    let offset = section.sh_offset.get(ENDIAN);
    let compressed = section.sh_flags.get(ENDIAN) & u64::from(SHF_COMPRESSED) != 0;
    let end = offset.checked_add(size)?;
    if size > limit || compressed || end > file.metadata().ok()?.len() {
        return None;
    }
    bytes_at(file, offset, size as usize)
}

/// The description of the first note of type NT_GNU_BUILD_ID (elf.h).
fn build_id(note: &[u8]) -> Option<&[u8]> {
    let word = |at: usize| {
        let bytes = note.get(at..at + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize)
    };
    let (name, size, kind) = (word(0)?, word(4)?, word(8)?);
    if kind != object::elf::NT_GNU_BUILD_ID as usize || size == 0 || size > 64 {
        return None;
    }
    let start = 12 + name.min(NOTE_MAX as usize).next_multiple_of(4);
    note.get(start..start + size)
}
