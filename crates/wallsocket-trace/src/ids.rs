//! Maps whose keys are small numbers that the kernel or the tracer has given.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map by such numbers.
///
/// They are looked up several times for each call. The standard hasher, which keeps its collisions secret from who chooses the
/// keys, took a tenth of the tracer's time.
pub type Ids<K, V> = HashMap<K, V, BuildHasherDefault<IdHasher>>;

/// Multiplies by an odd number, whose high bits reach all low ones.
#[derive(Clone, Copy, Debug, Default)]
pub struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        let mixed = (self.0 ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = mixed ^ mixed >> 32;
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    fn write_i32(&mut self, number: i32) {
        self.write_u64(number as u64);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::hash::{BuildHasher, Hash};

    /// How many of 4096 keys have a place of their own in a table of 8192, at most, by the low and by the high bits.
    fn places<K: Hash>(key: impl Fn(u64) -> K) -> [usize; 2] {
        let build = BuildHasherDefault::<IdHasher>::default();
        let hashes: Vec<u64> = (0..4096).map(|n| build.hash_one(key(n))).collect();
        [
            hashes
                .iter()
                .map(|hash| hash & 8191)
                .collect::<HashSet<_>>()
                .len(),
            hashes
                .iter()
                .map(|hash| hash >> 51)
                .collect::<HashSet<_>>()
                .len(),
        ]
    }

    #[test]
    fn keys_in_a_row_and_addresses_are_spread() {
        // By chance they would have 3223 each.
        for places in [
            places(|n| n as i32),
            places(|n| n as u32 * 4096),
            places(|n| 0x7f00_0000_0000 + n * 16),
            places(|n| (7, n as u32)),
        ] {
            assert!(places.iter().all(|count| *count > 2500), "{places:?}");
        }
    }
}
