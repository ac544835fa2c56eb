//! `wallsocket._core.kernel`: the kernel crate's names, addresses, options and questions, as Python objects.

use std::os::fd::OwnedFd;

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use wallsocket_kernel::names;
use wallsocket_kernel::{control, netlink, program as programs};
use wallsocket_sys::socket;

/// Address families, as Python's `socket` numbers them (linux/socket.h).
const AF_INET: i32 = 2;
const AF_INET6: i32 = 10;

type Rows<'py> = PyResult<Vec<Bound<'py, PyDict>>>;

/// `OSError` with the kernel's number; Python picks the subclass by it.
fn os_error(error: &netlink::Error) -> PyErr {
    let text = error.to_string();
    match error.number() {
        Some(number) => PyOSError::new_err((number, text)),
        None => PyOSError::new_err(text),
    }
}

/// The same for a call of the system: the conversion of the standard library would lose the number.
pub(crate) fn io_error(error: &std::io::Error) -> PyErr {
    match error.raw_os_error() {
        Some(number) => PyOSError::new_err((number, netlink::strerror(number))),
        None => PyOSError::new_err(error.to_string()),
    }
}

/// A copy of a descriptor that Python keeps.
fn duplicate(descriptor: i32) -> PyResult<OwnedFd> {
    socket::duplicate(descriptor).map_err(|error| io_error(&error))
}

macro_rules! dict {
    ($py:expr, $($name:literal => $value:expr),+ $(,)?) => {{
        let dict = PyDict::new($py);
        $(dict.set_item($name, $value)?;)+
        dict
    }};
}

// After the macro, which they use.
mod address;
mod diag;
mod options;
mod route;

// Names

macro_rules! tables {
    ($($name:ident $table:ident $meaning:literal)*) => {
        $(
            #[doc = $meaning]
            #[pyfunction]
            #[pyo3(signature = (number, /))]
            fn $name(number: i64) -> String {
                names::$table.render(number).into_owned()
            }
        )*
        fn register_tables(module: &Bound<'_, PyModule>) -> PyResult<()> {
            $(module.add_function(wrap_pyfunction!($name, module)?)?;)*
            Ok(())
        }
    };
}

tables! {
    family FAMILIES "`AF_` name."
    level LEVELS "Name of a level of options and control messages."
    shutdown SHUTDOWN "`SHUT_` name."
    tcp_state TCP_STATES "State of a TCP socket."
    epoll_operation EPOLL_OPERATIONS "`EPOLL_CTL_` name."
    fcntl_command FCNTL_COMMANDS "`F_` name."
    error_origin ERROR_ORIGINS "`SO_EE_ORIGIN_` name."
    route_type ROUTE_TYPES "Kind of a route, as ip(8) writes it."
    route_origin ROUTE_ORIGINS "Who made a route, as ip(8) writes it."
    scope SCOPES "Scope of a route or address, as ip(8) writes it."
}

macro_rules! flags {
    ($($name:ident $table:ident $meaning:literal)*) => {
        $(
            #[doc = $meaning]
            #[pyfunction]
            #[pyo3(signature = (bits, /))]
            fn $name(bits: i64) -> String {
                // Recordings keep ints as the program passed them: a 32-bit word may have come out negative.
                let bits = if bits < 0 { u64::from(bits as u32) } else { bits.cast_unsigned() };
                names::$table.render(bits)
            }
        )*
        fn register_flags(module: &Bound<'_, PyModule>) -> PyResult<()> {
            $(module.add_function(wrap_pyfunction!($name, module)?)?;)*
            Ok(())
        }
    };
}

flags! {
    socket_type_flags SOCKET_TYPE_FLAGS "`SOCK_NONBLOCK` and `SOCK_CLOEXEC`."
    message_flags MESSAGE_FLAGS "`MSG_` bits."
    poll_events POLL_EVENTS "`POLL` bits."
    epoll_events EPOLL_EVENTS "`EPOLL` bits."
    epoll_create_flags EPOLL_CREATE_FLAGS "Flags of epoll_create1()."
    descriptor_flags DESCRIPTOR_FLAGS "`FD_CLOEXEC`."
    interface_flags INTERFACE_FLAGS "`IFF_` bits without their prefix."
    neighbour_states NEIGHBOUR_STATES "`NUD_` bits without their prefix."
    tcp_info_options TCP_INFO_OPTIONS "Options agreed in the handshake."
}

