//! The seccomp filters that decide which system calls stop for the tracer.
//!
//! Filters can be added but never removed, and of several the strictest answer wins. So a program starts with
//! [`first`], which stops only at calls that can give it a socket, and gets [`later`] at the first of them. Descriptors
//! 0–2 are left out of `read`, `write` and `close` while they are no sockets: [`streams`] adds them when they become some.

use wallsocket_ring::{GATE_RETURN, REQUEST};
use wallsocket_sys::seccomp::Instruction;

use crate::syscalls;

/// The data of our filters' answers: a program's own filter may ask for a tracer, too, and gets none.
pub const OURS: u16 = 0x5753;

// linux/bpf_common.h, linux/seccomp.h, linux/audit.h
const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const JUMP_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const JUMP_GREATER_OR_EQUAL: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const JUMP_ANY_BIT: u16 = 0x45; // BPF_JMP | BPF_JSET | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K
const ALLOW: u32 = 0x7FFF_0000;
const TRACE: u32 = 0x7FF0_0000 | OURS as u32;
const ERRNO: u32 = 0x0005_0000;
const AUDIT_ARCH_X86_64: u32 = 0xC000_003E;
// struct seccomp_data
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const INSTRUCTION_POINTER: u32 = 8;
const ARGUMENT_0: u32 = 16;
const ARGUMENT_1: u32 = 24;

const fn statement(code: u16, k: u32) -> Instruction {
    Instruction {
        code,
        jump_true: 0,
        jump_false: 0,
        k,
    }
}

/// `if A == k` skip `jump_true` instructions, else `jump_false`.
const fn equal(k: u32, jump_true: u8, jump_false: u8) -> Instruction {
    Instruction {
        code: JUMP_EQUAL,
        jump_true,
        jump_false,
        k,
    }
}

const fn at_least(k: u32, jump_true: u8, jump_false: u8) -> Instruction {
    Instruction {
        code: JUMP_GREATER_OR_EQUAL,
        jump_true,
        jump_false,
        k,
    }
}

const fn any_bit(k: u32, jump_true: u8, jump_false: u8) -> Instruction {
    Instruction {
        code: JUMP_ANY_BIT,
        jump_true,
        jump_false,
        k,
    }
}

/// Programs of another architecture (32-bit) are let through: their numbers mean other calls. With `gate`, so are calls that the
/// preloaded library makes: it records them itself. It comes first because it is what most calls are then.
fn head(gate: bool) -> Vec<Instruction> {
    let mut program = Vec::new();
    if gate {
        program.extend([
            statement(LOAD, INSTRUCTION_POINTER),
            equal(GATE_RETURN as u32, 0, 3),
            statement(LOAD, INSTRUCTION_POINTER + 4),
            equal((GATE_RETURN >> 32) as u32, 0, 1),
            statement(RETURN, ALLOW),
        ]);
    }
    program.extend([
        statement(LOAD, ARCHITECTURE),
        equal(AUDIT_ARCH_X86_64, 1, 0),
        statement(RETURN, ALLOW),
        statement(LOAD, NUMBER),
    ]);
    program
}

/// Adds `when A == number: answer`.
fn answer(program: &mut Vec<Instruction>, number: u32, answer: u32) {
    program.push(equal(number, 0, 1));
    program.push(statement(RETURN, answer));
}

/// Adds the calls that have to do with tracing itself: those that install filters, and those that make a child which no
/// tracer sees. What `clone3` is asked to do stands in memory, which a filter cannot read.
fn guard(program: &mut Vec<Instruction>) {
    answer(program, libc::SYS_seccomp as u32, TRACE);
    answer(program, libc::SYS_clone3 as u32, TRACE);
    for (number, condition) in [
        (libc::SYS_prctl, equal(libc::PR_SET_SECCOMP as u32, 0, 1)),
        (libc::SYS_clone, any_bit(libc::CLONE_UNTRACED as u32, 0, 1)),
    ] {
        program.extend([
            equal(number as u32, 0, 4),
            statement(LOAD, ARGUMENT_0),
            condition,
            statement(RETURN, TRACE),
            statement(RETURN, ALLOW),
        ]);
    }
}

/// Has a call stop, or fail with ENOSYS where it is `io_uring_setup` and denied.
fn answer_call(program: &mut Vec<Instruction>, number: u32, deny_io_uring: bool) {
    let denied = deny_io_uring && number == libc::SYS_io_uring_setup as u32;
    let verdict = if denied {
        ERRNO | libc::ENOSYS as u32
    } else {
        TRACE
    };
    answer(program, number, verdict);
}

/// The filter from the start: calls that can give a program a socket, and those that would hide it from us. With `deny_io_uring`, `io_uring_setup` fails with ENOSYS.
///
/// With `gate`, calls from the preloaded library's gate are let through, and its requests stop.
pub fn first(deny_io_uring: bool, gate: bool) -> Vec<Instruction> {
    let mut program = head(gate);
    if gate {
        answer(&mut program, REQUEST, TRACE);
    }
    for call in syscalls::first() {
        answer_call(&mut program, call.number(), deny_io_uring);
    }
    guard(&mut program);
    program.push(statement(RETURN, ALLOW));
    program
}

