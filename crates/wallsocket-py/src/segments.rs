//! `wallsocket._core.segments`: what the timeline needs of a recorded frame, by the one decoder.

use std::net::IpAddr;

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use wallsocket_wire::decode::{
    Frame, Hints, LinkType, Network, Transport, application, decode, http,
};

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// A segment, a datagram, or an ICMP error with the ends of the packet that it is about.
#[pyclass(module = "wallsocket._core.segments", frozen, get_all)]
struct Segment {
    /// IP protocol number: 6, 17, or 1 for an ICMP error.
    protocol: u8,
    /// Sender: 16 bytes, IPv4 in its mapped form.
    source: Py<PyBytes>,
    /// Port of the sender.
    source_port: u16,
    /// Receiver, as `source`.
    destination: Py<PyBytes>,
    /// Port of the receiver.
    destination_port: u16,
    /// Bytes of payload on the wire.
    length: u32,
    /// Those of them that are in the frame.
    payload: Py<PyBytes>,
    /// TCP flags.
    flags: u16,
    /// TCP sequence number.
    sequence: u32,
    /// TCP acknowledgement number.
    acknowledgement: u32,
    /// TCP window, before scaling.
    window: u16,
    /// What the payload is, where it is recognised; for an ICMP error what it says.
    label: Option<String>,
}

fn mapped(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// Bytes of transport payload on the wire, by the IP header where it says so, else by the frame's length.
fn length(frame: &Frame<'_>) -> u32 {
    let end = match &frame.network {
        Network::Ipv4(ip) if ip.total_length != 0 => ip.offset + u32::from(ip.total_length),
        Network::Ipv6(ip) if ip.payload_length != 0 => {
            ip.offset + 40 + u32::from(ip.payload_length)
        }
        _ => frame.original_length,
    };
    let start = match &frame.transport {
        Transport::Tcp(tcp) => tcp.offset + u32::from(tcp.header_length),
        Transport::Udp(udp) => udp.offset + 8,
        _ => end,
    };
    end.saturating_sub(start)
}

/// The protocol that the first bytes of one direction of a stream belong to, or `None`.
#[pyfunction]
fn protocol(payload: &[u8]) -> Option<&'static str> {
    application::protocol(payload)
}

/// Whether bytes behind an HTTP message may be the beginning of the next head of its direction.
#[pyfunction]
fn http_may_begin(payload: &[u8], is_request: bool) -> bool {
    http::may_begin(payload, is_request)
}

/// What of a frame is a header beyond doubt: no byte of payload, and no option whose content a program chooses.
#[pyfunction]
fn headers<'py>(
    py: Python<'py>,
    link_type: u32,
    frame: &[u8],
    wire_length: u32,
) -> Bound<'py, PyBytes> {
    let frame = decode(LinkType(link_type), frame, wire_length, Hints::default());
    PyBytes::new(py, &frame.headers(0))
}

/// Whether a frame is a TCP segment that neither opens nor resets a connection: most are.
#[pyfunction]
fn plain(link_type: u32, frame: &[u8], wire_length: u32) -> bool {
    const SYN_OR_RST: u16 = 0x06;
    let frame = decode(LinkType(link_type), frame, wire_length, Hints::default());
    matches!(&frame.transport, Transport::Tcp(tcp) if tcp.is_complete() && tcp.flags & SYN_OR_RST == 0)
        && frame.quoted().is_none()
}

/// The frame as the timeline wants it, or `None` when it is no complete TCP segment, UDP datagram or ICMP error.
#[pyfunction]
fn segment(
    py: Python<'_>,
    link_type: u32,
    frame: &[u8],
    wire_length: u32,
) -> PyResult<Option<Segment>> {
    let frame = decode(LinkType(link_type), frame, wire_length, Hints::default());
    if let Some(about) = frame.quoted() {
        let summary = frame.summary();
        // Without the addresses and the length: the timeline has them.
        let destination = about
            .addresses()
            .map(|(_, destination)| format!("{destination} "))
            .unwrap_or_default();
        let label = summary.find("ICMP").map(|start| {
            let said = &summary[start..];
            let said = said.split(", length ").next().unwrap_or(said);
            said.replacen(&destination, "", 1)
        });
        return Ok(ends(py, &about)?.map(|ends| Segment {
            protocol: ICMP,
            label,
            ..ends
        }));
    }
    let Some(ends) = ends(py, &frame)? else {
        return Ok(None);
    };
    let label = application::recognise(&frame).map(|application| application.to_string());
    let payload = PyBytes::new(py, frame.payload()).unbind();
    Ok(match &frame.transport {
        Transport::Tcp(tcp) if tcp.is_complete() => Some(Segment {
            protocol: TCP,
            length: length(&frame),
            payload,
            flags: tcp.flags,
            sequence: tcp.sequence_number,
            acknowledgement: tcp.acknowledgement_number,
            window: tcp.window,
            label,
            ..ends
        }),
        Transport::Udp(_) => Some(Segment {
            protocol: UDP,
            length: length(&frame),
            payload,
            label,
            ..ends
        }),
        _ => None,
    })
}

fn ends(py: Python<'_>, frame: &Frame<'_>) -> PyResult<Option<Segment>> {
    let (Some((source, destination)), Some((source_port, destination_port))) =
        (frame.addresses(), frame.ports())
    else {
        return Ok(None);
    };
    Ok(Some(Segment {
        protocol: frame.protocol.unwrap_or_default(),
        source: PyBytes::new(py, &mapped(source)).unbind(),
        source_port,
        destination: PyBytes::new(py, &mapped(destination)).unbind(),
        destination_port,
        length: 0,
        payload: PyBytes::new(py, &[]).unbind(),
        flags: 0,
        sequence: 0,
        acknowledgement: 0,
        window: 0,
        label: None,
    }))
}

/// The frame in one line, with what its payload is; no control characters.
#[pyfunction]
fn summary(link_type: u32, frame: &[u8], wire_length: u32) -> String {
    let frame = decode(LinkType(link_type), frame, wire_length, Hints::default());
    frame.summary()
}

/// Adds the submodule's classes and functions.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Segment>()?;
    module.add_function(wrap_pyfunction!(headers, module)?)?;
    module.add_function(wrap_pyfunction!(protocol, module)?)?;
    module.add_function(wrap_pyfunction!(http_may_begin, module)?)?;
    module.add_function(wrap_pyfunction!(plain, module)?)?;
    module.add_function(wrap_pyfunction!(segment, module)?)?;
    module.add_function(wrap_pyfunction!(summary, module)?)
}