/// `SOCK_` name with its flag bits.
#[pyfunction]
#[pyo3(signature = (kind, /))]
fn socket_type(kind: i32) -> String {
    names::render_socket_type(kind)
}

/// Protocol of a family.
#[pyfunction]
#[pyo3(signature = (family, protocol, /))]
fn protocol(family: i32, protocol: i32) -> String {
    names::render_protocol(family, protocol).into_owned()
}

/// Name of an error number.
#[pyfunction]
#[pyo3(signature = (number, /))]
fn error(number: i32) -> String {
    names::render_error(number).into_owned()
}

/// Value of `F_GETFL`.
#[pyfunction]
#[pyo3(signature = (flags, /))]
fn status_flags(flags: i32) -> String {
    names::render_status_flags(flags)
}

/// Name of an ioctl request.
#[pyfunction]
#[pyo3(signature = (request, /))]
fn ioctl_request(request: u64) -> String {
    names::render_ioctl(request).into_owned()
}

/// Name of a control message's type.
#[pyfunction]
#[pyo3(signature = (level, kind, /))]
fn control_type(level: i32, kind: i32) -> String {
    names::control_types(level)
        .render(i64::from(kind))
        .into_owned()
}

/// What a socket's timer waits for.
#[pyfunction]
#[pyo3(signature = (number, /))]
fn timer(number: i64) -> String {
    wallsocket_kernel::diag::TIMERS.render(number).into_owned()
}

/// `msg_control` as text.
#[pyfunction]
#[pyo3(signature = (data, /))]
fn control_messages(data: &[u8]) -> String {
    control::parse(data).to_string()
}

/// One control message: name and text.
#[pyfunction]
#[pyo3(signature = (level, kind, data, /))]
fn control_message(level: i32, kind: i32, data: &[u8]) -> (String, String) {
    (
        control_type(level, kind),
        control::decode(level, kind, data).to_string(),
    )
}

/// Bytes as printable text on one line.
#[pyfunction]
#[pyo3(signature = (data, /))]
fn escape(data: &[u8]) -> String {
    wallsocket_kernel::address::escape(data)
}

/// What people call the program with this argument vector and file, and the positions of the words that tell it.
#[pyfunction]
#[pyo3(signature = (words, file=None, /))]
fn program(words: Vec<String>, file: Option<&str>) -> (String, Vec<usize>) {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let found = programs::program(&words, file);
    (found.name, found.telling)
}

/// What a closed object answers.
fn opened<T>(slot: &mut Option<T>) -> PyResult<&mut T> {
    slot.as_mut()
        .ok_or_else(|| PyValueError::new_err("this netlink socket is closed"))
}

/// Asks while other threads run, and makes a dictionary of each row.
fn rows_of<'py, S: Send, T: Send>(
    py: Python<'py>,
    slot: &mut Option<S>,
    ask: impl FnOnce(&mut S) -> Result<Vec<T>, netlink::Error> + Send,
    row: impl Fn(Python<'py>, &T) -> PyResult<Bound<'py, PyDict>>,
) -> Rows<'py> {
    let open = opened(slot)?;
    let found = py.detach(|| ask(open)).map_err(|error| os_error(&error))?;
    found.iter().map(|each| row(py, each)).collect()
}

/// Adds the submodule's classes and functions.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    register_tables(module)?;
    register_flags(module)?;
    address::register(module)?;
    options::register(module)?;
    diag::register(module)?;
    route::register(module)?;
    for function in [
        wrap_pyfunction!(socket_type, module)?,
        wrap_pyfunction!(protocol, module)?,
        wrap_pyfunction!(error, module)?,
        wrap_pyfunction!(status_flags, module)?,
        wrap_pyfunction!(ioctl_request, module)?,
        wrap_pyfunction!(control_type, module)?,
        wrap_pyfunction!(timer, module)?,
        wrap_pyfunction!(control_messages, module)?,
        wrap_pyfunction!(control_message, module)?,
        wrap_pyfunction!(escape, module)?,
        wrap_pyfunction!(program, module)?,
    ] {
        module.add_function(function)?;
    }
    Ok(())
}
