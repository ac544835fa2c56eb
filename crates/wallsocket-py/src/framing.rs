//! `wallsocket._core.framing`.

use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::io::ErrorKind;

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use wallsocket_framing::{Codec, Decode, Decoder, Fault, Header, Order, Refusal, Setup};
use wallsocket_sys::socket;

use crate::kernel::io_error;

/// `MSG_DONTWAIT`, from linux/socket.h.
const DONTWAIT: i32 = 0x40;
/// Bytes that one receive takes at most.
const ROOM: usize = 1 << 16;

thread_local! {
    /// Room for this thread's next receive. Taken out while in use: a signal handler may receive, too.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

mod raised {
    pyo3::import_exception!(wallsocket.errors, CutMessage);
    pyo3::import_exception!(wallsocket.errors, FramingError);
    pyo3::import_exception!(wallsocket.errors, MalformedMessage);
    pyo3::import_exception!(wallsocket.errors, MessageTooLong);
    pyo3::import_exception!(wallsocket.errors, UnsendableMessage);
}

fn fault_error(fault: &Fault) -> PyErr {
    let text = fault.to_string();
    match *fault {
        Fault::TooLong {
            at,
            length,
            exact,
            limit,
        } => raised::MessageTooLong::new_err((text, at, length, exact, limit)),
        Fault::Malformed { at, .. } => raised::MalformedMessage::new_err((text, at)),
        Fault::Cut {
            at,
            received,
            missing,
            exact,
        } => raised::CutMessage::new_err((text, at, received, missing, exact)),
        Fault::AfterEnd => PyValueError::new_err(text),
    }
}

fn refusal_error(refusal: &Refusal) -> PyErr {
    raised::UnsendableMessage::new_err(refusal.to_string())
}

fn setup_error(setup: Setup) -> PyErr {
    PyValueError::new_err(setup.to_string())
}

/// Calls `use_bytes` with the bytes of any object that has a buffer; `bytes` are not copied.
fn with_bytes<T>(
    object: &Bound<'_, PyAny>,
    use_bytes: impl FnOnce(&[u8]) -> PyResult<T>,
) -> PyResult<T> {
    if let Ok(bytes) = object.cast::<PyBytes>() {
        use_bytes(bytes.as_bytes())
    } else {
        // Other threads may change these while we read, hence the copy.
        use_bytes(&PyBuffer::<u8>::get(object)?.to_vec(object.py())?)
    }
}

fn encode<'py>(codec: &impl Codec, message: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    with_bytes(message, |bytes| {
        let mut wire = Vec::with_capacity(bytes.len() + 16);
        codec
            .encode(bytes, &mut wire)
            .map_err(|refusal| refusal_error(&refusal))?;
        Ok(PyBytes::new(message.py(), &wire))
    })
}

fn encode_many<'py, C: Codec>(
    codec: &C,
    messages: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyBytes>> {
    if C::ENDS_WITH_STREAM && messages.len()? != 1 {
        return Err(raised::UnsendableMessage::new_err(
            "this framing carries one message per connection",
        ));
    }
    let mut wire = Vec::new();
    let mut append = |message: &Bound<'py, PyAny>| {
        with_bytes(message, |bytes| {
            codec
                .encode(bytes, &mut wire)
                .map_err(|refusal| refusal_error(&refusal))
        })
    };
    if let Ok(list) = messages.cast_exact::<PyList>() {
        for message in list {
            append(&message)?;
        }
    } else {
        for message in messages.try_iter()? {
            append(&message?)?;
        }
    }
    Ok(PyBytes::new(messages.py(), &wire))
}

/// One stream's way from bytes to messages.
#[pyclass(name = "Decoder", module = "wallsocket._core.framing")]
struct PyDecoder {
    decoder: Box<dyn Decode>,
}

impl PyDecoder {
    fn over(codec: impl Codec + Send + Sync + 'static) -> Self {
        Self {
            decoder: Box::new(Decoder::new(codec)),
        }
    }

