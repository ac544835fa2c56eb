//! Prints the Python stacks of a running process, and how long one takes to read again.
//!
//! `cargo run --release -p wallsocket-trace --example stacks -- PID [ROUNDS]`
#![expect(clippy::print_stdout, reason = "it is a program")]

use std::time::Instant;

use wallsocket_trace::python::{Interpreter, Unknown};

fn main() -> Result<(), Unknown> {
    let mut arguments = std::env::args().skip(1);
    let pid: i32 = arguments
        .next()
        .and_then(|text| text.parse().ok())
        .expect("usage: stacks PID [ROUNDS]");
    let rounds: u32 = arguments
        .next()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let started = Instant::now();
    let Some(mut interpreter) = Interpreter::find(pid)? else {
        println!("{pid} runs no Python");
        return Ok(());
    };
    println!(
        "CPython {} found in {:?}",
        interpreter.version(),
        started.elapsed()
    );
    for thread in interpreter.threads()? {
        let tid = i32::try_from(thread.native_id).unwrap_or(0);
        let started = Instant::now();
        let frames = interpreter.frames(tid);
        println!(
            "thread {tid}, holds the GIL: {}, first read {:?}",
            thread.holds_gil,
            started.elapsed()
        );
        match frames {
            Ok(frames) => {
                for frame in &frames {
                    let line = frame
                        .line
                        .map_or_else(|| "?".to_owned(), |line| line.to_string());
                    println!(
                        "  {}:{line} {} ({:?})",
                        frame.code.file, frame.code.function, frame.code.place
                    );
                }
            }
            Err(unknown) => println!("  unknown: {unknown}"),
        }
        println!("  attributed to {:?}", interpreter.top_user_frame(tid));
        if rounds > 0 {
            let started = Instant::now();
            let mut depth = 0;
            for _ in 0..rounds {
                depth = interpreter.frames(tid)?.len();
            }
            println!(
                "  all {depth} frames: {:?} each",
                started.elapsed() / rounds
            );
            let started = Instant::now();
            for _ in 0..rounds {
                interpreter.top_user_frame(tid)?;
            }
            println!("  attributed frame: {:?} each", started.elapsed() / rounds);
        }
    }
    match interpreter.tasks() {
        Ok(tasks) => {
            for task in tasks {
                println!(
                    "task {} {:?} awaits {:?} on {:?}",
                    task.name, task.state, task.awaits, task.descriptor
                );
                for frame in &task.frames {
                    println!(
                        "  {}:{:?} {}",
                        frame.code.file, frame.line, frame.code.function
                    );
                }
            }
        }
        Err(unknown) => println!("tasks unknown: {unknown}"),
    }
    Ok(())
}
