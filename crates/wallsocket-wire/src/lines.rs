//! Frames as lines: the time of day, and the summary with TCP numbers counted from the first ones that were seen.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::decode::{Frame, tcp_flag};

/// Directions whose first numbers are kept. A flood of connections must not take all memory: numbers are absolute from there on.
const DIRECTIONS_MAXIMUM: usize = 65_536;
/// Clocks of the day change at whole quarters of an hour.
const QUARTER_S: i64 = 900;

/// One direction of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Direction {
    source: IpAddr,
    destination: IpAddr,
    ports: (u16, u16),
}

impl Direction {
    fn of(frame: &Frame<'_>) -> Option<Self> {
        let (source, destination) = frame.addresses()?;
        Some(Self {
            source,
            destination,
            ports: frame.ports()?,
        })
    }

    const fn back(self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            ports: (self.ports.1, self.ports.0),
        }
    }
}

/// Writes lines, and knows the first numbers of each direction.
#[derive(Default)]
pub struct Lines {
    absolute: bool,
    first: HashMap<Direction, u32>,
    /// The quarter of an hour whose difference from UTC is known, and that in seconds.
    quarter: Option<(i64, i32)>,
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Lines")
            .field("directions", &self.first.len())
            .finish_non_exhaustive()
    }
}

impl Lines {
    /// With numbers as they are when `absolute`.
    pub fn new(absolute: bool) -> Self {
        Self {
            absolute,
            ..Self::default()
        }
    }

    /// What sequence and acknowledgement numbers of this frame are counted from.
    fn bases(&mut self, frame: &Frame<'_>) -> (u32, u32) {
        let Some(tcp) = frame.tcp().filter(|_| !self.absolute) else {
            return (0, 0);
        };
        let Some(there) = Direction::of(frame) else {
            return (0, 0);
        };
        if self.first.len() > DIRECTIONS_MAXIMUM {
            self.first.clear();
        }
        let back = there.back();
        if tcp.flags & tcp_flag::SYN != 0 {
            self.first.insert(there, tcp.sequence_number);
            return (0, self.first.get(&back).copied().unwrap_or(0));
        }
        if let Some(&first) = self.first.get(&there) {
            return (first, self.first.get(&back).copied().unwrap_or(0));
        }
        self.first.insert(there, tcp.sequence_number);
        self.first.entry(back).or_insert(tcp.acknowledgement_number);
        (0, 0)
    }

    /// Appends the line of a frame. `difference_s` says by how many seconds the clock of the place is ahead of UTC at a second since
    /// 1970; it is asked once for each quarter of an hour.
    ///
    /// # Errors
    /// What `difference_s` reports.
    pub fn write<E>(
        &mut self,
        line: &mut String,
        frame: &Frame<'_>,
        timestamp_ns: Option<i64>,
        difference_s: impl FnOnce(i64) -> Result<i32, E>,
    ) -> Result<(), E> {
        if let Some(time) = timestamp_ns {
            let seconds = time.div_euclid(1_000_000_000);
            let quarter = seconds.div_euclid(QUARTER_S);
            let difference = match self.quarter {
                Some((known, difference)) if known == quarter => difference,
                _ => {
                    let difference = difference_s(seconds)?;
                    self.quarter = Some((quarter, difference));
                    difference
                }
            };
            let of_day = (seconds + i64::from(difference)).rem_euclid(86_400) as u32;
            let micros = (time.rem_euclid(1_000_000_000) / 1000) as u32;
            clock(line, of_day, micros);
        } else {
            line.push_str("--:--:--.------");
        }
        line.push(' ');
        let (sequence, acknowledgement) = self.bases(frame);
        // Writing to a String cannot fail.
        let _ = frame.write_summary(line, sequence, acknowledgement);
        line.push('\n');
        Ok(())
    }
}

/// `hh:mm:ss.µµµµµµ`
fn clock(line: &mut String, of_day: u32, micros: u32) {
    let digits = |value: u32, place: u32| char::from(b'0' + (value / place % 10) as u8);
    for (value, end) in [
        (of_day / 3600, ':'),
        (of_day / 60 % 60, ':'),
        (of_day % 60, '.'),
    ] {
        line.push(digits(value, 10));
        line.push(digits(value, 1));
        line.push(end);
    }
    for place in [100_000, 10_000, 1000, 100, 10, 1] {
        line.push(digits(micros, place));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{Hints, LinkType, decode};

    fn segment(ports: (u16, u16), sequence: u32, acknowledgement: u32, flags: u8) -> Vec<u8> {
        let mut bytes = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0];
        let (source, destination) = if ports.0 == 1 { (1, 2) } else { (2, 1) };
        bytes.extend([10, 0, 0, source, 10, 0, 0, destination]);
        bytes.extend(ports.0.to_be_bytes());
        bytes.extend(ports.1.to_be_bytes());
        bytes.extend(sequence.to_be_bytes());
        bytes.extend(acknowledgement.to_be_bytes());
        bytes.extend([0x50, flags, 0, 9, 0, 0, 0, 0]);
        bytes
    }

    #[test]
    fn numbers_are_counted_from_the_first_of_each_direction() {
        let frames = [
            segment((1, 2), 100, 0, 2),
            segment((2, 1), 500, 101, 0x12),
            segment((1, 2), 101, 501, 0x11),
        ];
        let mut lines = Lines::new(false);
        let mut found = String::new();
        for (number, bytes) in frames.iter().enumerate() {
            let frame = decode(LinkType::RAW, bytes, 40, Hints::default());
            let time = (number > 0).then_some(-1_000);
            let done = lines.write(&mut found, &frame, time, |_| Ok::<_, ()>(3600));
            assert_eq!(done, Ok(()));
        }
        assert_eq!(
            found.lines().collect::<Vec<_>>(),
            [
                "--:--:--.------ IP 10.0.0.1.1 > 10.0.0.2.2: Flags [S], seq 100, win 9, length 0",
                "00:59:59.999999 IP 10.0.0.2.2 > 10.0.0.1.1: Flags [S.], seq 500, ack 1, win 9, length 0",
                "00:59:59.999999 IP 10.0.0.1.1 > 10.0.0.2.2: Flags [F.], seq 1, ack 1, win 9, length 0",
            ]
        );
    }
}
