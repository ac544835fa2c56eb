//! A lab's hosts and the links between them: namespaces held by a small process, and a seeded forwarder of frames.

pub mod alter;
pub mod fate;
pub mod flow;
pub mod forwarder;
pub mod holder;
pub mod lab;
mod protocol;

/// An error's text without the number that Rust appends: programs find it in the exception's `errno`.
pub fn sentence(error: &std::io::Error) -> String {
    let text = error.to_string();
    match error.raw_os_error() {
        Some(number) => text
            .trim_end_matches(&format!(" (os error {number})"))
            .to_owned(),
        None => text,
    }
}
