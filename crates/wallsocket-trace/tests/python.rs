//! Reads a real interpreter once, then the recording of its memory: the same again, and with bytes flipped.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use wallsocket_trace::python::{
    Anchors, Frame, Interpreter, ProcessMemory, Range, ReadMemory, Task, TopFrame, Unknown,
};

const PROGRAM: &str = "
import asyncio, os, socket

async def first(sock):
    await asyncio.get_running_loop().sock_recv(sock, 10)

async def second(task):
    await task

async def main():
    sock, other = socket.socketpair()
    sock.setblocking(False)
    task = asyncio.create_task(first(sock), name='first')
    waiting = asyncio.create_task(second(task), name='second')
    await asyncio.sleep(0.01)
    print(os.getpid(), sock.fileno(), flush=True)
    input()

asyncio.run(main())
";

/// What was read, by address.
#[derive(Debug, Default, Clone)]
struct Recording {
    pieces: Vec<(u64, Vec<u8>)>,
}

impl ReadMemory for Recording {
    fn read_ranges(&self, ranges: &[Range], buffer: &mut [u8]) -> Result<usize, Unknown> {
        let mut done = 0;
        for range in ranges {
            let found = self.pieces.iter().find_map(|(address, bytes)| {
                let skip = usize::try_from(range.address.checked_sub(*address)?).ok()?;
                bytes.get(skip..skip.checked_add(range.length)?)
            });
            let Some(bytes) = found else {
                return if done > 0 {
                    Ok(done)
                } else {
                    Err(Unknown::Unreadable(range.address))
                };
            };
            buffer[done..done + range.length].copy_from_slice(bytes);
            done += range.length;
        }
        Ok(done)
    }
}

/// Memory that remembers what was read from it.
struct Recorder<'a> {
    memory: ProcessMemory,
    recording: &'a RefCell<Recording>,
}

impl ReadMemory for Recorder<'_> {
    fn read_ranges(&self, ranges: &[Range], buffer: &mut [u8]) -> Result<usize, Unknown> {
        let count = ReadMemory::read_ranges(&self.memory, ranges, buffer)?;
        let mut at = 0;
        for range in ranges {
            if at + range.length <= count {
                let bytes = buffer[at..at + range.length].to_vec();
                self.recording
                    .borrow_mut()
                    .pieces
                    .push((range.address, bytes));
            }
            at += range.length;
        }
        Ok(count)
    }
}

/// All that is asked of an interpreter.
type Answers = (
    Result<Vec<Frame>, Unknown>,
    Result<TopFrame, Unknown>,
    Result<usize, Unknown>,
    Result<Vec<Task>, Unknown>,
);

fn ask<M: ReadMemory>(interpreter: &mut Interpreter<M>, tid: i32) -> Answers {
    (
        interpreter.frames(tid),
        interpreter.top_user_frame(tid),
        interpreter.threads().map(|threads| threads.len()),
        interpreter.tasks(),
    )
}

struct Recorded {
    recording: Recording,
    anchors: Anchors,
    tid: i32,
    answers: Answers,
    descriptor: i32,
}

/// Runs the program on the `python3` of the machine, asks about it, and keeps what was read.
fn recorded() -> &'static Recorded {
    static RECORDED: OnceLock<Recorded> = OnceLock::new();
    RECORDED.get_or_init(|| {
        let mut child = Command::new("python3")
            .args(["-c", PROGRAM])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a python3 on PATH");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped"))
            .read_line(&mut line)
            .expect("a line");
        let mut numbers = line
            .split_whitespace()
            .map(|number| number.parse::<i32>().expect("a number"));
        let (pid, descriptor) = (
            numbers.next().expect("a pid"),
            numbers.next().expect("a descriptor"),
        );
        // It prints the line before it waits for input: until it does, its frames change.
        let asleep = Instant::now() + Duration::from_secs(30);
        loop {
            let call =
                std::fs::read_to_string(format!("/proc/{pid}/syscall")).expect("the program runs");
            if call.starts_with("0 0x0 ") || call.starts_with("63 0x0 ") || Instant::now() > asleep
            {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let anchors = Interpreter::find(pid)
            .expect("a supported version")
            .expect("Python")
            .anchors()
            .clone();
        let recording = RefCell::default();
        let recorder = Recorder {
            memory: ProcessMemory::new(pid),
            recording: &recording,
        };
        let mut interpreter =
            Interpreter::new(recorder, None, anchors.clone()).expect("a supported version");
        let answers = ask(&mut interpreter, pid);
        drop(child.stdin.take().map(|mut input| input.write_all(b"\n")));
        child.wait().expect("it ends");
        Recorded {
            recording: recording.into_inner(),
            anchors,
            tid: pid,
            answers,
            descriptor,
        }
    })
}

