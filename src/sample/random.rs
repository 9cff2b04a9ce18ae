//! The sample's random number generator: small, and frozen.

/// SplitMix64. The bytes of a seed depend on its outputs, which rules out a dependency whose
/// outputs may change.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    /// Creates the stream of a (seed, document, position).
    pub fn new(seed: u64, document: u64, position: u64) -> Self {
        Self(mix(mix(mix(seed) ^ document).wrapping_add(position)))
    }

    /// Returns the next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Returns a number from 0 to `limit - 1`.
    pub fn below(&mut self, limit: u64) -> u64 {
        let wide = u128::from(self.draw()) * u128::from(limit);
        u64::try_from(wide >> 64).expect("the upper half of 128 bits")
    }

    /// Returns true once in `times` on average.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// Returns an index from 0 to `limit - 1`.
    pub fn index(&mut self, limit: usize) -> usize {
        let wide = u128::from(self.draw()) * limit as u128;
        usize::try_from(wide >> 64).expect("below a usize")
    }

    /// Picks one of `items` in proportion to its weight; never one of weight 0.
    pub fn weighted<'a, T>(&mut self, items: &'a [T], weight: impl Fn(&T) -> u32) -> &'a T {
        let total: u64 = items.iter().map(|item| u64::from(weight(item))).sum();
        let mut left = self.below(total);
        for item in items {
            let own = u64::from(weight(item));
            if left < own {
                return item;
            }
            left -= own;
        }
        unreachable!("what is left is below the sum of the weights")
    }
}

/// Mixes the bits of `value` without loss (SplitMix64's finisher).
pub(super) const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_splitmix64() {
        // The reference implementation's first outputs for the state 0.
        let mut random = Random(0);
        assert_eq!(random.draw(), 0xe220_a839_7b1d_cdaf);
        assert_eq!(random.draw(), 0x6e78_9e6a_a1b9_65f4);
    }

    #[test]
    fn weights_are_kept() {
        let mut random = Random::new(1, 2, 3);
        let mut seen = [0; 3];
        for _ in 0..4000 {
            seen[*random.weighted(&[0, 1, 2], |item| [1, 0, 3][*item as usize]) as usize] += 1;
        }
        assert_eq!(seen[1], 0);
        assert!((800..1200).contains(&seen[0]), "{seen:?}");
    }
}
