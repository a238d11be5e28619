//! [`Mixed`]: the hash of maps whose keys are hashes already.

use std::hash::{BuildHasherDefault, Hasher};

/// A group's identity is a hash under numbers that nobody knows; it is only to be mixed.
pub(super) type Mixed = BuildHasherDefault<Mix>;

#[derive(Clone, Copy, Default)]
pub(super) struct Mix(u64);

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    #[allow(clippy::cast_possible_truncation, reason = "both halves are taken")]
    fn write_u64(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = (product >> 64) as u64 ^ product as u64;
    }

    fn write_isize(&mut self, number: isize) {
        self.write_u64(number.cast_unsigned() as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