#[test]
fn stacks_and_tasks_of_a_real_interpreter_are_read() {
    let recorded = recorded();
    let (frames, top, threads, tasks) = &recorded.answers;
    let functions: Vec<&str> = frames
        .as_ref()
        .expect("frames")
        .iter()
        .map(|frame| &*frame.code.function)
        .collect();
    assert_eq!(functions.first(), Some(&"main"));
    assert_eq!(functions.last(), Some(&"<module>"));
    let Ok(TopFrame::User(top)) = top else {
        panic!("{top:?}")
    };
    assert_eq!(
        (&*top.code.file, top.line, top.code.first_line),
        ("<string>", Some(17), 10)
    );
    assert_eq!(*threads, Ok(1));
    let tasks = tasks.as_ref().expect("tasks");
    let told: Vec<_> = tasks
        .iter()
        .map(|task| (&*task.name, task.awaits.as_deref(), task.descriptor))
        .collect();
    let expected = [
        ("first", Some("future"), Some(recorded.descriptor)),
        ("Task-1", None, None),
        ("second", Some("task first"), None),
    ];
    assert_eq!(told.len(), 3);
    assert!(expected.iter().all(|task| told.contains(task)), "{told:?}");
}

#[test]
fn a_recording_of_the_memory_gives_the_same_answers() {
    let recorded = recorded();
    let recording = recorded.recording.clone();
    let mut interpreter =
        Interpreter::new(recording, None, recorded.anchors.clone()).expect("a supported version");
    for _ in 0..3 {
        let (frames, top, threads, tasks) = ask(&mut interpreter, recorded.tid);
        assert_eq!(frames, recorded.answers.0);
        assert_eq!(top, recorded.answers.1);
        assert_eq!(threads, recorded.answers.2);
        assert_eq!(tasks, recorded.answers.3);
    }
}

/// Pointers and sizes that invite mistakes.
fn hostile() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        Just(1),
        Just(u64::MAX),
        u64::MAX - 300..u64::MAX,
        Just(1 << 63),
        any::<u64>()
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Memory that says anything at all leads to an answer, soon, and to no panic.
    #[test]
    fn flipped_bytes_do_no_harm(
        words in prop::collection::vec(
            (any::<prop::sample::Index>(), any::<prop::sample::Index>(), hostile()),
            0..40,
        ),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..40),
    ) {
        let recorded = recorded();
        let mut recording = recorded.recording.clone();
        for (piece, byte, value) in &flips {
            let pieces = &mut recording.pieces;
            let bytes = &mut piece.get_mut(pieces).1;
            if !bytes.is_empty() {
                *byte.get_mut(bytes) = *value;
            }
        }
        for (piece, word, value) in &words {
            let pieces = &mut recording.pieces;
            let bytes = &mut piece.get_mut(pieces).1;
            if bytes.len() >= 8 {
                let at = word.index(bytes.len() / 8) * 8;
                bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
            }
        }
        let started = Instant::now();
        if let Ok(mut interpreter) = Interpreter::new(recording, None, recorded.anchors.clone()) {
            for _ in 0..2 {
                let _ = ask(&mut interpreter, recorded.tid);
            }
        }
        prop_assert!(started.elapsed() < Duration::from_secs(20));
    }
}
