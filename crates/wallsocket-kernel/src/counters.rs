//! The counters of a network namespace: /proc/net/snmp, /proc/net/netstat and /proc/net/snmp6.
//!
//! Names are those of nstat(8): `TcpRetransSegs`, `TcpExtListenOverflows`, `Ip6InReceives`.

use std::collections::BTreeMap;

/// Counters by name. A few are no counters but settings, such as `TcpMaxConn`, which is -1.
pub type Counters = BTreeMap<String, i64>;

/// Takes the text of any of the three files and adds its counters.
///
/// Lines that do not have the files' form are skipped: newer kernels add counters, never forms.
pub fn parse(text: &str, counters: &mut Counters) {
    let mut header: Option<(&str, Vec<&str>)> = None;
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let Some(first) = words.next() else { continue };
        if let Some(group) = first.strip_suffix(':') {
            let words: Vec<&str> = words.collect();
            match header.take() {
                Some((name, names)) if name == group => {
                    for (counter, value) in names.iter().zip(&words) {
                        if let Some(value) = number(value) {
                            counters.insert(format!("{group}{counter}"), value);
                        }
                    }
                }
                _ => header = Some((group, words)),
            }
        } else if let Some(value) = words.next().and_then(number) {
            // snmp6: one name and one value a line.
            counters.insert(first.to_owned(), value);
        }
    }
}

/// Counters are 64 bits wide; one beyond the half of that is shown as the largest number.
fn number(text: &str) -> Option<i64> {
    text.parse()
        .ok()
        .or_else(|| text.parse::<u64>().ok().map(|_| i64::MAX))
}

/// What changed from `before` to `after`, by name; a counter that is new counts from zero.
pub fn difference(before: &Counters, after: &Counters) -> Counters {
    after
        .iter()
        .map(|(name, value)| {
            (
                name,
                value.wrapping_sub(before.get(name).copied().unwrap_or(0)),
            )
        })
        .filter(|(_, change)| *change != 0)
        .map(|(name, change)| (name.clone(), change))
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn all_three_files() {
        let mut counters = Counters::new();
        parse(
            "Tcp: RtoAlgorithm MaxConn InSegs\nTcp: 1 -1 42\nUdp: InDatagrams\nUdp: 7\n",
            &mut counters,
        );
        parse(
            "TcpExt: ListenDrops\nTcpExt: 18446744073709551615\n",
            &mut counters,
        );
        parse("Ip6InReceives                   \t12\n", &mut counters);
        let all: Vec<_> = counters
            .iter()
            .map(|(name, value)| (name.as_str(), *value))
            .collect();
        assert_eq!(
            all,
            [
                ("Ip6InReceives", 12),
                ("TcpExtListenDrops", i64::MAX),
                ("TcpInSegs", 42),
                ("TcpMaxConn", -1),
                ("TcpRtoAlgorithm", 1),
                ("UdpInDatagrams", 7)
            ]
        );
    }

    #[test]
    fn only_changes_differ() {
        let mut before = Counters::new();
        let mut after = Counters::new();
        parse("Tcp: A B\nTcp: 1 2\n", &mut before);
        parse("Tcp: A B C\nTcp: 1 5 3\n", &mut after);
        let changed = difference(&before, &after);
        assert_eq!(
            changed.into_iter().collect::<Vec<_>>(),
            [("TcpB".to_owned(), 3), ("TcpC".to_owned(), 3)]
        );
    }

    #[test]
    fn the_running_kernel_has_them() {
        let mut counters = Counters::new();
        for file in ["snmp", "netstat", "snmp6"] {
            if let Ok(text) = std::fs::read_to_string(format!("/proc/net/{file}")) {
                parse(&text, &mut counters);
            }
        }
        for name in ["TcpRetransSegs", "UdpRcvbufErrors", "TcpExtListenOverflows"] {
            assert!(counters.contains_key(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_taken(text in "(Tcp:|[a-zA-Z0-9: \\n-]|\\PC){0,80}") {
            let mut counters = Counters::new();
            parse(&text, &mut counters);
            prop_assert!(difference(&counters, &counters).is_empty());
        }
    }
}
