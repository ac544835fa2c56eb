//! The tracer: runs or attaches to a program, follows its sockets, and writes what it saw as rows.

pub mod python;
