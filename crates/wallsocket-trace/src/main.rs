//! `wallsocket-guardian`: started by `wallsocket trace`, not by hand.

fn main() -> std::process::ExitCode {
    wallsocket_trace::guardian::main()
}