    /// The messages that `decode` hands to its sink.
    fn collect<'py>(
        &mut self,
        py: Python<'py>,
        decode: impl FnOnce(&mut dyn Decode, &mut dyn FnMut(&[u8])) -> Result<usize, Fault>,
    ) -> PyResult<Bound<'py, PyList>> {
        let messages = PyList::empty(py);
        let mut failed = None;
        let mut sink = |message: &[u8]| {
            if let Err(error) = messages.append(PyBytes::new(py, message)) {
                failed = Some(error);
            }
        };
        decode(self.decoder.as_mut(), &mut sink).map_err(|fault| fault_error(&fault))?;
        failed.map_or(Ok(messages), Err)
    }

    fn messages_of<'py>(&mut self, py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyList>> {
        self.collect(py, |decoder, sink| decoder.feed(bytes, sink))
    }
}

#[pymethods]
impl PyDecoder {
    fn feed<'py>(&mut self, data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
        with_bytes(data, |bytes| self.messages_of(data.py(), bytes))
    }

    /// Receives once on a stream socket: the count of bytes (0 at the end) and the messages that they complete, or
    /// nothing when there are no bytes yet. The bytes never become a Python object.
    fn receive<'py>(
        slf: &Bound<'py, Self>,
        descriptor: i32,
        flags: i32,
    ) -> PyResult<Option<(usize, Bound<'py, PyList>)>> {
        let py = slf.py();
        if let Some(fault) = slf.borrow().decoder.fault() {
            return Err(fault_error(fault));
        }
        let mut room = SPARE.take();
        room.resize(ROOM, 0);
        let received = loop {
            // No borrow of the decoder here: another thread may look at it while this one waits.
            let result = if flags & DONTWAIT == 0 {
                py.detach(|| socket::receive_by_number(descriptor, &mut room, flags))
            } else {
                socket::receive_by_number(descriptor, &mut room, flags)
            };
            match result {
                Err(error) if error.kind() == ErrorKind::Interrupted => py.check_signals()?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Ok(None),
                Err(error) => break Err(io_error(&error)),
                Ok(0) => break Ok(Some((0, PyList::empty(py)))),
                Ok(count) => {
                    let found = slf.borrow_mut().messages_of(py, &room[..count]);
                    break found.map(|messages| Some((count, messages)));
                }
            }
        };
        SPARE.set(room);
        received
    }

    fn finish<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.collect(py, |decoder, sink| decoder.end(sink))
    }

    #[getter]
    fn fault(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.decoder
            .fault()
            .map(|fault| fault_error(fault).into_value(py).into_any())
    }

    #[getter]
    fn buffered(&self) -> usize {
        self.decoder.buffered()
    }
}

/// The methods of a framing's class: its own, and those that all have.
macro_rules! framing {
    ($name:ident { $($own:tt)* }) => {
        impl $name {
            fn codec(&self) -> &wallsocket_framing::$name {
                &self.0
            }
        }

        #[pymethods]
        impl $name {
            $($own)*

            #[getter]
            fn max_message(&self) -> usize {
                self.codec().max_message()
            }

            #[getter]
            fn ends_with_stream(&self) -> bool {
                wallsocket_framing::$name::ENDS_WITH_STREAM
            }

            fn encode<'py>(&self, message: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
                encode(self.codec(), message)
            }

            fn encode_many<'py>(
                &self,
                messages: &Bound<'py, PyAny>,
            ) -> PyResult<Bound<'py, PyBytes>> {
                encode_many(self.codec(), messages)
            }

            fn decoder(&self) -> PyDecoder {
                PyDecoder::over(Clone::clone(self.codec()))
            }
        }
    };
}

#[pyclass(subclass, frozen, eq, hash, module = "wallsocket._core.framing")]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct FixedLength(wallsocket_framing::FixedLength);

framing!(FixedLength {
    #[new]
    fn new(length: usize) -> PyResult<Self> {
        wallsocket_framing::FixedLength::new(length)
            .map(Self)
            .map_err(setup_error)
    }

    #[getter]
    fn length(&self) -> usize {
        self.0.length()
    }

    fn __repr__(&self) -> String {
        format!("FixedLength({})", self.0.length())
    }
});

#[pyclass(subclass, frozen, eq, hash, module = "wallsocket._core.framing")]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct UntilClose(wallsocket_framing::UntilClose);

framing!(UntilClose {
    #[new]
    fn new(max_message: usize) -> Self {
        Self(wallsocket_framing::UntilClose::new(max_message))
    }

    fn __repr__(&self) -> String {
        format!("UntilClose(max_message={})", self.0.max_message())
    }
});

