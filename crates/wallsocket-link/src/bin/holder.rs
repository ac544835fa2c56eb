//! `wallsocket-holder`: started by a lab, never by hand. `hold PARENT` keeps namespaces, `enter …` starts a program in a host.

use std::ffi::CString;
use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<CString> = std::env::args_os()
        .skip(1)
        .filter_map(|argument| CString::new(argument.into_vec()).ok())
        .collect();
    let Some((mode, rest)) = arguments.split_first() else {
        return ExitCode::FAILURE;
    };
    match (mode.to_bytes(), rest) {
        (b"hold", [parent]) => match parent.to_str().ok().and_then(|number| number.parse().ok()) {
            Some(parent) => wallsocket_link::holder::main(parent),
            None => ExitCode::FAILURE,
        },
        (b"enter", rest) => wallsocket_link::holder::enter(rest),
        _ => ExitCode::FAILURE,
    }
}
