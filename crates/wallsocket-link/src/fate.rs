//! What happens to a frame on an impaired link: a pure function of the seed, the direction, the flow and the frame's number in it.
//!
//! No clock, no state of the link and no other flow takes part, so that a run repeats: frame 7 of the second connection to port 80
//! is lost in every run with the same seed or in none, whatever else travels.

use std::time::Duration;

/// Loss in bursts, after Gilbert (1960) and Elliott (1963): a good and a bad state, each with its own loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Burst {
    /// Probability to go from good to bad, at each frame.
    pub enter: f64,
    /// Probability to go from bad to good, at each frame.
    pub leave: f64,
    /// Loss while good.
    pub loss_good: f64,
    /// Loss while bad.
    pub loss_bad: f64,
}

/// What one direction of a link does to its frames. Probabilities are within 0 and 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Impairments {
    /// Probability that a frame is lost.
    pub loss: f64,
    /// Loss in bursts, besides.
    pub burst: Option<Burst>,
    /// Numbers of frames, from 1 in each flow, that are lost.
    pub lost_numbers: Vec<u64>,
    /// Every how manieth frame of a flow is lost.
    pub lose_every: Option<u64>,
    /// Time a frame is on its way.
    pub delay: Duration,
    /// Most by which that time is shorter or longer; frames do not overtake each other by it.
    pub jitter: Duration,
    /// Probability that a frame arrives twice.
    pub duplicate: f64,
    /// Probability that a frame is held back until `reorder_gap` later ones of its flow have gone.
    pub reorder: f64,
    /// How many later frames overtake a held one.
    pub reorder_gap: u32,
    /// Probability that one bit of a frame's payload is turned over.
    pub corrupt: f64,
    /// Whether the checksum of a corrupted frame is made right again, so that nobody but the program can notice.
    pub mend_checksum: bool,
    /// Bits a second, counted as captured: from the Ethernet header on, without what follows the payload.
    pub rate: Option<f64>,
    /// Frames that may wait for the rate; more are lost.
    pub queue: usize,
    /// Largest IP packet that passes; larger ones vanish without a word, as behind a router that is not allowed to answer.
    pub largest: Option<usize>,
}

impl Default for Impairments {
    fn default() -> Self {
        Self {
            loss: 0.0,
            burst: None,
            lost_numbers: Vec::new(),
            lose_every: None,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            duplicate: 0.0,
            reorder: 0.0,
            reorder_gap: 1,
            corrupt: 0.0,
            mend_checksum: false,
            rate: None,
            // What Linux gives a network interface's queue.
            queue: 1000,
            largest: None,
        }
    }
}

/// The fate of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Fate {
    /// It is lost.
    pub lost: bool,
    /// It arrives twice.
    pub duplicated: bool,
    /// It is held back.
    pub held: bool,
    /// It is corrupted; the number decides where.
    pub corrupted: Option<u64>,
    /// Share of the jitter that it gets, from -1 to 1.
    pub jitter: f64,
}

