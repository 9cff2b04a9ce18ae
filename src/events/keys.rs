//! A lookup table of keys that ignores case, fast enough for every key of every object.

/// A set of keys, numbered in the order of insertion.
#[derive(Debug, Default)]
pub(super) struct Keys {
    keys: Vec<Box<[u8]>>,
    /// Lengths of the keys, a bit each: they rule out most keys of a record.
    lengths: u64,
    /// Numbers plus one, by hash, with linear probing; at least half of the slots are empty (0).
    slots: Vec<u16>,
}

impl Keys {
    /// Returns the number of `key`, which is added if it is new.
    pub(super) fn add(&mut self, key: &str) -> usize {
        if let Some(number) = self.find(key.as_bytes()) {
            return number;
        }
        self.keys.push(key.as_bytes().into());
        self.lengths |= length_bit(key.len());
        let size = (self.keys.len() * 2).next_power_of_two();
        if size > self.slots.len() {
            self.slots = vec![0; size];
            for number in 0..self.keys.len() {
                self.place(number);
            }
        } else {
            self.place(self.keys.len() - 1);
        }
        self.keys.len() - 1
    }

    fn place(&mut self, number: usize) {
        let mask = self.slots.len() - 1;
        let mut slot = hash(&self.keys[number]) & mask;
        while self.slots[slot] != 0 {
            slot = (slot + 1) & mask;
        }
        self.slots[slot] = u16::try_from(number + 1).expect("the catalog has under 65,535 columns");
    }

    /// Returns the number of the key that equals `key` except in case.
    #[inline]
    pub(super) fn find(&self, key: &[u8]) -> Option<usize> {
        if self.lengths & length_bit(key.len()) == 0 {
            return None;
        }
        let mask = self.slots.len() - 1;
        let mut slot = hash(key) & mask;
        loop {
            let number = usize::from(self.slots[slot]).checked_sub(1)?;
            let known = &*self.keys[number];
            if same(known, key) || known.eq_ignore_ascii_case(key) {
                return Some(number);
            }
            slot = (slot + 1) & mask;
        }
    }
}

/// Compares short keys without a call of the C library's `memcmp`, which would cost more.
#[inline]
fn same(a: &[u8], b: &[u8]) -> bool {
    let (a_words, a_rest) = a.as_chunks::<8>();
    let (b_words, b_rest) = b.as_chunks::<8>();
    a.len() == b.len()
        && a_words
            .iter()
            .zip(b_words)
            .all(|(a, b)| u64::from_ne_bytes(*a) == u64::from_ne_bytes(*b))
        && a_rest.iter().zip(b_rest).all(|(a, b)| a == b)
}

fn length_bit(length: usize) -> u64 {
    1 << (length & 63)
}

/// Hashes the length and four bytes in lower case; names of one API differ somewhere in these.
#[inline]
fn hash(key: &[u8]) -> usize {
    let length = key.len();
    let byte = |at: usize| usize::from(key.get(at).map_or(0, |byte| byte | 0x20));
    let mixed = length
        .wrapping_mul(0x9e37)
        .wrapping_add(byte(0).wrapping_mul(0x85eb))
        .wrapping_add(byte(length / 2).wrapping_mul(0xc2b3))
        .wrapping_add(byte(length.wrapping_sub(1)).wrapping_mul(0x27d5))
        .wrapping_add(byte(length * 3 / 4).wrapping_mul(0x1657));
    mixed ^ (mixed >> 7)
}

#[cfg(test)]
mod tests {
    use super::super::columns::catalog;
    use super::*;

    #[test]
    fn every_name_is_found_in_any_case_and_no_other() {
        let mut keys = Keys::default();
        let numbers: Vec<usize> = catalog()
            .columns()
            .iter()
            .map(|column| keys.add(&column.path))
            .collect();
        for (column, number) in catalog().columns().iter().zip(numbers) {
            let upper = column.path.to_uppercase();
            assert_eq!(keys.find(upper.as_bytes()), Some(number));
            assert_eq!(keys.find(format!("{}x", column.path).as_bytes()), None);
        }
        assert_eq!(Keys::default().find(b""), None);
        assert_eq!(Keys::default().find(b"a"), None);
    }
}
