//! Headers beside those of Ethernet, IP and the common transports.

use pyo3::prelude::*;
use wallsocket_wire::decode::summary::ethernet_address;
use wallsocket_wire::decode::{self};

header! {
    /// Header of a tunnel.
    Tunnel {
        kind: &'static str,
        offset: u32,
        identifier: Option<u32>,
        protocol: Option<u16>,
        flags: u16,
        sequence_number: Option<u32>,
        acknowledgement_number: Option<u32>,
        inner_offset: u32,
        inner_link_type: Option<u32>,
    }
}

header! {
    /// Label of multiprotocol label switching.
    Label {
        offset: u32,
        label: u32,
        traffic_class: u8,
        bottom: bool,
        time_to_live: u8,
    }
}

header! {
    /// Header of PPP over Ethernet.
    Pppoe {
        offset: u32,
        code: u8,
        name: &'static str,
        session: u16,
        length: u16,
    }
}

header! {
    /// Tag of a bridge port extender.
    PortTag {
        offset: u32,
        priority: u8,
        drop_eligible: bool,
        ingress: u32,
        group: u8,
        channel: u32,
    }
}

header! {
    /// SCTP header.
    Sctp {
        offset: u32,
        present: u8,
        source_port: u16,
        destination_port: u16,
        verification_tag: u32,
        checksum: u32,
        chunks: Vec<(u8, u8, Vec<u8>)>,
    }
}

header! {
    /// Header of ESP or AH.
    Ipsec {
        kind: &'static str,
        offset: u32,
        spi: u32,
        sequence_number: u32,
    }
}

header! {
    /// Header of IEEE 802.11, with what the receiver says of its radio.
    Wireless {
        offset: u32,
        header_length: u8,
        r#type: u8,
        subtype: u8,
        name: &'static str,
        flags: u8,
        protected: bool,
        duration: u16,
        receiver: String,
        transmitter: Option<String>,
        source: Option<String>,
        destination: Option<String>,
        cell: Option<String>,
        sequence_number: Option<u16>,
        fragment_number: Option<u8>,
        radio_length: Option<u32>,
        rate_kbps: Option<u32>,
        channel_mhz: Option<u16>,
        signal_dbm: Option<i8>,
        noise_dbm: Option<i8>,
    }
}

header! {
    /// Message of a controller area network.
    Can {
        offset: u32,
        identifier: u32,
        extended: bool,
        remote: bool,
        error: bool,
        flags: u8,
        length: u16,
    }
}

pub(super) fn tunnel(frame: &decode::Frame<'_>) -> Option<Tunnel> {
    frame.tunnel().map(|found| Tunnel {
        kind: found.kind.name(),
        offset: found.offset,
        identifier: found.identifier,
        protocol: found.protocol,
        flags: found.flags,
        sequence_number: found.sequence_number,
        acknowledgement_number: found.acknowledgement_number,
        inner_offset: found.start,
        inner_link_type: found.inner.map(|link_type| link_type.0),
    })
}

pub(super) fn labels(frame: &decode::Frame<'_>) -> Vec<Label> {
    frame
        .labels()
        .map(|found| Label {
            offset: found.offset,
            label: found.label,
            traffic_class: found.traffic_class,
            bottom: found.bottom,
            time_to_live: found.time_to_live,
        })
        .collect()
}

pub(super) fn pppoe(frame: &decode::Frame<'_>) -> Option<Pppoe> {
    frame.pppoe().map(|found| Pppoe {
        offset: found.offset,
        code: found.code,
        name: found.name(),
        session: found.session,
        length: found.length,
    })
}

pub(super) fn port_tag(frame: &decode::Frame<'_>) -> Option<PortTag> {
    frame.port_tag().map(|found| PortTag {
        offset: found.offset,
        priority: found.priority,
        drop_eligible: found.drop_eligible,
        ingress: found.ingress,
        group: found.group,
        channel: found.channel,
    })
}

pub(super) fn sctp(frame: &decode::Frame<'_>) -> Option<Sctp> {
    frame.sctp().map(|found| Sctp {
        offset: found.offset,
        present: found.present,
        source_port: found.source_port,
        destination_port: found.destination_port,
        verification_tag: found.verification_tag,
        checksum: found.checksum,
        chunks: frame
            .sctp_chunks()
            .map(|chunk| (chunk.kind, chunk.flags, chunk.value.to_vec()))
            .collect(),
    })
}

pub(super) fn ipsec(frame: &decode::Frame<'_>) -> Option<Ipsec> {
    frame.ipsec().map(|found| Ipsec {
        kind: if found.authentication { "ah" } else { "esp" },
        offset: found.offset,
        spi: found.spi,
        sequence_number: found.sequence_number,
    })
}

pub(super) fn wireless(frame: &decode::Frame<'_>) -> Option<Wireless> {
    let found = frame.wireless()?;
    let radio = frame.radio();
    Some(Wireless {
        offset: found.offset,
        header_length: found.header_length,
        r#type: found.kind,
        subtype: found.subtype,
        name: found.name(),
        flags: found.flags,
        protected: found.is_protected(),
        duration: found.duration,
        receiver: ethernet_address(found.receiver),
        transmitter: found.transmitter.map(ethernet_address),
        source: found.source.map(ethernet_address),
        destination: found.destination.map(ethernet_address),
        cell: found.cell.map(ethernet_address),
        sequence_number: found.sequence.map(|(number, _)| number),
        fragment_number: found.sequence.map(|(_, fragment)| fragment),
        radio_length: radio.map(|radio| radio.length),
        rate_kbps: radio
            .and_then(|radio| radio.rate_500kbps)
            .map(|rate| u32::from(rate) * 500),
        channel_mhz: radio.and_then(|radio| radio.channel_mhz),
        signal_dbm: radio.and_then(|radio| radio.signal_dbm),
        noise_dbm: radio.and_then(|radio| radio.noise_dbm),
    })
}

pub(super) fn can(frame: &decode::Frame<'_>) -> Option<Can> {
    frame.can().map(|found| Can {
        offset: found.offset,
        identifier: found.identifier,
        extended: found.extended,
        remote: found.remote,
        error: found.error,
        flags: found.flags,
        length: found.length,
    })
}