#[pyclass(subclass, frozen, eq, hash, module = "wallsocket._core.framing")]
// Boxed: its search tables want an alignment of 32 bytes, Python's allocator gives 16.
struct Delimited(Box<wallsocket_framing::Delimited>);

impl Delimited {
    fn key(&self) -> (&[u8], Option<u8>, bool, usize) {
        (
            self.0.delimiter(),
            self.0.escape(),
            self.0.strict(),
            self.0.max_message(),
        )
    }
}

impl PartialEq for Delimited {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Delimited {}

impl Hash for Delimited {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

framing!(Delimited {
    #[new]
    fn new(
        delimiter: &[u8],
        escape: Option<&[u8]>,
        strict: bool,
        max_message: usize,
    ) -> PyResult<Self> {
        let escape = match escape {
            None => None,
            Some([byte]) => Some(*byte),
            Some(_) => return Err(PyValueError::new_err("the escape is a single byte")),
        };
        wallsocket_framing::Delimited::new(delimiter, escape, strict, max_message)
            .map(|codec| Self(Box::new(codec)))
            .map_err(setup_error)
    }

    #[getter]
    fn delimiter<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.delimiter())
    }

    #[getter]
    fn escape<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.0.escape().map(|byte| PyBytes::new(py, &[byte]))
    }

    #[getter]
    fn strict(&self) -> bool {
        self.0.strict()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let shown = |bytes: &[u8]| PyBytes::new(py, bytes).repr().map(|text| text.to_string());
        let escape = self
            .0
            .escape()
            .map_or(Ok("None".to_owned()), |byte| shown(&[byte]))?;
        let strict = if self.0.strict() { "True" } else { "False" };
        let (delimiter, limit) = (shown(self.0.delimiter())?, self.0.max_message());
        Ok(format!(
            "Delimited({delimiter}, escape={escape}, strict={strict}, max_message={limit})"
        ))
    }
});

#[pyclass(subclass, frozen, eq, hash, module = "wallsocket._core.framing")]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct LengthPrefixed(wallsocket_framing::LengthPrefixed);

#[derive(FromPyObject)]
enum Width {
    Bytes(usize),
    Name(String),
}

framing!(LengthPrefixed {
    #[new]
    fn new(
        header: Width,
        order: &str,
        includes_header: bool,
        max_message: usize,
    ) -> PyResult<Self> {
        let order = match order {
            "big" => Order::Big,
            "little" => Order::Little,
            _ => return Err(PyValueError::new_err("order is \"big\" or \"little\"")),
        };
        let header = match header {
            Width::Bytes(width) => Header::Fixed(width, order),
            Width::Name(name) if name == "varint" => Header::Varint,
            // Zero is no legal width: the codec's own sentence names the legal ones.
            Width::Name(_) => Header::Fixed(0, order),
        };
        wallsocket_framing::LengthPrefixed::new(header, includes_header, max_message)
            .map(Self)
            .map_err(setup_error)
    }

    #[getter]
    fn header(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(match self.0.header() {
            Header::Fixed(width, _) => width.into_pyobject(py)?.into_any().unbind(),
            Header::Varint => "varint".into_pyobject(py)?.into_any().unbind(),
        })
    }

    #[getter]
    fn order(&self) -> &'static str {
        match self.0.header() {
            Header::Fixed(_, Order::Big) => "big",
            _ => "little",
        }
    }

    #[getter]
    fn includes_header(&self) -> bool {
        self.0.includes_header()
    }

    fn __repr__(&self) -> String {
        let header = match self.0.header() {
            Header::Fixed(width, _) => width.to_string(),
            Header::Varint => "\"varint\"".to_owned(),
        };
        let includes = if self.0.includes_header() {
            "True"
        } else {
            "False"
        };
        let (order, limit) = (self.order(), self.0.max_message());
        format!(
            "LengthPrefixed({header}, order=\"{order}\", includes_header={includes}, max_message={limit})"
        )
    }
});

/// Adds the submodule's classes and functions.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyDecoder>()?;
    module.add_class::<FixedLength>()?;
    module.add_class::<UntilClose>()?;
    module.add_class::<Delimited>()?;
    module.add_class::<LengthPrefixed>()?;
    Ok(())
}
