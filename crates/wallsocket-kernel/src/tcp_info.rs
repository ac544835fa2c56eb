//! `TCP_INFO`: what the kernel knows of one TCP socket.
//!
//! The struct grows at its end with almost every kernel, so a field exists only where the bytes reach:
//! every accessor returns an option, and bytes of a newer kernel than this table are ignored.
//! Source: `struct tcp_info` in linux/tcp.h and `tcp_get_info()` in net/ipv4/tcp.c.

/// Bytes of the newest form in this table (Linux 6.18).
pub const SIZE: usize = 280;

/// One field of the struct.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// The kernel's name without `tcpi_`, with its unit.
    pub name: &'static str,
    /// First byte.
    pub offset: usize,
    /// Bytes: 1, 2, 4 or 8.
    pub width: usize,
    /// The field's own bits when it shares a byte: shift and mask after shifting.
    pub bits: Option<(u32, u64)>,
    /// What the number counts, in one sentence.
    pub meaning: &'static str,
}

impl Field {
    /// Its value in the bytes of a `struct tcp_info`, if they reach that far.
    pub fn value(&self, bytes: &[u8]) -> Option<u64> {
        let bytes = bytes.get(self.offset..self.offset + self.width)?;
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        // The table's widths are read in the order of the machine, whose kernel wrote them.
        let value = if cfg!(target_endian = "little") {
            u64::from_ne_bytes(word)
        } else {
            u64::from_be_bytes(word) >> (64 - 8 * self.width)
        };
        Some(match self.bits {
            Some((shift, mask)) => (value >> shift) & mask,
            None => value,
        })
    }
}

/// The bytes of one `struct tcp_info`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TcpInfo {
    bytes: [u8; SIZE],
    length: usize,
}

impl TcpInfo {
    /// Takes the bytes that getsockopt or sock_diag returned; `None` without the first one, the state.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        bytes.first()?;
        let length = bytes.len().min(SIZE);
        let mut copy = [0; SIZE];
        copy[..length].copy_from_slice(&bytes[..length]);
        Some(Self {
            bytes: copy,
            length,
        })
    }

    /// The bytes, as far as they reached and are known here.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// The value of `field`, if the bytes reach that far.
    pub fn get(&self, field: &Field) -> Option<u64> {
        field.value(self.bytes())
    }

    /// Every field that is there, by name.
    pub fn fields(&self) -> impl Iterator<Item = (&'static Field, u64)> + '_ {
        FIELDS
            .iter()
            .filter_map(|field| self.get(field).map(|value| (field, value)))
    }

    /// Whether this socket listens. Then `unacked_segments` are finished connections that wait for accept(), and `sacked_segments`
    /// the limit of that queue in force.
    pub fn is_listening(&self) -> bool {
        self.bytes[0] == 10
    }
}

impl std::fmt::Debug for TcpInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut map = f.debug_map();
        for (field, value) in self.fields() {
            map.entry(&field.name, &value);
        }
        map.finish()
    }
}

macro_rules! fields {
    ($($name:ident $offset:literal $width:literal $(bits $shift:literal $mask:literal)? : $meaning:literal,)*) => {
        /// All fields, in the order of the struct.
        pub static FIELDS: &[Field] = &[$(
            Field { name: stringify!($name), offset: $offset, width: $width, bits: fields!(@bits $($shift $mask)?), meaning: $meaning },
        )*];

        impl TcpInfo {
            $(
                #[doc = $meaning]
                pub fn $name(&self) -> Option<u64> {
                    self.get(&Field { name: stringify!($name), offset: $offset, width: $width, bits: fields!(@bits $($shift $mask)?), meaning: "" })
                }
            )*
        }
    };
    (@bits $shift:literal $mask:literal) => { Some(($shift, $mask)) };
    (@bits) => { None };
}

