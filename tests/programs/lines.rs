//! Calls by way of the standard library: see lines.c.
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

#[inline(never)]
fn exchange(left: &mut UnixStream, right: &mut UnixStream) -> usize {
    left.write_all(b"hello").unwrap(); // HERE write|sendto
    let mut text = [0; 8];
    let got = right.read(&mut text).unwrap(); // HERE read|recvfrom
    got + usize::from(text[0])
}

fn main() {
    let (mut left, mut right) = UnixStream::pair().unwrap(); // HERE socketpair
    let closure = std::thread::spawn(move || {
        let got = exchange(&mut left, &mut right);
        left.shutdown(Shutdown::Write).unwrap(); // HERE shutdown
        got
    });
    assert!(closure.join().unwrap() > 0);
}
