//! [`Identity`]: 120 bits that stand for a key and its quota.
//!
//! Keys come from clients, who must not be able to find two that count together. The hash is multilinear:
//! the key's words, 64 bits each, times random numbers of 128 bits, added modulo 2^128, the upper half
//! taken; twice, with numbers of their own. It is strongly universal (Lemire and Kaser, "Strongly universal
//! string hashing is fast", 2014): whatever two different keys somebody chose, 62 bits of the one half and 58 of
//! the other are the same with a probability of 2^-120 over the choice of the numbers. A client sees of the hash
//! only whether two requests count together, and as long as none ever did, it has seen nothing: guessing on does
//! not help it.
//!
//! Where a key is likely to lie, only the first half is compared, for the place itself says more: two keys meet
//! there if they have 62 bits in common and are as likely to lie there, one chance in as many as there are
//! pairs of places. As a table has a place for each key, any two of a million meet with a probability of 2^-41:
//! half of (2^20)^2 pairs, 2^-62 each, in 2^19 pairs of places at least.

use std::hash::{BuildHasher, RandomState};

/// The words that are hashed at once; what is longer is hashed in turns, each beginning with the result of
/// the one before, which adds the 2^-128 up.
const WORDS: usize = 32;

/// 120 bits that stand for a key and its quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// All but [`Identity::FREE_OF_FIRST`].
    pub(super) first: u64,
    /// All but [`Identity::FREE_OF_SECOND`].
    pub(super) second: u64,
}

impl Identity {
    /// The bits of the first half that are 0: whoever keeps it may say something else there.
    pub(super) const FREE_OF_FIRST: u64 = 0x3;

    /// The bits of the second half that are 0.
    pub(super) const FREE_OF_SECOND: u64 = 0x3f;

    /// Where the key lies: bits as if thrown, whatever pattern the keys follow.
    ///
    /// The halves alone would not do: of keys in a row (addresses, numbered users) they are numbers in a
    /// row too, which may all fall close together. Their product is none.
    #[inline]
    pub(super) fn spread(self) -> u64 {
        let product = u128::from(self.first).wrapping_mul(u128::from(self.second));
        #[allow(clippy::cast_possible_truncation, reason = "both halves are taken")]
        let (high, low) = ((product >> 64) as u64, product as u64);
        high ^ low
    }
}

/// The random numbers of a store.
pub(super) struct Identities {
    /// What the sums begin with, then what each word is multiplied by.
    start: [u128; 2],
    factors: [[u128; 2]; WORDS],
}

impl Identities {
    /// Fresh ones, from the generator that the standard library keys its hash maps with: SipHash under a
    /// key of the operating system's.
    pub(super) fn new() -> Self {
        let source = RandomState::new();
        let number = |index: usize| {
            let half = |half: usize| u128::from(source.hash_one((index, half)));
            (half(0) << 64) | half(1)
        };
        Self {
            start: [number(0), number(1)],
            factors: std::array::from_fn(|at| [number(2 * at + 2), number(2 * at + 3)]),
        }
    }

    /// What stands for a key under a quota of this fingerprint.
    pub(super) fn of(&self, fingerprint: u64, key: &[u8]) -> Identity {
        // Lengths stand first, so that a key and the same key with zeros after it differ.
        let mut sum = self.begin(fingerprint, key.len());
        let (words, rest) = key.as_chunks::<8>();
        for word in words {
            sum.add(self, u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut word = [0; 8];
            for (to, from) in word.iter_mut().zip(rest) {
                *to = *from;
            }
            sum.add(self, u64::from_le_bytes(word));
        }
        sum.identity()
    }

    /// What all keys of a quota and a length have in common.
    pub(super) fn begin(&self, fingerprint: u64, length: usize) -> Sum {
        let mut sum = Sum::new(self);
        sum.add(self, fingerprint);
        sum.add(self, length as u64);
        sum
    }
}

/// A hash on its way.
#[derive(Clone, Copy)]
pub(super) struct Sum {
    sums: [u128; 2],
    at: usize,
}

impl Sum {
    #[inline]
    fn new(numbers: &Identities) -> Self {
        Self {
            sums: numbers.start,
            at: 0,
        }
    }

    /// What stands for the key that the words end, as many as [`Identities::begin`] was told.
    #[inline]
    pub(super) fn of<const N: usize>(mut self, numbers: &Identities, words: [u64; N]) -> Identity {
        for word in words {
            self.multiply(numbers, word);
        }
        self.identity()
    }

    #[inline]
    fn add(&mut self, numbers: &Identities, word: u64) {
        if self.at == WORDS {
            let [first, second] = self.halves();
            *self = Self::new(numbers);
            self.multiply(numbers, first);
            self.multiply(numbers, second);
        }
        self.multiply(numbers, word);
    }

    #[inline]
    fn multiply(&mut self, numbers: &Identities, word: u64) {
        if let Some([one, two]) = numbers.factors.get(self.at) {
            let [first, second] = &mut self.sums;
            *first = first.wrapping_add(one.wrapping_mul(u128::from(word)));
            *second = second.wrapping_add(two.wrapping_mul(u128::from(word)));
        }
        self.at += 1;
    }

    #[inline]
    fn identity(&self) -> Identity {
        let [first, second] = self.halves();
        Identity {
            first: first & !Identity::FREE_OF_FIRST,
            second: second & !Identity::FREE_OF_SECOND,
        }
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the upper half is left")]
    fn halves(&self) -> [u64; 2] {
        self.sums.map(|sum| (sum >> 64) as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_byte_every_length_and_the_quota_count() {
        let numbers = Identities::new();
        let mut seen = HashSet::new();
        let mut fresh = |fingerprint, key: &[u8]| {
            let Identity { first, second } = numbers.of(fingerprint, key);
            assert!(seen.insert(first), "{fingerprint} {key:?}");
            assert!(seen.insert(second), "{fingerprint} {key:?}");
        };
        for length in (0..40).chain([240, 248, 249, 256, 500, 501, 1_000, 4_096]) {
            let mut key = vec![0; length];
            fresh(7, &key);
            fresh(8, &key);
            for at in 0..length {
                key[at] = 1;
                fresh(7, &key);
                key[at] = 0;
            }
        }
    }

    #[test]
    fn equal_keys_are_equal_in_a_store_and_not_in_another() {
        let (one, other) = (Identities::new(), Identities::new());
        for key in [&b""[..], b"a", &[9; 300]] {
            assert_eq!(one.of(1, key), one.of(1, key));
            assert_ne!(one.of(1, key), other.of(1, key));
        }
    }
}