fields! {
    state 0 1: "State of the connection, numbered as in net/tcp_states.h.",
    congestion_state 1 1: "What the congestion control makes of the last round: open, disorder, CWR, recovery or loss.",
    retransmits 2 1: "Retransmissions of the oldest unacknowledged segment, in a row and by timer.",
    probes 3 1: "Unanswered probes: of a zero window or of keepalive.",
    backoff 4 1: "How often the retransmission or probe timer was doubled.",
    options 5 1: "Options agreed in the handshake, as bits.",
    send_window_scale 6 1 bits 0 15: "Shift that the peer's advertised windows get.",
    receive_window_scale 6 1 bits 4 15: "Shift that the windows we advertise get.",
    delivery_rate_app_limited 7 1 bits 0 1: "1 when the program, not the network, limited the measured delivery rate.",
    fastopen_client_fail 7 1 bits 1 3: "Why Fast Open did not work for this client, 0 when it did or was not tried.",
    rto_us 8 4: "Retransmission timeout in microseconds.",
    ato_us 12 4: "Delayed-acknowledgement timeout in microseconds.",
    send_mss 16 4: "Largest segment we send, in bytes.",
    receive_mss 20 4: "Largest segment seen from the peer, in bytes, as estimated for delayed acknowledgements.",
    unacked_segments 24 4: "Segments sent and not acknowledged; of a listener the connections waiting for accept().",
    sacked_segments 28 4: "Segments acknowledged selectively; of a listener the limit of its accept queue.",
    lost_segments 32 4: "Segments taken for lost and not yet acknowledged.",
    retransmitted_segments 36 4: "Segments retransmitted and not yet acknowledged.",
    fackets 40 4: "No longer kept by the kernel.",
    last_data_sent_ms 44 4: "Milliseconds since data was last sent.",
    last_ack_sent_ms 48 4: "Not remembered by the kernel: always 0.",
    last_data_received_ms 52 4: "Milliseconds since data last arrived.",
    last_ack_received_ms 56 4: "Milliseconds since an acknowledgement last arrived.",
    path_mtu 60 4: "Largest packet the path is believed to carry, in bytes.",
    receive_slow_start_threshold 64 4: "Up to here the advertised window may grow, in bytes.",
    rtt_us 68 4: "Smoothed round-trip time in microseconds.",
    rtt_variance_us 72 4: "Mean deviation of the round-trip time in microseconds.",
    send_slow_start_threshold 76 4: "Slow-start threshold in segments; 2147483647 while unset.",
    congestion_window 80 4: "Congestion window in segments.",
    advertised_mss 84 4: "Segment size that we advertise, in bytes.",
    reordering 88 4: "Segments the path may reorder before a loss is assumed.",
    receive_rtt_us 92 4: "Round-trip time estimated by the receiver, in microseconds.",
    receive_space 96 4: "Bytes the program read per round trip, by which the receive buffer grows.",
    total_retransmitted_segments 100 4: "Segments retransmitted in the whole life of the connection.",
    pacing_rate 104 8: "Rate at which segments are paced out, in bytes per second.",
    max_pacing_rate 112 8: "Upper limit of pacing in bytes per second; all ones means none.",
    bytes_acked 120 8: "Bytes that the peer acknowledged.",
    bytes_received 128 8: "Bytes that arrived in order.",
    segments_out 136 4: "Segments sent, acknowledgements and retransmissions included.",
    segments_in 140 4: "Segments received.",
    not_sent_bytes 144 4: "Bytes in the send queue that were never sent.",
    min_rtt_us 148 4: "Shortest round-trip time seen lately, in microseconds.",
    data_segments_in 152 4: "Segments with data received.",
    data_segments_out 156 4: "Segments with data sent.",
    delivery_rate 160 8: "Most recent rate of delivery in bytes per second.",
    busy_time_us 168 8: "Microseconds with data waiting to be sent or acknowledged.",
    receive_window_limited_us 176 8: "Microseconds in which the peer's receive window held us back.",
    send_buffer_limited_us 184 8: "Microseconds in which our send buffer held us back.",
    delivered 192 4: "Segments delivered, out of order ones included.",
    delivered_ce 196 4: "Segments delivered with a congestion mark.",
    bytes_sent 200 8: "Data bytes sent, retransmissions included.",
    bytes_retransmitted 208 8: "Data bytes retransmitted.",
    dsack_duplicates 216 4: "Duplicates that the peer reported: retransmissions that were not needed.",
    reorder_seen 220 4: "Times that reordering was noticed.",
    out_of_order_packets 224 4: "Segments that arrived out of order.",
    send_window 228 4: "The peer's receive window in bytes, scaled.",
    receive_window 232 4: "The window we offer in bytes, scaled (since Linux 6.2).",
    rehash 236 4: "Times the flow's hash changed to try another path (since Linux 6.2).",
    total_rto 240 2: "Retransmission timeouts in the whole life (since Linux 6.7).",
    total_rto_recoveries 242 2: "Timeouts in a row that ended in recovery (since Linux 6.7).",
    total_rto_time_ms 244 4: "Milliseconds spent in timeout recovery (since Linux 6.7).",
    received_ce 248 4: "Congestion marks received (AccECN, since Linux 6.18).",
    delivered_e1_bytes 252 4: "Bytes delivered with ECT(1) (AccECN, since Linux 6.18).",
    delivered_e0_bytes 256 4: "Bytes delivered with ECT(0) (AccECN, since Linux 6.18).",
    delivered_ce_bytes 260 4: "Bytes delivered with CE (AccECN, since Linux 6.18).",
    received_e1_bytes 264 4: "Bytes received with ECT(1) (AccECN, since Linux 6.18).",
    received_e0_bytes 268 4: "Bytes received with ECT(0) (AccECN, since Linux 6.18).",
    received_ce_bytes 272 4: "Bytes received with CE (AccECN, since Linux 6.18).",
    accecn_fail_mode 276 2: "How the negotiation of AccECN failed, as bits (since Linux 6.18).",
    accecn_option_seen 278 2: "Whether the AccECN option was seen (since Linux 6.18).",
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn fields_lie_in_order_and_fill_the_struct() {
        let mut end = 0;
        for field in FIELDS {
            assert!(
                field.offset == end || field.bits.is_some(),
                "{} leaves a gap",
                field.name
            );
            assert_eq!(
                field.offset % field.width,
                0,
                "{} is not aligned",
                field.name
            );
            end = field.offset + field.width;
        }
        assert_eq!(end, SIZE);
    }

    #[test]
    fn window_scales_share_a_byte() {
        // Byte 6 as the kernel fills it: send scale in the low half.
        let mut bytes = [0_u8; SIZE];
        bytes[6] = 0x97;
        let info = TcpInfo::parse(&bytes).unwrap();
        assert_eq!(info.send_window_scale(), Some(7));
        assert_eq!(info.receive_window_scale(), Some(9));
    }

    #[test]
    fn a_short_struct_has_fewer_fields() {
        let mut bytes = [0_u8; 104];
        bytes[0] = 10;
        bytes[24] = 3;
        bytes[28] = 7;
        let info = TcpInfo::parse(&bytes).unwrap();
        assert_eq!(
            (info.unacked_segments(), info.sacked_segments()),
            (Some(3), Some(7))
        );
        assert_eq!(info.total_retransmitted_segments(), Some(0));
        assert_eq!(info.pacing_rate(), None);
        assert!(info.is_listening());
        assert_eq!(TcpInfo::parse(&[]), None);
        for length in 1..400 {
            let all = vec![0xff_u8; length];
            assert!(TcpInfo::parse(&all).unwrap().fields().count() <= FIELDS.len());
        }
    }
}