/// Calls before which confined threads get their cores back: see `tracer/near.rs`.
const OF_CORES: [i64; 2] = [libc::SYS_sched_getaffinity, libc::SYS_sched_setaffinity];

/// The filter of a program that has sockets. `deny_io_uring` and `gate` as in [`first`].
pub fn later(deny_io_uring: bool, gate: bool) -> Vec<Instruction> {
    let mut program = head(gate);
    for call in syscalls::later() {
        match i64::from(call.number()) {
            // Descriptors above 2 only; `streams` has the others.
            libc::SYS_read
            | libc::SYS_write
            | libc::SYS_readv
            | libc::SYS_writev
            | libc::SYS_close => {
                program.extend([
                    equal(call.number(), 0, 4),
                    statement(LOAD, ARGUMENT_0),
                    at_least(3, 0, 1),
                    statement(RETURN, TRACE),
                    statement(RETURN, ALLOW),
                ]);
            }
            libc::SYS_fcntl => {
                let commands = [
                    libc::F_DUPFD,
                    libc::F_SETFD,
                    libc::F_GETFL,
                    libc::F_SETFL,
                    libc::F_DUPFD_CLOEXEC,
                ];
                program.extend([
                    equal(call.number(), 0, commands.len() as u8 * 2 + 2),
                    statement(LOAD, ARGUMENT_1),
                ]);
                for command in commands {
                    answer(&mut program, command as u32, TRACE);
                }
                program.push(statement(RETURN, ALLOW));
            }
            libc::SYS_ioctl => {
                let requests = [
                    libc::FIONBIO,
                    libc::FIONREAD,
                    libc::TIOCOUTQ,
                    libc::FIOCLEX,
                    libc::FIONCLEX,
                ]
                .map(|r| r as u32);
                program.extend([
                    equal(call.number(), 0, requests.len() as u8 * 2 + 5),
                    statement(LOAD, ARGUMENT_1),
                ]);
                for request in requests {
                    answer(&mut program, request, TRACE);
                }
                // The socket requests, SIOC…: 0x8900 to 0x89ff.
                program.extend([
                    at_least(0x8900, 0, 2),
                    at_least(0x8A00, 1, 0),
                    statement(RETURN, TRACE),
                    statement(RETURN, ALLOW),
                ]);
            }
            _ => answer_call(&mut program, call.number(), deny_io_uring),
        }
    }
    for number in OF_CORES {
        answer(&mut program, number as u32, TRACE);
    }
    program.push(statement(RETURN, ALLOW));
    program
}

/// The filter for programs whose descriptors 0–2 are sockets. `gate` as in [`first`].
pub fn streams(gate: bool) -> Vec<Instruction> {
    let mut program = head(gate);
    for number in [
        libc::SYS_read,
        libc::SYS_write,
        libc::SYS_readv,
        libc::SYS_writev,
        libc::SYS_close,
    ] {
        program.extend([
            equal(number as u32, 0, 4),
            statement(LOAD, ARGUMENT_0),
            at_least(3, 0, 1),
            statement(RETURN, ALLOW),
            statement(RETURN, TRACE),
        ]);
    }
    program.push(statement(RETURN, ALLOW));
    program
}