/// What a random number is for: the purposes of one frame are independent of each other.
#[derive(Clone, Copy)]
enum Purpose {
    Loss = 1,
    BurstState,
    BurstLoss,
    Duplicate,
    Hold,
    Corrupt,
    CorruptWhere,
    Jitter,
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): every bit of the result depends on every bit of the input.
fn mix(value: u64) -> u64 {
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

/// Adds a word to a hash.
pub(crate) fn absorb(hash: u64, word: u64) -> u64 {
    mix(hash.wrapping_add(0x9e37_79b9_7f4a_7c15) ^ mix(word.wrapping_add(0x9e37_79b9_7f4a_7c15)))
}

/// A number from 0 up to, not including, 1.
fn unit(word: u64) -> f64 {
    // The 53 bits that a double holds exactly.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
    let value = (word >> 11) as f64;
    value / 9_007_199_254_740_992.0
}

impl Impairments {
    /// Whether every frame passes at once and unchanged.
    pub fn is_nothing(&self) -> bool {
        *self
            == Self {
                queue: self.queue,
                reorder_gap: self.reorder_gap,
                mend_checksum: self.mend_checksum,
                ..Self::default()
            }
    }

    /// The fate of frame `number`, from 1, of `flow` (a hash of what the flow is). `bad` is the flow's burst state in this
    /// direction: false before its first frame, and handed from each frame to the next.
    pub fn fate(
        &self,
        seed: u64,
        direction: usize,
        flow: u64,
        number: u64,
        bad: &mut bool,
    ) -> Fate {
        let base = absorb(absorb(absorb(seed, direction as u64), flow), number);
        let word = |purpose: Purpose| absorb(base, purpose as u64);
        let happens = |purpose: Purpose, probability: f64| {
            probability > 0.0 && unit(word(purpose)) < probability
        };
        let mut lost = happens(Purpose::Loss, self.loss) || self.lost_numbers.contains(&number);
        lost |= self
            .lose_every
            .is_some_and(|every| number.is_multiple_of(every));
        if let Some(burst) = &self.burst {
            let change = if *bad { burst.leave } else { burst.enter };
            *bad ^= happens(Purpose::BurstState, change);
            lost |= happens(
                Purpose::BurstLoss,
                if *bad {
                    burst.loss_bad
                } else {
                    burst.loss_good
                },
            );
        }
        if lost {
            return Fate {
                lost,
                ..Fate::default()
            };
        }
        Fate {
            lost,
            duplicated: happens(Purpose::Duplicate, self.duplicate),
            held: happens(Purpose::Hold, self.reorder),
            corrupted: happens(Purpose::Corrupt, self.corrupt).then(|| word(Purpose::CorruptWhere)),
            jitter: if self.jitter.is_zero() {
                0.0
            } else {
                2.0 * unit(word(Purpose::Jitter)) - 1.0
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lost(impairments: &Impairments, seed: u64, flow: u64, count: u64) -> Vec<u64> {
        let mut bad = false;
        (1..=count)
            .filter(|number| impairments.fate(seed, 0, flow, *number, &mut bad).lost)
            .collect()
    }

    #[test]
    fn loss_is_as_often_as_asked() {
        let impairments = Impairments {
            loss: 0.1,
            ..Impairments::default()
        };
        let count = lost(&impairments, 1, 2, 100_000).len();
        // Five standard deviations of a binomial: sqrt(100000 * 0.1 * 0.9) = 95.
        assert!(count.abs_diff(10_000) < 475, "{count}");
    }

    #[test]
    fn bursts_lose_in_a_row() {
        let burst = Burst {
            enter: 0.01,
            leave: 0.2,
            loss_good: 0.0,
            loss_bad: 1.0,
        };
        let impairments = Impairments {
            burst: Some(burst),
            ..Impairments::default()
        };
        let lost = lost(&impairments, 1, 2, 200_000);
        let runs = 1 + lost
            .windows(2)
            .filter(|pair| pair[1] != pair[0] + 1)
            .count();
        // The mean length of a stay in the bad state is 1 / leave = 5 frames.
        let mean = lost.len() * 100 / runs;
        assert!((450..550).contains(&mean), "mean run of {mean} hundredths");
    }

    #[test]
    fn numbers_and_every_are_exact() {
        let impairments = Impairments {
            lost_numbers: vec![3, 8],
            lose_every: Some(5),
            ..Impairments::default()
        };
        assert_eq!(lost(&impairments, 9, 9, 12), [3, 5, 8, 10]);
    }

    #[test]
    fn all_and_none_are_exact() {
        assert_eq!(
            lost(
                &Impairments {
                    loss: 1.0,
                    ..Impairments::default()
                },
                0,
                0,
                50
            )
            .len(),
            50
        );
        assert!(lost(&Impairments::default(), 0, 0, 50).is_empty());
    }

    #[test]
    fn only_what_does_nothing_is_nothing() {
        assert!(
            Impairments {
                queue: 5,
                mend_checksum: true,
                ..Impairments::default()
            }
            .is_nothing()
        );
        assert!(
            !Impairments {
                largest: Some(1400),
                ..Impairments::default()
            }
            .is_nothing()
        );
        assert!(
            !Impairments {
                delay: Duration::from_millis(1),
                ..Impairments::default()
            }
            .is_nothing()
        );
    }

    proptest! {
        #[test]
        fn the_same_frame_has_the_same_fate(seed: u64, flow: u64, number: u64, direction in 0_usize..2) {
            let impairments = Impairments {
                loss: 0.3, duplicate: 0.3, reorder: 0.3, corrupt: 0.3, jitter: Duration::from_millis(1), ..Impairments::default()
            };
            let once = impairments.fate(seed, direction, flow, number, &mut false);
            prop_assert_eq!(once, impairments.fate(seed, direction, flow, number, &mut false));
            prop_assert!(once.jitter >= -1.0 && once.jitter < 1.0);
        }

        #[test]
        fn more_loss_loses_the_same_frames_and_more(seed: u64, flow: u64, low in 0.0..0.5_f64) {
            let few = lost(&Impairments { loss: low, ..Impairments::default() }, seed, flow, 200);
            let many = lost(&Impairments { loss: low + 0.3, ..Impairments::default() }, seed, flow, 200);
            prop_assert!(few.iter().all(|number| many.contains(number)));
        }
    }
}
