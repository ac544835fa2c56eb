//! A policy changes what a running program's calls are given and what they give back, and the recording says what the
//! program asked for and what it got.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;

use wallsocket_trace::capture::Ports;
use wallsocket_trace::clock::Clock;
use wallsocket_trace::facts::Facts;
use wallsocket_trace::networks::Networks;
use wallsocket_trace::places::Places;
use wallsocket_trace::rows::{Call, Row};
use wallsocket_trace::sampler::Watched;
use wallsocket_trace::sink::Sink;
use wallsocket_trace::tally::Tally;
use wallsocket_trace::tracer::{self, Control, Policy, Settings, Tracer};

const PROGRAM: &str = "
import socket, sys
sys.stdin.readline()
one, other = socket.socketpair()
one.send(b'0123456789')
print(other.recv(10), other.recv(10))
for refused in (lambda: other.shutdown(socket.SHUT_WR), lambda: socket.socket().listen()):
    try:
        refused()
    except OSError as error:
        print(error.errno)
one.send(b'x')
print(other.recv(10), other.recv(10))
";

/// Three bytes at a time, no shutdown, and a port that is always taken.
#[derive(Debug)]
struct Awkward;

impl Policy for Awkward {
    fn begins(&mut self, call: &Call, arguments: &mut [u64; 6]) -> Option<i64> {
        match i64::from(call.number) {
            libc::SYS_recvfrom => arguments[2] = arguments[2].min(3),
            libc::SYS_shutdown => return Some(-i64::from(libc::ENOBUFS)),
            _ => {}
        }
        None
    }

    fn ends(&mut self, call: &Call, result: &mut i64) {
        if i64::from(call.number) == libc::SYS_listen {
            *result = -i64::from(libc::EADDRINUSE);
        }
    }
}

#[test]
fn short_reads_and_errors() -> Result<(), Box<dyn std::error::Error>> {
    let mut child = Command::new("python3")
        .args(["-c", PROGRAM])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let (mut rows, ours) = std::io::pipe()?;
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        rows.read_to_end(&mut bytes).map(|_| bytes)
    });
    let (sink, writer) = Sink::new(ours.into(), None)?;
    let settings = Settings {
        payload: 64,
        samples: false,
        lines: false,
        code: wallsocket_trace::python::Chosen::default(),
        deny_io_uring: false,
        spread: false,
        preload: false,
    };
    let clock = Clock::new(Clock::monotonic_ns());
    let networks = Networks::new(sink.clone());
    let tally = Tally::new(sink.clone(), clock, networks.clone());
    let places = Places::new(sink.clone(), clock, networks.clone(), None);
    let mut tracer = Tracer::new(
        settings,
        sink.clone(),
        clock,
        Arc::new(Control::default()),
        Arc::new(Watched::default()),
        Arc::new(Ports::default()),
        Facts::new(sink.clone(), networks.clone(), Arc::new(tally)),
        networks,
        Arc::new(places),
        0,
    );
    tracer.set_policy(Box::new(Awkward));
    tracer.take_over(&[tracer::seize(i32::try_from(child.id())?)?]);
    if let Some(input) = &mut child.stdin {
        input.write_all(b"go\n")?;
    }
    tracer.run()?;
    drop(tracer);
    sink.close();
    writer.join().map_err(|_| "the writer failed")?;
    let mut output = String::new();
    if let Some(stream) = &mut child.stdout {
        stream.read_to_string(&mut output)?;
    }
    assert_eq!(
        output,
        format!(
            "b'012' b'345'\n{}\n{}\nb'678' b'9x'\n",
            libc::ENOBUFS,
            libc::EADDRINUSE
        )
    );

    let bytes = reader.join().map_err(|_| "the reader failed")??;
    let mut rest = bytes.as_slice();
    let mut seen = Vec::new();
    while !rest.is_empty() {
        let (row, after): (Row, _) = postcard::take_from_bytes(rest)?;
        rest = after;
        if let Row::Call(call) = row {
            let number = i64::from(call.number);
            if matches!(
                number,
                libc::SYS_recvfrom | libc::SYS_shutdown | libc::SYS_listen
            ) {
                seen.push((number, call.length, call.result));
            }
        }
    }
    let received = |bytes| (libc::SYS_recvfrom, Some(10), Some(bytes));
    let failed = |number, error: i32| (number, None, Some(-i64::from(error)));
    assert_eq!(
        seen,
        [
            received(3),
            received(3),
            failed(libc::SYS_shutdown, libc::ENOBUFS),
            failed(libc::SYS_listen, libc::EADDRINUSE),
            received(3),
            received(2),
        ]
    );
    Ok(())
}
