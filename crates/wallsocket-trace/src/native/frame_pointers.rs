//! Frame pointers that nobody tells.
//!
//! `/proc/PID/syscall` gives the instruction and the stack pointer of a thread that waits, and no other register. Code that was compiled
//! without optimisation finds its frame by the frame pointer alone, and where the functions that it called have not saved that one, the
//! stack would end there. But how far it lies above the stack pointer is what the beginning of the function has taken.

/// Bytes of a function's beginning, and of what follows a call, that are read.
pub(super) const BEGIN: usize = 48;
pub(super) const BEHIND: usize = 4;
/// The longest call.
pub(super) const CALL: usize = 7;

/// `push %rbp; mov %rsp, %rbp`, in both forms that assemblers choose from.
const KEEPS: [[u8; 4]; 2] = [[0x55, 0x48, 0x89, 0xE5], [0x55, 0x48, 0x8B, 0xEC]];
/// `endbr64`.
const MARK: [u8; 4] = [0xF3, 0x0F, 0x1E, 0xFA];

/// How far below its frame pointer a function keeps the stack pointer, by its first instructions; `None`: they are not of the usual form.
pub(super) fn taken(mut code: &[u8]) -> Option<u64> {
    code = code.strip_prefix(&MARK).unwrap_or(code);
    code = KEEPS.iter().find_map(|keeps| code.strip_prefix(keeps))?;
    let mut taken: u64 = 0;
    loop {
        match code {
            // push %rbx, push %r12 to %r15
            [0x53, rest @ ..] | [0x41, 0x54..=0x57, rest @ ..] => {
                taken += 8;
                code = rest;
            }
            // sub $8 bits, %rsp
            [0x48, 0x83, 0xEC, size, ..] => return taken.checked_add_signed((*size as i8).into()),
            // add $8 bits, %rsp: of -128
            [0x48, 0x83, 0xC4, size, ..] => return taken.checked_sub_signed((*size as i8).into()),
            // sub $32 bits, %rsp
            [0x48, 0x81, 0xEC, a, b, c, d, ..] => {
                let size = i32::from_le_bytes([*a, *b, *c, *d]);
                return taken.checked_add_signed(size.into());
            }
            // It takes no more, or in a way that what stands on the stack will not fit to.
            _ => return Some(taken),
        }
    }
}

/// Bytes of arguments on the stack that are taken away behind a call: `add $8 bits, %rsp`.
pub(super) fn passed(behind: &[u8]) -> u64 {
    match behind {
        [0x48, 0x83, 0xC4, size, ..] if *size < 0x80 => (*size).into(),
        _ => 0,
    }
}

/// Whether code ends with a call: what stands on the stack is the place behind one, or no place to return to.
pub(super) fn ends_with_call(code: &[u8]) -> bool {
    /// Of the byte behind 0xFF: what is done, by what is called, and how that is written.
    const CALLS: u8 = 2;

    let byte = |back: usize| code.len().checked_sub(back).and_then(|at| code.get(at));
    if byte(5) == Some(&0xE8) {
        return true;
    }
    (2..=CALL).any(|length| {
        let (Some(0xFF), Some(form)) = (byte(length), byte(length - 1)) else {
            return false;
        };
        let (mode, kind, register) = (form >> 6, form >> 3 & 7, form & 7);
        let index = usize::from(mode != 3 && register == 4);
        let distance = match mode {
            0 if register == 5 => 4,
            0 | 3 => 0,
            1 => 1,
            _ => 4,
        };
        kind == CALLS && length == 2 + index + distance
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_a_function_says_what_it_takes() {
        for (code, expected) in [
            // push %rbp; mov %rsp, %rbp; sub $0x140, %rsp
            (
                &[0x55, 0x48, 0x89, 0xE5, 0x48, 0x81, 0xEC, 0x40, 1, 0, 0][..],
                Some(0x140),
            ),
            // with endbr64 and push %rbx; sub $0x18, %rsp
            (
                &[
                    0xF3, 0x0F, 0x1E, 0xFA, 0x55, 0x48, 0x89, 0xE5, 0x53, 0x48, 0x83, 0xEC, 0x18,
                ],
                Some(0x20),
            ),
            // add $-128, %rsp
            (
                &[0x55, 0x48, 0x89, 0xE5, 0x48, 0x83, 0xC4, 0x80],
                Some(0x80),
            ),
            // push %r12; lea …
            (
                &[0x55, 0x48, 0x89, 0xE5, 0x41, 0x54, 0x48, 0x8D, 0x45],
                Some(8),
            ),
            // A function without a frame pointer; nothing.
            (&[0x53, 0x48, 0x83, 0xEC, 0x10], None),
            (&[], None),
        ] {
            assert_eq!(taken(code), expected, "{code:x?}");
        }
        assert_eq!(passed(&[0x48, 0x83, 0xC4, 0x10]), 16);
        assert_eq!(passed(&[0x48, 0x83, 0xC4, 0x80]), 0);
        assert_eq!(passed(&[0x89]), 0);
    }

    #[test]
    fn a_call_is_recognised_by_its_end() {
        for code in [
            &[0, 0, 0xE8, 1, 2, 3, 4][..],
            // call *%rax, *%r12, *(%rax), *8(%rbx), *8(%rsp), *0x100(%rdi), *N(%rip), *0x100(%rsp)
            &[0, 0, 0, 0, 0, 0xFF, 0xD0],
            &[0, 0, 0, 0, 0x41, 0xFF, 0xD4],
            &[0, 0, 0, 0, 0, 0xFF, 0x10],
            &[0, 0, 0, 0, 0xFF, 0x53, 8],
            &[0, 0, 0, 0xFF, 0x54, 0x24, 8],
            &[0, 0xFF, 0x97, 0, 1, 0, 0],
            &[0, 0xFF, 0x15, 1, 2, 3, 4],
            &[0xFF, 0x94, 0x24, 0, 1, 0, 0],
        ] {
            assert!(ends_with_call(code), "{code:x?}");
        }
        // jmp *%rax, push (%rax), ret, nothing.
        for code in [&[0, 0xFF, 0xE0][..], &[0, 0xFF, 0x30], &[0xC9, 0xC3], &[]] {
            assert!(!ends_with_call(code), "{code:x?}");
        }
    }
}