/// A filter that stops at getppid only: to measure what a stop costs.
pub fn probe() -> Vec<Instruction> {
    let mut program = head(false);
    answer(&mut program, libc::SYS_getppid as u32, TRACE);
    program.push(statement(RETURN, ALLOW));
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel would answer: a small interpreter of the operations used above.
    fn run(program: &[Instruction], number: i64, arguments: [u64; 2]) -> u32 {
        run_from(program, number, arguments, 0x7F00_0000_1234)
    }

    fn run_from(
        program: &[Instruction],
        number: i64,
        arguments: [u64; 2],
        instruction_pointer: u64,
    ) -> u32 {
        let mut accumulator = 0u32;
        let mut next = 0;
        loop {
            let instruction = program[next];
            next += 1;
            let jump = |yes: bool| {
                usize::from(if yes {
                    instruction.jump_true
                } else {
                    instruction.jump_false
                })
            };
            match instruction.code {
                LOAD => {
                    accumulator = match instruction.k {
                        NUMBER => number as u32,
                        INSTRUCTION_POINTER => instruction_pointer as u32,
                        8.. if instruction.k == INSTRUCTION_POINTER + 4 => {
                            (instruction_pointer >> 32) as u32
                        }
                        ARCHITECTURE => AUDIT_ARCH_X86_64,
                        ARGUMENT_0 => arguments[0] as u32,
                        ARGUMENT_1 => arguments[1] as u32,
                        other => panic!("load of {other}"),
                    }
                }
                JUMP_ANY_BIT => next += jump(accumulator & instruction.k != 0),
                JUMP_EQUAL => next += jump(accumulator == instruction.k),
                JUMP_GREATER_OR_EQUAL => next += jump(accumulator >= instruction.k),
                RETURN => return instruction.k,
                other => panic!("operation {other}"),
            }
        }
    }

    #[test]
    fn a_program_without_sockets_stops_only_where_it_can_get_one() {
        let program = first(false, false);
        let stops: Vec<i64> = (0..500)
            .filter(|number| run(&program, *number, [5, 0]) == TRACE)
            .collect();
        assert_eq!(
            stops,
            [
                libc::SYS_socket,
                libc::SYS_socketpair,
                libc::SYS_seccomp,
                libc::SYS_io_uring_setup,
                libc::SYS_clone3,
                libc::SYS_pidfd_getfd
            ]
        );
    }

    #[test]
    fn calls_from_the_gate_pass_and_no_others() {
        for program in [first(false, true), later(false, true), streams(true)] {
            let from = |address| run_from(&program, libc::SYS_read, [0, 0], address);
            assert_eq!(from(GATE_RETURN), ALLOW);
            assert_eq!(
                from(GATE_RETURN + (1 << 32)),
                from(GATE_RETURN + 1),
                "only there"
            );
        }
        let elsewhere = |program: &[Instruction], fd| run(program, libc::SYS_read, [fd, 0]);
        assert_eq!(elsewhere(&later(false, true), 5), TRACE);
        assert_eq!(elsewhere(&streams(true), 0), TRACE);
        assert_eq!(run(&first(false, true), i64::from(REQUEST), [0, 0]), TRACE);
        assert_eq!(run(&first(false, false), i64::from(REQUEST), [0, 0]), ALLOW);
    }

    #[test]
    fn calls_that_would_hide_the_program_stop() {
        let program = first(false, false);
        let thread = (libc::CLONE_VM | libc::CLONE_THREAD) as u64;
        let untraced = libc::CLONE_UNTRACED as u64;
        for (number, argument, expected) in [
            (libc::SYS_clone, thread, ALLOW),
            (libc::SYS_clone, thread | untraced, TRACE),
            (libc::SYS_prctl, libc::PR_SET_NAME as u64, ALLOW),
            (libc::SYS_prctl, libc::PR_SET_SECCOMP as u64, TRACE),
        ] {
            assert_eq!(run(&program, number, [argument, 0]), expected);
        }
    }

    #[test]
    fn every_followed_call_stops() {
        let program = later(false, false);
        let expected: std::collections::BTreeSet<i64> = syscalls::later()
            .map(|call| i64::from(call.number()))
            .chain(OF_CORES)
            .collect();
        let stops: std::collections::BTreeSet<i64> = (0..500)
            .filter(|number| run(&program, *number, [5, libc::F_SETFL as u64]) == TRACE)
            .collect();
        assert_eq!(stops, &expected - &[libc::SYS_ioctl].into());
    }

    #[test]
    fn standard_streams_stop_only_when_they_are_sockets() {
        for number in [
            libc::SYS_read,
            libc::SYS_write,
            libc::SYS_readv,
            libc::SYS_writev,
            libc::SYS_close,
        ] {
            for fd in 0..5 {
                let (wanted_later, wanted_streams) = if fd >= 3 {
                    (TRACE, ALLOW)
                } else {
                    (ALLOW, TRACE)
                };
                assert_eq!(run(&later(false, false), number, [fd, 0]), wanted_later);
                assert_eq!(run(&streams(false), number, [fd, 0]), wanted_streams);
            }
        }
    }

    #[test]
    fn ioctl_and_fcntl_stop_for_socket_requests_only() {
        let program = later(false, false);
        let ioctl = |request: u64| run(&program, libc::SYS_ioctl, [5, request]);
        for request in [
            libc::FIONBIO,
            libc::FIONREAD,
            libc::TIOCOUTQ,
            0x8905,
            0x8927,
            0x8900,
            0x89FF,
        ] {
            assert_eq!(ioctl(request), TRACE, "{request:#x}");
        }
        for request in [libc::TCGETS, libc::TIOCGWINSZ, 0x8A00, 0x88FF, 0x1_0000] {
            assert_eq!(ioctl(request), ALLOW, "{request:#x}");
        }
        let fcntl = |command: i32| run(&program, libc::SYS_fcntl, [5, command as u64]);
        assert_eq!(fcntl(libc::F_DUPFD_CLOEXEC), TRACE);
        assert_eq!(fcntl(libc::F_GETFD), ALLOW);
        assert_eq!(fcntl(libc::F_SETLK), ALLOW);
    }

    #[test]
    fn io_uring_can_be_denied() {
        for program in [first(true, false), later(true, true)] {
            assert_eq!(
                run(&program, libc::SYS_io_uring_setup, [0, 0]),
                ERRNO | libc::ENOSYS as u32
            );
        }
    }

    #[test]
    fn programs_fit_the_kernel_limit() {
        // BPF_MAXINSNS, linux/bpf_common.h; and the page that they are placed in.
        for program in [first(true, true), later(true, true), streams(true)] {
            assert!(program.len() * 8 + 16 <= 4096);
        }
    }
}
