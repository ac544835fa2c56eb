//! The library names no other library: it is loaded into programs of any C library, and finds there what it needs.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for argument in [
        "-nostdlib",
        "-nostartfiles",
        "-Wl,-z,now",
        "-Wl,-soname,wallsocket-preload.so",
    ] {
        println!("cargo:rustc-cdylib-link-arg={argument}");
    }
}
